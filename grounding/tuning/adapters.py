"""LoRA by PEFT: attach to a model, save as a plain PEFT folder, load.

Knows PEFT; it does not know which modules are chosen (see `targets`), how they are trained, nor how adapter and base
become one checkpoint (see `merge`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import PreTrainedModel

from grounding.models.adapter_check import check_adapter
from grounding.models.adapter_notes import AdapterNotes, write_notes
from grounding.tuning.freeze import freeze_all, to_float32
from grounding.tuning.targets import Targets


def attach_lora(
    model: nn.Module, targets: Targets, *, rank: int, alpha: int, dropout: float = 0.0, seed: int = 0
) -> PeftModel:
    """The model, changed in place, with a fresh LoRA pair (zero output) beside every target; these learn, in float32.

    Args:
        targets: exact module names; those of `targets.full` are copied, trained in full and saved beside the pairs.
        rank: width of the pairs. alpha: the pairs' output is multiplied by alpha / rank.
        seed: of the random half of each pair.
    """
    freeze_all(model)
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=list(targets.lora),
        modules_to_save=list(targets.full) or None,
        base_model_name_or_path=getattr(getattr(model, "config", None), "_name_or_path", None) or None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        adapted = get_peft_model(model, config)
    to_float32(adapted)
    return adapted


def save_adapter(
    model: PeftModel,
    folder: Path,
    weights: Mapping[str, Tensor] | None = None,
    *,
    notes: AdapterNotes | None = None,
) -> None:
    """Write a PEFT folder (adapter_config.json, adapter_model.safetensors) that PEFT alone can read, and the notes.

    Args:
        weights: the adapter's weights by their names in the model, where it does not hold them whole itself.
        notes: what else an adapter has to say of its base; None writes none.
    """
    model.save_pretrained(str(folder), save_embedding_layers=False, state_dict=weights)
    if notes is not None:
        write_notes(folder, notes)


def load_adapter(model: PreTrainedModel, folder: Path) -> PeftModel:
    """The model with a saved adapter on it, to be trained further: its weights are float32 and learn.

    Raises:
        InputError: no adapter there, one of a kind that CogVLM cannot carry, or one of another base model.
    """
    check_adapter(model, folder)
    adapted = PeftModel.from_pretrained(model, str(folder), is_trainable=True)
    to_float32(adapted)
    return adapted
