"""The dataset folder: three JSONL files and a manifest, replaced together. Knows no annotation format.

All four are written under temporary names first and renamed only when all are whole, the manifest last. Nothing else in
the folder is touched, and files of these names that no conversion wrote are never replaced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from grounding.errors import InputError
from grounding.samples import Manifest, Sample, Style, atomic_path, read_manifest, write_manifest, write_samples

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


def write_folder(out: Path, samples: Mapping[str, Sequence[Sample]], manifest: Manifest, style: Style) -> None:
    """Writes `<split>.jsonl` for each split (also an empty one, so that none of an earlier run stays) and the manifest.

    Raises RunError where something cannot be written; then the files of an earlier run are as they were.
    """
    with ExitStack() as renames:  # what is entered first is renamed last
        write_manifest(renames.enter_context(atomic_path(out / MANIFEST)), manifest)
        for split, lines in samples.items():
            write_samples(renames.enter_context(atomic_path(out / f"{split}.jsonl")), lines, style)


def _is_ours(path: Path) -> bool:
    try:
        return read_manifest(path).settings.get("made_by") == MADE_BY
    except InputError:  # not there, or something else of this name
        return False
