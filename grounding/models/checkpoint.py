"""What lies in a checkpoint folder: its config, and the names and shapes of its tensors, before anything large is read.

Refuses what CogVLM's classes would load wrongly or only in part. Reads headers, never whole weights, and never pickle.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open

from grounding.counted import counted
from grounding.errors import InputError
from grounding.models.cogvlm import CogVLMConfig, CogVLMForCausalLM
from grounding.models.cogvlm.attention import rope_frequencies
from grounding.models.json_files import read_json
from grounding.models.presence import CONFIG_FILE, check_checkpoint

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
ARCHITECTURE = "CogVLMForCausalLM"
_OTHER_FAMILY_KEYS = {
    "num_multi_query_heads": "CogVLM2",
    "cross_hidden_size": "CogAgent",
    "cross_compute_hidden_size": "CogAgent",
    "cross_image_size": "CogAgent",
    "rope_theta": "another rope base",
    "rope_scaling": "scaled rope",
    "num_key_value_heads": "grouped attention heads",
}
_OTHER_FAMILY_TENSORS = {"cross_": "CogAgent", "vision_expert_query_key_value.bias": "CogVLM2"}
DTYPE_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I8": 1, "U8": 1}
"""Bytes of a number by safetensors' name of its type."""
_ALLOWED = "Allowed is CogVLM, first generation: architectures ['CogVLMForCausalLM'] with one vision expert per layer."


def read_config(folder: str | Path) -> CogVLMConfig:
    """The config of a checkpoint folder in the published layout, with or without `model_type`.

    Raises:
        InputError: no folder, no config.json, broken JSON, another architecture, or impossible values.
    """
    check_checkpoint(Path(folder))
    file = Path(folder) / CONFIG_FILE
    return config_from(read_json(file), where=str(file))


def config_from(document: Mapping[str, Any], *, where: str) -> CogVLMConfig:
    """A config from the values of a config.json.

    Raises:
        InputError: another architecture, or impossible values.
    """
    model_type, architectures = document.get("model_type") or "", document.get("architectures") or []
    if model_type != CogVLMConfig.model_type and (model_type or architectures != [ARCHITECTURE]):
        found = f"model_type {model_type!r}" if model_type else "no model_type"
        raise InputError(f"{found} and architectures {architectures} were found. {_ALLOWED}", where=where)
    foreign = [f"`{key}` ({kind})" for key, kind in _OTHER_FAMILY_KEYS.items() if document.get(key) is not None]
    if foreign:
        raise InputError(f"this is another family of model: it has {', '.join(foreign)}. {_ALLOWED}", where=where)
    if document.get("quantization_config") is not None:
        raise InputError(
            "these weights were stored quantised.",
            where=where,
            fix="Give the full checkpoint and ask for the quantisation when it is loaded.",
        )
    try:
        return CogVLMConfig(**{key: value for key, value in document.items() if key != "model_type"})
    except (StrictDataclassError, ValueError, TypeError) as error:
        raise InputError(f"this config is impossible: {_innermost(error)}", where=where) from error


def _innermost(error: BaseException) -> str:
    """The cause that says something: the validation library wraps it in a message of two lines."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)


@dataclass(frozen=True)
class TensorComparison:
    """The tensors of a folder beside those that a config asks for.

    Attributes:
        files: with weights.
        expected: number of tensors that the config asks for, `inv_freq` buffers included.
        found: number of tensors in the files that can be read.
        frequencies: of these, `inv_freq` buffers; they may all be absent.
        size: bytes of the tensors found.
        dtypes: of the tensors found, with their number.
        problems: everything that differs, each in a sentence part that names the tensors or the file.
    """

    files: list[Path]
    expected: int
    found: int
    frequencies: int
    size: int
    dtypes: dict[str, int]
    problems: list[str]


def compare_tensors(folder: str | Path, config: CogVLMConfig) -> TensorComparison:
    """Compare the tensors of a folder with those that the config asks for, by their names and shapes.

    `inv_freq` buffers may be absent; where present they must be those of rope base 10000, to bfloat16's precision.
    Only the headers of the files are read, and these buffers.

    Raises:
        InputError: there are no weights, or files that the index names are missing.
    """
    folder = Path(folder)
    files = weight_files(folder)
    headers = _read_headers(files, rope_frequencies(config.head_size))
    found, unread, problems = headers.shapes, headers.unread, headers.problems
    expected = expected_tensors(config)
    absent = [name for name in expected if name not in found and not name.endswith(".inv_freq")]
    holders = _weight_map(folder) or dict.fromkeys(expected, files[0].name)
    missing = [name for name in absent if holders.get(name) not in unread]
    lost = Counter(holders[name] for name in absent if holders.get(name) in unread)
    problems += [
        f"{name} cannot be read ({error}), so {lost[name]} of the tensors it should hold were not looked for: copy or "
        "download this file again"
        for name, error in unread.items()
    ]
    surplus = [name for name in found if name not in expected]
    misshapen = [
        f"{name} {list(found[name])} instead of {list(shape)}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    parts = (("missing", missing), ("unknown to CogVLM", surplus), ("of another shape", misshapen))
    problems += [
        f"{counted(len(names), 'tensor is', 'tensors are')} {what}: {_some(_by_layer(names))}"
        for what, names in parts
        if names
    ]
    problems += [f"these are weights of {kind}" for mark, kind in _OTHER_FAMILY_TENSORS.items() if _any(mark, surplus)]
    rope = sum(name.endswith(".inv_freq") for name in found)
    return TensorComparison(files, len(expected), len(found), rope, headers.size, dict(headers.dtypes), problems)


class _Headers(NamedTuple):
    """What stands in the headers of some files; `unread` are those that cannot be read, by name, and why."""

    shapes: dict[str, tuple[int, ...]]
    dtypes: Counter[str]
    size: int
    problems: list[str]
    unread: dict[str, Exception]


def _read_headers(files: Sequence[Path], frequencies: torch.Tensor) -> _Headers:
    """The tensors of the files, and what is wrong without a look at a config: a name twice, other rope frequencies.

    Args:
        frequencies: float32[d / 2], those that `inv_freq` buffers must hold.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    dtypes: Counter[str] = Counter()
    size = 0
    problems: list[str] = []
    unread: dict[str, Exception] = {}
    for file in files:
        try:
            with safe_open(file, framework="pt") as tensors:
                for name in tensors.keys():  # noqa: SIM118 - the reader is no mapping
                    part = tensors.get_slice(name)
                    if name in shapes:
                        problems.append(f"{file.name} holds {name} a second time")
                    shapes[name] = tuple(part.get_shape())
                    dtypes[part.get_dtype()] += 1
                    size += math.prod(shapes[name]) * DTYPE_BYTES.get(part.get_dtype(), 0)
                    if name.endswith(".inv_freq") and not _is_formula(tensors.get_tensor(name), frequencies):
                        problems.append(f"{name} holds other rope frequencies than CogVLM's base of 10000 gives")
        except (SafetensorError, OSError) as error:
            unread[file.name] = error
    return _Headers(shapes, dtypes, size, problems, unread)


