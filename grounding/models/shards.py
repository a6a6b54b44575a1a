"""Writes a checkpoint's tensors in the published layout, shard after shard, so that one shard is in memory at a time.

Knows safetensors files and their index; it does not know what the tensors mean, nor where they come from.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

SHARD_BYTES = 4 * 1024**3
"""Largest shard by default; a tensor that is larger stands in a shard of its own."""


class TensorPlan(NamedTuple):
    """What a tensor will be."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def size(self) -> int:
        """Bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def write_shards(
    folder: Path, plan: Mapping[str, TensorPlan], make: Callable[[str], Tensor], *, shard_bytes: int = SHARD_BYTES
) -> list[Path]:
    """Write the planned tensors in their order: one model.safetensors, or numbered shards and their index.

    Args:
        folder: exists; its reader expects nothing else of a checkpoint in it yet.
        make: the tensor of a name, in the planned shape and dtype; called once for each, in order.

    Returns:
        The files with weights, in order.

    Raises:
        ValueError: `make` gave another shape or dtype than planned.
    """
    groups = list(_groups(plan, shard_bytes))
    names = ["model.safetensors"]
    if len(groups) > 1:
        names = [f"model-{number:05d}-of-{len(groups):05d}.safetensors" for number in range(1, len(groups) + 1)]
    for file, group in zip(names, groups, strict=True):
        save_file({name: _checked(name, plan[name], make(name)) for name in group}, folder / file, {"format": "pt"})
    if len(groups) > 1:
        index = {
            "metadata": {"total_size": sum(one.size for one in plan.values())},
            "weight_map": {name: file for file, group in zip(names, groups, strict=True) for name in group},
        }
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n", "utf-8")
    return [folder / name for name in names]


def _groups(plan: Mapping[str, TensorPlan], shard_bytes: int) -> Iterator[list[str]]:
    """Names in order, cut before the one that would make a group larger than a shard may be."""
    group: list[str] = []
    filled = 0
    for name, one in plan.items():
        if group and filled + one.size > shard_bytes:
            yield group
            group, filled = [], 0
        group.append(name)
        filled += one.size
    yield group


def _checked(name: str, plan: TensorPlan, tensor: Tensor) -> Tensor:
    if (tuple(tensor.shape), tensor.dtype) != plan:
        raise ValueError(f"{name} is {tensor.dtype} {list(tensor.shape)}, but {plan} was planned")
    return tensor.contiguous()


class StoredTensors:
    """The tensors of weight files by name, read one at a time and never kept."""

    def __init__(self, files: list[Path]) -> None:
        self._file: dict[str, Path] = {}
        self.plan: dict[str, TensorPlan] = {}
        for file in files:
            with safe_open(file, framework="pt") as tensors:
                for name in tensors.keys():  # noqa: SIM118 - the reader is no mapping
                    part = tensors.get_slice(name)
                    self._file[name] = file
                    self.plan[name] = TensorPlan(tuple(part.get_shape()), _DTYPES[part.get_dtype()])

    def read(self, name: str) -> Tensor:
        """One tensor on the CPU, as stored."""
        with safe_open(self._file[name], framework="pt") as tensors:
            return tensors.get_tensor(name)


_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
