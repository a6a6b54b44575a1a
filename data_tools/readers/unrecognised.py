"""Why a SOURCE is of no format that `--format auto` knows, and what near it is of one. Knows no reader.

A broken file is told, a kind that is named, a folder of images alone; and where a part of a dataset was named, or the
folder of several, what should have been.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from data_tools.readers.documents import load_patiently, read_bytes
from data_tools.readers.image_files import SUFFIXES
from data_tools.readers.look import Look
from data_tools.readers.yolo_yaml import find_data_yaml
from grounding.counted import counted
from grounding.errors import InputError

PARTS = frozenset({"annotations", "images", "imagesets", "jpegimages", "labels", "main"})
"""Folders, in small letters, that are a part of a dataset."""
FOLDERS = 20  # of a folder that are looked into
TOLD = 3


def why_unknown(look: Look) -> InputError | None:
    """What to tell of a SOURCE that no format fits, None where there is nothing better than that."""
    try:
        _check_sound(look)
    except InputError as error:
        return error
    tables = look.below("*.csv") or ([look.path] if look.path.suffix.lower() == ".csv" else [])
    if tables:
        return InputError(
            "is a table; of these only the folder with the CSV files of Open Images is read",
            where=str(tables[0]),
            fix="Make COCO of it; or write a reader, as docs/readers.md shows.",
        )
    return _no_annotations(look)


def _no_annotations(look: Look) -> InputError | None:
    """For a folder of nothing or of images alone, and for an image."""
    if not look.is_folder:
        problem = "is an image" if look.path.suffix in SUFFIXES else None
    elif not (held := list(look.path.iterdir())):
        problem = "is an empty folder"
    elif all(path.suffix in SUFFIXES for path in held):
        problem = f"is a folder of {counted(len(held), 'image')} and nothing else"
    else:
        problem = None
    fix = "Name the file or folder of the annotations; --images names that of the images, where they do not say it."
    return InputError(f"{problem}; annotations are needed", where=str(look.path), fix=fix) if problem else None


def what_is_near(source: Path, recognised: Callable[[Path], str]) -> str:
    """What to name in the place of a part of a dataset, or of a folder with several; empty where nothing is found.

    Args:
        recognised: says in words of which format something is; empty where it is of none.
    """
    above = [path for path in (source.parent, source) if path.name.lower() in PARTS]
    below = islice((path for path in sorted(source.iterdir()) if path.is_dir()), FOLDERS) if source.is_dir() else ()
    near = ((path, recognised(path)) for path in (*(part.parent for part in above), *below))
    found = [f"{path} ({how})" for path, how in islice((one for one in near if one[1]), TOLD)]
    return f"Is one of these meant: {'; '.join(found)}?" if len(found) > 1 else f"Is {found[0]} meant?" if found else ""


def _check_sound(look: Look) -> None:
    """Raises InputError for the first JSON, JSON Lines or YAML file that is none."""
    find_data_yaml(look.path)
    for each in look.documents:
        suffix = each.path.suffix.lower()
        if each.document or each.lines:
            continue
        if suffix == ".json":
            load_patiently(read_bytes(each.path), each.path)
        elif suffix == ".jsonl":
            _check_first_line(each)


def _check_first_line(look: Look) -> None:
    lines = enumerate(read_bytes(look.path).splitlines(), start=1)
    number, first = next(((number, line) for number, line in lines if line.strip()), (1, b""))
    try:
        json.loads(first)
    except (ValueError, RecursionError) as error:
        fix = "One JSON object a line is needed."
        raise InputError(f"is no JSON: {error}", where=f"{look.path}:{number}", fix=fix) from error