def check_tensors(folder: str | Path, config: CogVLMConfig) -> None:
    """Refuse weights that are not those that the config describes (see `compare_tensors`).

    Raises:
        InputError: files missing or cut off; tensors missing, too many, or of another shape (named).
    """
    problems = compare_tensors(folder, config).problems
    if problems:
        fix = "The weights and config.json do not belong together, or a file was damaged; `grounding check` says more."
        raise InputError("; ".join(problems) + ".", where=str(folder), fix=fix)


def _some(names: list[str], shown: int = 12) -> str:
    return ", ".join(names[:shown]) + (f", and {len(names) - shown} more" if len(names) > shown else "")


def _any(mark: str, names: list[str]) -> bool:
    return any(mark in name for name in names)


def _by_layer(names: list[str]) -> list[str]:
    """Names that differ in their first number alone as one: model.layers.{0-3,7}.mlp.x."""
    numbers: dict[tuple[str, str], list[int]] = {}
    for name in names:
        head, number, tail = re.fullmatch(r"(.*?\.)(\d+)(\..*)|.*", name).groups()  # type: ignore[union-attr]
        key = (name, "") if number is None else (head, tail)
        numbers.setdefault(key, []).append(-1 if number is None else int(number))
    return [
        f"{head}{found[0]}{tail}"
        if len(found) == 1 and found[0] >= 0
        else head
        if found[0] < 0
        else f"{head}{{{_ranges(sorted(found))}}}{tail}"
        for (head, tail), found in numbers.items()
    ]


def _ranges(numbers: list[int]) -> str:
    """0, 1, 2, 5 as 0-2,5."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _weight_map(folder: Path) -> dict[str, str] | None:
    """The file of each tensor, by the index; None where all are in one file.

    Raises:
        InputError: the index is broken.
    """
    index = folder / _INDEX
    if (folder / _SINGLE).is_file() or not index.is_file():
        return None
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise InputError("this index has no weight_map.", where=str(index), fix="Copy or download this file again.")
    return weight_map


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint: one, or the shards that the index names.

    Raises:
        InputError: there are none, or a shard is missing.
    """
    if (folder / _SINGLE).is_file():
        return [folder / _SINGLE]
    weight_map = _weight_map(folder)
    if weight_map is None:
        pickled = any(folder.glob("pytorch_model*.bin"))
        raise InputError(
            f"there is no {_SINGLE} and no {_INDEX} in this folder.",
            where=str(folder),
            fix="Weights in .bin files are not read, since they can run code; convert them to safetensors."
            if pickled
            else "Name the folder that holds the weights.",
        )
    files = [folder / name for name in sorted(set(weight_map.values()))]
    absent = [file.name for file in files if not file.is_file()]
    if absent:
        problem = f"{len(absent)} of {len(files)} weight files are missing: {_some(absent)}."
        raise InputError(problem, where=str(folder), fix="Copy or download them into this folder.")
    return files


def expected_tensors(config: CogVLMConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a checkpoint, `inv_freq` buffers included, without memory for any of them."""
    with torch.device("meta"):
        model = CogVLMForCausalLM(config)
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _is_formula(stored: torch.Tensor, formula: torch.Tensor) -> bool:
    # Casting after or before the power gives bfloat16 values that differ by up to 0.7 %. Another shape is told as such.
    return stored.shape != formula.shape or torch.allclose(stored.float(), formula, rtol=0.02)
