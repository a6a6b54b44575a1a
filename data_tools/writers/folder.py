"""The dataset folder: three JSONL files and a manifest, replaced together. Knows no annotation format.

All four are written under temporary names first and renamed only when all are whole, the manifest last. Nothing else in
the folder is touched, and files of these names that no conversion wrote are never replaced.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from operator import eq
from pathlib import Path
from typing import overload

import numpy as np

from grounding.errors import InputError
from grounding.samples import (
    Lines,
    Manifest,
    Sample,
    Style,
    atomic_path,
    encode_sample,
    lines_written,
    read_manifest,
    write_manifest,
)

BUFFER = 1 << 20  # bytes that are written at once
MANIFEST = "manifest.json"
MADE_BY = "grounding convert"  # settings["made_by"] of the manifests that may be replaced


def check_folder(out: Path, splits: Sequence[str]) -> None:
    """Raises InputError where writing the dataset would replace something that is not a dataset of ours."""
    if out.exists() and not out.is_dir():
        raise InputError("is a file; a dataset is a folder", where=str(out), fix="Name another folder with --out.")
    names = [MANIFEST, *(f"{split}.jsonl" for split in splits)]
    there = [name for name in names if (out / name).exists()]
    if there and not _is_ours(out / MANIFEST):
        raise InputError(
            f"holds {', '.join(there)}, which no conversion wrote; they would be replaced",
            where=str(out),
            fix="Name another folder with --out, or move them away.",
        )


def write_folder(
    out: Path,
    samples: Mapping[str, Iterable[Sample]],
    manifest: Manifest | Callable[[], Manifest],
    style: Style,
) -> dict[str, Sequence[Sample]]:
    """Writes `<split>.jsonl` for each split (also an empty one, so that none of an earlier run stays) and the manifest.

    Args:
        out: the folder.
        samples: of each split, with ids of their own; gone through once, one split after the other.
        manifest: or what makes it when all samples are written.
        style: of the lines.

    Returns:
        the samples of each split, left in their files.

    Raises:
        InputError: an id stands twice in a split, or a sample could not be read again.
        RunError: something cannot be written. Then, as always, the files of an earlier run are as they were.
    """
    offsets: dict[str, array[int]] = {}
    with ExitStack() as renames:  # what is entered first is renamed last
        told = renames.enter_context(atomic_path(out / MANIFEST))
        for split, some in samples.items():
            path = renames.enter_context(atomic_path(out / f"{split}.jsonl"))
            offsets[split] = _write_lines(path, some, style)
        write_manifest(told, manifest() if callable(manifest) else manifest)
    return {split: Left(lines_written(out / f"{split}.jsonl", starts)) for split, starts in offsets.items()}


class Left(Sequence[Sample]):
    """Samples left in the file that they were written to; equal to any others of the same content."""

    def __init__(self, lines: Lines[Sample]) -> None:
        self._lines = lines

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, place: int) -> Sample: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Sample]: ...
    def __getitem__(self, place: int | slice) -> Sample | Sequence[Sample]:
        return self._lines[place]

    def __iter__(self) -> Iterator[Sample]:
        return iter(self._lines)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]  # as a list


def _write_lines(path: Path, samples: Iterable[Sample], style: Style) -> array[int]:
    """Writes one sample a line; returns where each line starts."""
    starts, hashes = array("q"), array("q")
    at = 0
    with path.open("wb", buffering=BUFFER) as file:
        for sample in samples:
            starts.append(at)
            hashes.append(hash(sample.id))
            at += file.write(encode_sample(sample, style))
    if len(np.unique(hashes)) < len(hashes):  # some id stands twice, or two have one hash
        ids = Counter(sample.id for sample in lines_written(path, starts))
        if twice := [name for name, count in ids.items() if count > 1]:
            raise InputError("its id stands twice; ids must be unique.", where=f"sample {twice[0]!r}")
    return starts


def _is_ours(path: Path) -> bool:
    try:
        return read_manifest(path).settings.get("made_by") == MADE_BY
    except InputError:  # not there, or something else of this name
        return False
