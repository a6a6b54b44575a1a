"""Which weights of a model learn: all of them but named parts, in float32.

Knows the published module names; it does not know adapters, nor why a part is frozen.

Peft's preparation for k-bit training is not used: it would turn every unquantised weight, the 4.3 billion of the vision
tower among them, into float32. Here only what learns is float32; what is frozen keeps the type it was loaded in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import nn

from grounding.errors import InputError

PARTS: dict[str, str] = {
    "tower": r"model\.vision\.(patch_embedding|transformer)\..+",
    "projector": r"model\.vision\.(linear_proj\..+|boi|eoi)",
    "vision_experts": r"model\.layers\.\d+\.(self_attn\.vision_expert_.+|mlp\.vision_mlp\..+)",
    "language_experts": r"model\.layers\.\d+\.(self_attn\.language_expert_.+|mlp\.language_mlp\..+)",
    "embeddings": r"model\.embed_tokens\..+",
    "norms": r"model\.layers\.\d+\.(input|post_attention)_layernorm\..+|model\.norm\..+",
    "head": r"lm_head\..+",
}


class ParameterCount(NamedTuple):
    """How many numbers a model holds, and how many of them learn."""

    trainable: int
    total: int

    @property
    def share(self) -> float:
        """Trainable over total, 0..1."""
        return self.trainable / max(self.total, 1)


def freeze_all(model: nn.Module) -> None:
    """No weight learns any more."""
    model.requires_grad_(False)


def train_all_but(model: nn.Module, frozen: Iterable[str]) -> None:
    """Every weight learns, in float32, except those of the named parts (see `PARTS`).

    Raises:
        InputError: an unknown part, a part that matches no weight, or nothing left to train.
    """
    frozen = list(frozen)
    if unknown := [part for part in frozen if part not in PARTS]:
        raise InputError(f"unknown parts {unknown}; there are {', '.join(PARTS)}", where="tuning.freeze")
    matched = dict.fromkeys(frozen, 0)
    for name, parameter in model.named_parameters():
        part = next((part for part in frozen if re.fullmatch(PARTS[part], name)), None)
        if part is not None:
            matched[part] += 1
        parameter.requires_grad_(part is None)
    if empty := [part for part, count in matched.items() if not count]:
        raise InputError(f"the parts {empty} match no weight of this {type(model).__name__}", where="tuning.freeze")
    to_float32(model)
    if not count_parameters(model).trainable:
        raise InputError("every part is frozen: nothing is left to train", where="tuning.freeze")


def to_float32(model: nn.Module) -> None:
    """Weights that learn become float32: small steps would be rounded away in bfloat16."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)


def count_parameters(model: nn.Module) -> ParameterCount:
    """Trainable and total numbers, a shared tensor once, a 4-bit one at its unpacked size, one of ZeRO-3 whole."""
    trainable = total = 0
    for parameter in model.parameters():
        state = getattr(parameter, "quant_state", None)
        size = state.shape.numel() if state is not None else getattr(parameter, "ds_numel", parameter.numel())
        total += size
        trainable += size if parameter.requires_grad else 0
    return ParameterCount(trainable, total)
