"""Weights that are spread over the processes of a run (FSDP, DeepSpeed ZeRO-3): whether they are, and what that asks.

    accelerate launch --config_file configs/launch/fsdp.yaml -m grounding finetune CONFIG.yaml evaluation.samples=0

Knows what the launcher was told; it does not know how weights are spread.
"""

from __future__ import annotations

import os

from torch import nn
from transformers.integrations import is_deepspeed_zero3_enabled
from transformers.utils import strtobool

from grounding.errors import InputError
from grounding.processes import gathered
from grounding.settings import FinetuneSettings


def spreads_weights() -> bool:
    """Whether the launcher was told to spread the weights over the processes (FSDP, DeepSpeed ZeRO-3).

    DeepSpeed's part of the answer is known once `training_arguments` are made.
    """
    return _told("ACCELERATE_USE_FSDP") or is_deepspeed_zero3_enabled()


def _told(name: str) -> bool:
    """Whether the launcher has set this variable to something that means yes."""
    return strtobool(os.environ.get(name, "false")) == 1


def check_launcher(settings: FinetuneSettings) -> None:
    """Sees that the settings can be trained in the way that the launcher was told.

    Raises:
        InputError: weights are spread, and `check_spread` refuses; or Muon, which needs whole matrices, where DeepSpeed
            or FSDP give each process a part of the optimiser's work.
    """
    if spreads_weights():
        check_spread(settings)
    if settings.training.optimizer != "adamw" and (_told("ACCELERATE_USE_DEEPSPEED") or spreads_weights()):
        raise InputError(
            f"{settings.training.optimizer} works on whole matrices, which DeepSpeed and FSDP take apart",
            where="training.optimizer",
            fix="Use adamw, or start it with torchrun alone.",
        )


def check_spread(settings: FinetuneSettings) -> None:
    """Sees that a run whose weights are spread over processes can be what the settings want.

    Raises:
        InputError: quantised weights; another image size, for which whole position embeddings are needed; or answers,
            which take as many forward passes as they are long, while spread weights want all processes in each.
    """
    if settings.model.image_size is not None:
        raise InputError(
            "the position embeddings of weights that are spread over processes cannot be interpolated",
            where="model.image_size",
            fix="Leave it out, or start it with torchrun alone.",
        )
    if settings.model.quantization != "none":
        raise InputError(
            "quantised weights cannot be spread over processes",
            where="model.quantization",
            fix="Start it with torchrun alone: each GPU then holds all of them, 16 GB as nf4.",
        )
    if settings.data.val is not None and settings.evaluation.samples:
        raise InputError(
            "with weights spread over processes no answers can be generated between steps",
            where="evaluation.samples",
            fix="Set evaluation.samples=0 to judge by the loss, and run `grounding benchmark` on the result.",
        )


def share_buffers(model: nn.Module) -> None:
    """Gives every process the buffers of the first, which alone may have read the checkpoint, and takes them out of the
    model's state: FSDP spreads parameters, and trips over a buffer that stands among them."""
    places = [(module, name) for module in model.modules() for name in module._buffers]
    held = gathered([module.get_buffer(name).cpu() for module, name in places if not module.get_buffer(name).is_meta])
    for (module, name), value in zip(places, held[0], strict=True):
        module.register_buffer(name, value, persistent=False)
