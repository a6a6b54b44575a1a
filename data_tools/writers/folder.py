"""The dataset folder: a file for each split and a manifest, replaced together. Knows no annotation format.

All four are written under temporary names first and renamed only when all are whole, the manifest last. Nothing else in
the folder is touched, and files of these names that no conversion wrote are never replaced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from data_tools.writers import STYLES, Style
from data_tools.writers.findings import FINDINGS
from grounding.errors import InputError
from grounding.samples import Manifest, Sample, atomic_path, read_manifest, write_manifest

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


def write_folder(out: Path, samples: Mapping[str, Sequence[Sample]], manifest: Manifest, style: Style) -> None:
    """Writes `<split>.jsonl`, or another suffix of the style, for each split, and the manifest.

    Also for an empty split, so that no file of an earlier run stays.

    Raises RunError where something cannot be written; then the files of an earlier run are as they were.
    """
    with ExitStack() as renames:  # what is entered first is renamed last
        write_manifest(renames.enter_context(atomic_path(out / MANIFEST)), manifest)
        for split, lines in samples.items():
            style.write(renames.enter_context(atomic_path(out / f"{split}{style.suffix}")), lines)


def _is_ours(path: Path) -> bool:
    try:
        return read_manifest(path).settings.get("made_by") == MADE_BY
    except InputError:  # not there, or something else of this name
        return False
