"""Whether a stored PEFT adapter fits a CogVLM, judged by its settings and its tensors' names and shapes.

Knows nothing of how adapters are trained.
"""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import nn

from grounding.errors import InputError
from grounding.models.json_files import read_json
from grounding.models.presence import ADAPTER_FILES, check_adapter_files

PREFIX_KINDS = ("PREFIX_TUNING", "PROMPT_TUNING", "P_TUNING", "MULTITASK_PROMPT_TUNING", "ADAPTION_PROMPT", "CPT")
"""Kinds that put virtual tokens before the row: they would run without an error and shift image positions."""
PREFIX = "base_model.model."
"""What PEFT puts before the names of a model's own modules."""


def check_adapter(model: nn.Module, folder: Path) -> None:
    """Refuse an adapter that does not belong on this model.

    Raises:
        InputError: files missing or broken, a refused kind, or tensors that fit no module of the model.
    """
    check_adapter_files(folder)
    settings_file, weights_file = (folder / name for name in ADAPTER_FILES)
    kind = str(read_json(settings_file).get("peft_type"))
    if kind in PREFIX_KINDS:
        raise InputError(
            f"adapters of kind {kind} are not supported: they shift the image's positions.",
            where=str(settings_file),
            fix="Use one of another kind, such as LoRA.",
        )
    shapes = adapter_shapes(folder)
    if not shapes:
        raise InputError("this adapter holds no tensors.", where=str(weights_file), fix="Save it again.")
    modules = dict(model.named_modules())
    wrong = [why for name, shape in shapes.items() if (why := _misfit(name, shape, modules))]
    if wrong:
        raise InputError(
            f"{len(wrong)} of {len(shapes)} tensors do not fit the model, such as {'; '.join(wrong[:3])}.",
            where=str(folder),
            fix="This adapter was trained on another base model; load it on that one.",
        )


def adapter_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of a stored adapter, by its name in the model that PEFT wraps.

    Raises:
        InputError: the file cannot be read.
    """
    file = folder / ADAPTER_FILES[1]
    try:
        with safe_open(file, framework="pt") as tensors:
            return {
                name.removeprefix(PREFIX): tuple(tensors.get_slice(name).get_shape())
                for name in tensors.keys()  # noqa: SIM118 - the reader is no mapping
            }
    except (SafetensorError, OSError) as error:
        problem = f"these weights cannot be read ({error})."
        raise InputError(problem, where=str(file), fix="Copy or save the adapter again.") from error


def _misfit(name: str, shape: tuple[int, ...], modules: dict[str, nn.Module]) -> str | None:
    """Why a tensor of an adapter fits nowhere, or None where it does."""
    parts = name.split(".")
    depth = max(cut for cut in range(len(parts)) if ".".join(parts[:cut]) in modules)
    module, rest = modules[".".join(parts[:depth])], parts[depth:]
    inner, outer = getattr(module, "in_features", None), getattr(module, "out_features", None)
    if rest[0] == "lora_A" and inner is not None:
        expected: tuple[int | None, ...] = (shape[0], inner)
    elif rest[0] == "lora_B" and outer is not None:
        expected = (outer, shape[-1])
    elif len(rest) == 1 and isinstance(parameter := getattr(module, rest[0], None), nn.Parameter):
        expected = tuple(parameter.shape)
    elif rest[0].startswith(("lora_", "oft_", "vera_", "hada_", "lokr_", "ia3_")) and depth:
        return None if not list(module.children()) else f"{name} (no such module)"
    else:
        return f"{name} (no such module)"
    return None if shape == expected else f"{name} {list(shape)} instead of {list(expected)}"
