"""Opens a dataset: a folder with one JSONL file a split, one such file, or CogVLM's `images/` and `labels/`.

Samples stay in their files and are read when they are gone through. Opens no image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from data_tools.readers import recognised
from data_tools.splits import SPLITS
from data_tools.writers.findings import FINDINGS
from data_tools.writers.folder import MADE_BY, MANIFEST
from grounding.closest import did_you_mean_path
from grounding.errors import InputError, ManyErrors
from grounding.samples import Dataset, Manifest, open_dataset, read_manifest
from grounding.samples.conversations import is_cogvlm_folder


@dataclass(frozen=True)
class Opened:
    """A dataset by split.

    Attributes:
        path: the folder or file named.
        splits: split -> its samples, for those that have any; train, val, test first.
        empty: splits whose file has no line.
        faults: split -> what is wrong with each line that cannot be used; none of these is among its samples.
        manifest: what stands beside the files, None where nothing does.
    """

    path: Path
    splits: Mapping[str, Dataset]
    empty: tuple[str, ...]
    faults: Mapping[str, tuple[str, ...]]
    manifest: Manifest | None

    @property
    def folder(self) -> Path:
        """The folder that the dataset lies in."""
        return self.path if self.path.is_dir() else self.path.parent

    @property
    def conversion(self) -> Manifest | None:
        """The manifest, where `grounding convert` wrote it, so that its counts and settings mean what ours do."""
        ours = self.manifest is not None and self.manifest.settings.get("made_by") == MADE_BY
        return self.manifest if ours else None

    @property
    def group_by(self) -> str | None:
        """What `convert --group-by` was, where it was given."""
        return self.conversion.settings.get("group_by") if self.conversion else None

    @property
    def not_found(self) -> Mapping[str, str]:
        """The not-found sentence by language, where the manifest sets one."""
        return self.manifest.not_found if self.manifest else {}


def open_splits(path: Path, images: Path | None = None, *, tolerant: bool = False) -> Opened:
    """Opens every split of a dataset.

    Args:
        images: an image root in place of the one that the manifest names.
        tolerant: lines that cannot be used are no error but stand in `faults`; the others are opened.

    Raises:
        InputError: there is no dataset, its manifest cannot be read, or, unless `tolerant`, a line of it.
    """
    files = split_files(path)
    check_root(images)
    beside = (path if path.is_dir() else path.parent) / MANIFEST
    manifest = read_manifest(beside) if beside.is_file() else None
    splits: dict[str, Dataset] = {}
    faults: dict[str, tuple[str, ...]] = {}
    empty = tuple(name for name, file in files.items() if file.is_file() and not file.stat().st_size)
    for name, file in files.items():
        if name in empty:
            continue
        wrong: list[InputError] | None = [] if tolerant else None
        try:
            opened = open_dataset(file, images, wrong)
        except InputError as error:
            if wrong is None:
                raise
            faults[name] = tuple(error.problems) if isinstance(error, ManyErrors) else (str(error),)
            continue
        if len(opened.samples):
            splits[name] = opened
        if wrong:
            faults[name] = tuple(map(str, wrong))
    if not splits and not faults:
        raise InputError("every split is empty.", where=str(path), fix="Convert annotations with boxes in them.")
    return Opened(path, splits, empty, faults, manifest)


def check_root(images: Path | None) -> None:
    """Raises InputError for an image root that was named and is not there."""
    if images is not None and not images.is_dir():
        raise InputError("no such folder", where=f"--images {images}", fix=did_you_mean_path(images))


def split_files(path: Path) -> dict[str, Path]:
    """Split -> its file: train, val and test where they are there, else every JSONL file, else the folder itself.

    Raises InputError where there is no dataset at all.
    """
    if not path.exists():
        fix = f"{did_you_mean_path(path)} Name what `grounding convert` made.".lstrip()
        raise InputError("there is no such file or folder.", where=str(path), fix=fix)
    if path.name in (MANIFEST, FINDINGS):
        raise InputError("stands beside a dataset and holds no sample.", where=str(path), fix="Name its folder.")
    if not path.is_dir():
        return {path.stem: path}
    usual = {name: path / f"{name}.jsonl" for name in SPLITS if (path / f"{name}.jsonl").is_file()}
    other = {file.stem: file for file in sorted(path.glob("*.jsonl")) if file.name != FINDINGS}
    if not usual and not other:
        _check_folder(path)
    return usual or other or {path.name: path}


def _check_folder(path: Path) -> None:
    """Raises InputError for a folder of annotations that are no samples yet, and for one of neither."""
    how = recognised(path)
    if how and not how.startswith("conversations: "):
        fix = f"Convert them first: grounding convert {path} --out DIR"
        raise InputError(f"holds annotations ({how}), and no dataset yet.", where=str(path), fix=fix)
    if not is_cogvlm_folder(path):
        fix = "Name the file or folder of a dataset, as `grounding convert` makes it."
        raise InputError("holds no .jsonl file of a dataset.", where=str(path), fix=fix)
