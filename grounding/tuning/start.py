"""A saved adapter as the start of a fresh one: whether its weights belong there, and how they get there.

Knows PEFT's files and names; it does not know which base the weights were trained on, but by shapes, nor on what data.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from peft import PeftModel, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import nn

from grounding.errors import ManyErrors
from grounding.models.adapter_check import adapter_shapes, check_adapter
from grounding.models.json_files import read_json
from grounding.models.presence import ADAPTER_FILES
from grounding.tuning.targets import Targets

OTHER_SCALES = ("use_rslora", "use_dora", "alpha_pattern", "rank_pattern")
"""Settings of PEFT that change what a pair of matrices comes to; `attach_lora` uses none of them."""


def check_start(model: nn.Module, folder: Path, targets: Targets, *, rank: int, alpha: int) -> None:
    """See that a saved adapter can give its weights to a fresh one on this model, which has none yet.

    Args:
        targets, rank, alpha: of the fresh one (see `attach_lora`).

    Raises:
        InputError: no adapter there, one of a kind that CogVLM cannot carry, or one of another base model.
        ManyErrors: its rank, its scale or the modules that it changes are others; all of that is told.
    """
    check_adapter(model, folder)
    told = read_json(folder / ADAPTER_FILES[0])
    problems = [
        f"tuning.{name} is {here}, the adapter's is {there}"
        for name, here, there in (("rank", rank, told.get("r")), ("alpha", alpha, told.get("lora_alpha")))
        if here != there
    ]
    problems += [f"the adapter has {key} = {told[key]!r}, a fresh one has not" for key in OTHER_SCALES if told.get(key)]
    problems += _other_modules(set(adapter_shapes(folder)), set(_fresh_names(model, targets)))
    if problems:
        raise ManyErrors(
            f"tuning.start_from = {folder}: this adapter cannot be trained further with these settings",
            problems,
            fix="Take over the settings that it was trained with: those of a run stand in its settings.yaml.",
        )


def _other_modules(saved: set[str], fresh: set[str]) -> Iterator[str]:
    for whose, names in (("the adapter alone has", saved - fresh), ("the adapter lacks", fresh - saved)):
        if names:
            yield f"tuning.targets and tuning.mlp choose other modules: {whose} {len(names)}, such as {min(names)}"


def _fresh_names(model: nn.Module, targets: Targets) -> Iterator[str]:
    """The tensors of an adapter that `attach_lora` would make."""
    for name in targets.lora:
        yield from (f"{name}.lora_A.weight", f"{name}.lora_B.weight")
    for name in targets.full:
        yield from (f"{name}.{inner}" for inner, _ in model.get_submodule(name).named_parameters())


def load_start(model: PeftModel, folder: Path) -> None:
    """Give a fresh adapter, in place, the weights of a saved one that `check_start` let pass."""
    set_peft_model_state_dict(model, load_file(folder / ADAPTER_FILES[1]))
