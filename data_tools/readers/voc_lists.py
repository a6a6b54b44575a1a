"""The lists of ImageSets/Main: which image is in which official split. Knows no XML and no image.

train.txt, val.txt, test.txt and trainval.txt count; the lists of single classes (cat_train.txt) do not. trainval holds
what the other two hold: an image that stands there alone goes to train or val by hash.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

from data_tools.records import Finding

# The first one that names an image has it: what is measured on is never trained on.
SPLITS = ("test", "val", "train", "trainval")


def find_lists(image_sets: Path | None) -> list[Path]:
    """The list files below an ImageSets folder, in the order of SPLITS; empty where there are none."""
    if image_sets is None:
        return []
    main = next(
        (child for child in sorted(image_sets.iterdir()) if child.is_dir() and child.name.lower() == "main"), None
    )
    return [path for split in SPLITS if main is not None and (path := main / f"{split}.txt").is_file()]


def read_lists(lists: Mapping[str, str], stems: Collection[str]) -> tuple[dict[str, str], list[Finding]]:
    """Stem of an annotation file -> its split, and what was found on the way.

    Args:
        lists: split -> text of its list, one name a line; a second column (1, -1, 0) is passed over.
        stems: of all annotation files, without suffix.
    """
    known = set(stems)
    splits: dict[str, str] = {}
    findings: list[Finding] = []
    missing: set[str] = set()
    for split in SPLITS:
        for number, line in enumerate(lists.get(split, "").splitlines(), start=1):
            place = f"ImageSets/Main/{split}.txt:{number}"
            if not line.strip():
                continue
            stem = _match(line, known)
            if stem is None:
                if line.strip() not in missing:
                    findings.append(Finding("listed_without_annotation", place, line.strip()))
                missing.add(line.strip())
            elif stem not in splits:
                splits[stem] = split
            elif splits[stem] != split and (split != "trainval" or splits[stem] == "test"):
                findings.append(Finding("in_several_lists", place, f"{stem}: also in {splits[stem]}.txt"))
    return splits, findings


def _match(line: str, known: set[str]) -> str | None:
    """The annotation file that a line names: the whole line, its first column, or either without an image's suffix."""
    for name in (line.strip(), line.split()[0]):
        for stem in (name, str(PurePosixPath(name).with_suffix(""))):
            if stem in known:
                return stem
    return None
