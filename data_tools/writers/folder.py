"""The dataset folder: a file for each split and a manifest, replaced together. Knows no annotation format.

All four are written under temporary names first and renamed only when all are whole, the manifest last. Nothing else in
the folder is touched, and files of these names that no conversion wrote are never replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from operator import eq
from pathlib import Path
from typing import overload

from data_tools.writers import STYLES, Style
from data_tools.writers.findings import FINDINGS
from grounding.errors import InputError
from grounding.samples import Manifest, Sample, atomic_path, lines_of_file, read_manifest, write_manifest

MANIFEST = "manifest.json"
MADE_BY = "grounding convert"  # settings["made_by"] of the manifests that may be replaced


def check_folder(out: Path, splits: Sequence[str], style: Style = STYLES["pairs"]) -> None:
    """Raises InputError where writing the dataset would replace something that is not a dataset of ours.

    Or where files of an earlier run would stay beside it, since their style has another suffix.
    """
    if out.exists() and not out.is_dir():
        raise InputError("is a file; a dataset is a folder", where=str(out), fix="Name another folder with --out.")
    names = [MANIFEST, FINDINGS, *(f"{split}{style.suffix}" for split in splits)]
    there = [name for name in names if (out / name).exists()]
    if there and not _is_ours(out / MANIFEST):
        raise InputError(
            f"holds {', '.join(there)}, which no conversion wrote; they would be replaced",
            where=str(out),
            fix="Name another folder with --out, or move them away.",
        )
    others = sorted({one.suffix for one in STYLES.values()} - {style.suffix})
    left = [name for split in splits for other in others if (out / (name := f"{split}{other}")).exists()]
    if left:
        raise InputError(
            f"holds {', '.join(left)} of an earlier conversion in another style, which would stay beside this one",
            where=str(out),
            fix="Name another folder with --out, or move them away.",
        )


class Folder:
    """A dataset folder that is being written; nothing of it has its final name yet."""

    def __init__(self, out: Path, style: Style, renames: ExitStack) -> None:
        self._out, self._style, self._renames = out, style, renames
        self._manifest = renames.enter_context(atomic_path(out / MANIFEST))  # entered first, it is renamed last

    def write(self, split: str, samples: Iterable[Sample]) -> None:
        """Writes the samples of a split, also where there are none, so that no file of an earlier run stays."""
        path = self._out / f"{split}{self._style.suffix}"
        self._style.write(self._renames.enter_context(atomic_path(path)), samples)

    def tell(self, manifest: Manifest) -> None:
        """Writes the manifest."""
        write_manifest(self._manifest, manifest)


@contextmanager
def replaced_folder(out: Path, style: Style) -> Iterator[Folder]:
    """The folder to write the splits and then the manifest to; all get their final names when the block ends well.

    Raises:
        RunError: something cannot be written; then the files of an earlier run are as they were.
    """
    with ExitStack() as renames:
        yield Folder(out, style, renames)


def write_folder(out: Path, samples: Mapping[str, Iterable[Sample]], manifest: Manifest, style: Style) -> None:
    """Writes `<split>.jsonl`, or another suffix of the style, for each split, and the manifest. Raises RunError."""
    with replaced_folder(out, style) as folder:
        for split, some in samples.items():
            folder.write(split, some)
        folder.tell(manifest)


class Left(Sequence[Sample]):
    """Samples left in the file that they were written to; equal to any others of the same content."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def _lines(self) -> Sequence[Sample]:
        return lines_of_file(self._path)

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


def _is_ours(path: Path) -> bool:
    try:
        return read_manifest(path).settings.get("made_by") == MADE_BY
    except InputError:  # not there, or something else of this name
        return False
