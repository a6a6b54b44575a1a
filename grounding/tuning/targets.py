"""Named sets of CogVLM's linear layers, as exact module names found by walking the model.

Knows the published module names (those of the checkpoint's keys); it does not know what is done to the modules.

In the last decoder layer, `vision_expert_dense` and `vision_mlp` only change the output at image positions, where no
label is: their gradient is zero by construction, so no set holds them. Their adapters would cost memory, never learn,
and stop multi-process training, which waits for every gradient.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from torch import nn

from grounding.errors import InputError

DECODER = r"model\.layers\.(?P<layer>\d+)"
TOWER = r"model\.vision\.transformer\.layers\.(?P<layer>\d+)"
ATTENTION = {
    "language": rf"{DECODER}\.self_attn\.language_expert_(query_key_value|dense)",
    "vision": rf"{DECODER}\.self_attn\.vision_expert_(query_key_value|dense)",
    "tower": rf"{TOWER}\.attention\.(query_key_value|dense)",
}
MLP = {
    "language": rf"{DECODER}\.mlp\.language_mlp\.(gate_proj|up_proj|down_proj)",
    "vision": rf"{DECODER}\.mlp\.vision_mlp\.(gate_proj|up_proj|down_proj)",
    "tower": rf"{TOWER}\.mlp\.(fc1|fc2)",
}
SETS: dict[str, tuple[str, ...]] = {
    "language": ("language",),
    "vision": ("vision",),
    "both": ("language", "vision"),
    "both+tower": ("language", "vision", "tower"),
    "published": ("language", "tower"),
}
# CogVLM's own script trains the MLPs of layers 46..54 of its 63-layer tower in full.
PUBLISHED_TOWER_LAYERS, PUBLISHED_FULL_MLPS = 63, (46, 55)


class Targets(NamedTuple):
    """What a named set comes to in one model: exact module names, in the model's order."""

    lora: list[str]
    full: list[str]


def target_modules(model: nn.Module, set_name: str, *, mlp: bool = True) -> Targets:
    """The modules of a named set: those that get a LoRA pair, and those (`published` only) that are trained in full.

    `published` is what CogVLM's fine-tuning script trains: LoRA on the language experts' attention and on the tower's,
    and the MLPs of tower layers 46 to 54 in full; in a tower of another depth, the MLPs at the same relative depth,
    at least one. The original has one A/B pair for each of q, k and v; here the fused matrix has one pair for the
    three, of the same rank. `mlp` has no meaning there.

    Raises:
        InputError: a set of another name, or one that matches nothing in this model.
    """
    if set_name not in SETS:
        raise InputError(
            f"{set_name!r} is no set of target modules; there are {', '.join(SETS)}",
            where="tuning.targets",
            fix="Prompt, prefix and p-tuning are refused: they shift the positions that route image and text.",
        )
    parts = SETS[set_name]
    patterns = [ATTENTION[part] for part in parts]
    if mlp and set_name != "published":
        patterns += [MLP[part] for part in parts]
    names = [name for name, _ in model.named_modules()]
    without_gradient = _last_layer_vision_outputs(names)
    lora = [name for name in names if _matches(name, patterns) and name not in without_gradient]
    if not lora:
        raise InputError(
            f"the set {set_name!r} matches no module of this {type(model).__name__}",
            where="tuning.targets",
            fix=f"Its linear layers are: {', '.join(linear_kinds(model)) or 'none'}.",
        )
    return Targets(lora, _published_full(names) if set_name == "published" else [])


def linear_kinds(model: nn.Module) -> list[str]:
    """The names of the model's linear layers, each layer number written as `*`, each kind once."""
    names = (name for name, module in model.named_modules() if isinstance(module, nn.Linear))
    return list(dict.fromkeys(re.sub(r"(?<=\.)\d+(?=\.|$)", "*", name) for name in names))


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in patterns)


def _depth(names: Sequence[str], prefix: str) -> int:
    """Number of layers under a prefix with a `layer` group."""
    found = (re.fullmatch(prefix, name) for name in names)
    return max((int(match["layer"]) + 1 for match in found if match), default=0)


def _last_layer_vision_outputs(names: Sequence[str]) -> set[str]:
    last = _depth(names, DECODER) - 1
    dead = rf"model\.layers\.{last}\.(self_attn\.vision_expert_dense|mlp\.vision_mlp\..+)"
    return {name for name in names if re.fullmatch(dead, name)}


def _published_full(names: Sequence[str]) -> list[str]:
    depth = _depth(names, TOWER)
    first, end = (round(depth * layer / PUBLISHED_TOWER_LAYERS) for layer in PUBLISHED_FULL_MLPS)
    first = min(first, depth - 1)
    return [f"model.vision.transformer.layers.{layer}.mlp" for layer in range(first, max(end, first + 1))]
