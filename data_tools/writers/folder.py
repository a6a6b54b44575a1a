"""The dataset folder: a file for each split, findings and a manifest, replaced together. Knows no annotation format.

All are written under temporary names first and renamed only when all are whole, the manifest last. Files of these names
that no conversion wrote are never replaced, and a dataset is replaced by another one only where that is asked for:
someone may have looked through it, or mended it by hand. What was made of a dataset that is replaced goes with it.
"""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from operator import eq
from pathlib import Path
from typing import Any, overload

from data_tools.records import Tally
from data_tools.tiles import FOLDER as TILES
from data_tools.writers import STYLES, Style
from data_tools.writers.findings import FINDINGS, write_findings
from grounding.errors import InputError
from grounding.samples import Manifest, Sample, atomic_path, lines_of_file, read_manifest, write_manifest

MANIFEST = "manifest.json"
PAGE = "inspect.html"  # what `grounding inspect` makes of the dataset beside it
MADE_BY = "grounding convert"  # settings["made_by"] of the manifests that may be replaced
WHAT_TO_DO = "Name another folder with --out; --overwrite replaces this one."


def check_folder(out: Path, splits: Sequence[str], style: Style = STYLES["pairs"]) -> None:
    """Raises InputError where writing the dataset would replace something that is not a dataset of ours."""
    if out.exists() and not out.is_dir():
        raise InputError("is a file; a dataset is a folder", where=str(out), fix="Name another folder with --out.")
    names = [MANIFEST, FINDINGS, *(f"{split}{style.suffix}" for split in splits)]
    there = [name for name in names if (out / name).exists()]
    if there and _ours(out / MANIFEST) is None:
        raise InputError(
            f"holds {', '.join(there)}, which no conversion wrote; they would be replaced",
            where=str(out),
            fix="Name another folder with --out, or move them away.",
        )


def check_made_alike(out: Path, settings: Mapping[str, Any], inputs: Mapping[str, str]) -> None:
    """Raises InputError where the folder holds a dataset that was made with other settings or of other inputs.

    Args:
        settings: those of the manifest that are known so far.
        inputs: the hash of each file that was read so far, by path.
    """
    before = _ours(out / MANIFEST)
    if before is None:
        return
    changed = [
        f"{name} {before.settings[name]!r}, now {value!r}"
        for name, value in settings.items()
        if before.settings.get(name, value) != value
    ]
    changed += [f"{path} has changed" for path, digest in inputs.items() if before.inputs.get(path, digest) != digest]
    if changed:
        raise InputError(f"holds a dataset made otherwise: {'; '.join(changed)}", where=str(out), fix=WHAT_TO_DO)


class Folder:
    """A dataset folder that is being written; nothing of it has its final name yet.

    Attributes:
        outdated: names of files, and of the folder of tiles, that belong to the dataset that is overwritten and are
            not written anew; known once `tell` was called, and removed when all is well.
        had_tiles: whether the dataset that is overwritten is of tiles; known once `tell` was called.
    """

    def __init__(self, out: Path, style: Style, renames: ExitStack, overwrite: bool) -> None:
        self._out, self._style, self._renames, self._overwrite = out, style, renames, overwrite
        self._written: dict[Path, Path] = {}
        self._manifest = renames.enter_context(atomic_path(out / MANIFEST))  # entered first, it is renamed last
        self.outdated: list[str] = []
        self.had_tiles = False

    def write(self, split: str, samples: Iterable[Sample]) -> None:
        """Writes the samples of a split, also where there are none, so that no file of an earlier run stays."""
        path = self._out / f"{split}{self._style.suffix}"
        self._written[path] = self._renames.enter_context(atomic_path(path))
        self._style.write(self._written[path], samples)

    def write_lines(self, split: str, chunks: Iterable[bytes]) -> None:
        """The same of lines of pairs, some at a time, that no one looks at any more."""
        path = self._out / f"{split}{self._style.suffix}"
        self._written[path] = self._renames.enter_context(atomic_path(path))
        with self._written[path].open("wb") as file:
            file.writelines(chunks)

    def tell(self, manifest: Manifest, tally: Tally | None = None) -> None:
        """Writes the manifest and, where there is a tally, the findings, once all splits are written.

        Raises:
            InputError: the folder holds a dataset of other samples, and may not be overwritten.
        """
        before = _ours(self._out / MANIFEST)
        changed = [] if before is None or self._overwrite else self._changed(before, manifest)
        if changed:
            raise InputError(
                f"holds a dataset that this would change: {', '.join(changed)}. It was edited since, or made of other "
                "images, or by another version",
                where=str(self._out),
                fix=WHAT_TO_DO,
            )
        if before is not None and self._overwrite:
            others = sorted({style.suffix for style in STYLES.values()} - {self._style.suffix})
            left = [PAGE, *(path.with_suffix(suffix).name for path in self._written for suffix in others)]
            self.had_tiles = bool(before.settings.get("tiles"))
            if self.had_tiles and not manifest.settings.get("tiles"):
                left.append(TILES)
            self.outdated = [name for name in left if (self._out / name).exists()]
        write_manifest(self._manifest, manifest)
        if tally is not None:
            place = self._renames.enter_context(atomic_path(self._out / FINDINGS))
            write_findings(place, tally, in_tiles=bool(manifest.settings.get("tiles")))

    def _changed(self, before: Manifest, manifest: Manifest) -> list[str]:
        """Names of the files of the earlier dataset that would not say the same any more."""
        names = [
            final.name
            for final, fresh in self._written.items()
            if not final.exists() or not filecmp.cmp(final, fresh, shallow=False)
        ]
        return names if _meaning(before) == _meaning(manifest) else [*names, MANIFEST]


def _meaning(manifest: Manifest) -> tuple[Any, ...]:
    """What of a manifest says how samples are read."""
    return manifest.image_root, manifest.not_found, manifest.answers


@contextmanager
def replaced_folder(out: Path, style: Style, *, overwrite: bool = False) -> Iterator[Folder]:
    """The folder to write the splits and then the manifest to; all get their final names when the block ends well.

    Raises:
        InputError: it holds a dataset of other samples; nothing is replaced then, unless `overwrite`.
        RunError: something cannot be written; then the files of an earlier run are as they were.
    """
    with ExitStack() as renames:
        folder = Folder(out, style, renames, overwrite)
        yield folder
    for path in (out / name for name in folder.outdated):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def write_folder(
    out: Path,
    samples: Mapping[str, Iterable[Sample]],
    manifest: Manifest,
    style: Style,
    *,
    overwrite: bool = False,
) -> None:
    """Writes `<split>.jsonl`, or another suffix of the style, for each split, and the manifest.

    Raises as `replaced_folder`.
    """
    with replaced_folder(out, style, overwrite=overwrite) as folder:
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


def _ours(path: Path) -> Manifest | None:
    """The manifest, where a conversion wrote it."""
    try:
        manifest = read_manifest(path)
    except InputError:  # not there, or something else of this name
        return None
    return manifest if manifest.settings.get("made_by") == MADE_BY else None
