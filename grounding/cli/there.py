"""Whether a file or folder that a call names is there, before anything is imported or read that takes time.

Knows names of files, what may have been meant by one that is not there, and annotations by their first line; reads
nothing else of what is in them.
"""

from __future__ import annotations

import json
from pathlib import Path

from grounding.closest import did_you_mean_path
from grounding.errors import InputError

LINE = 2**20  # bytes of a first line; annotations may be one of hundreds of megabytes


def check_there(path: str | Path | None, what: str, fix: str | None = None) -> None:
    """Sees that a path is there, whatever lies at it; None is nothing to look for.

    Args:
        what: it is to be, such as "image file or folder".
        fix: what to do, behind what may have been meant.

    Raises:
        InputError: it is not.
    """
    if path is None or Path(path).exists():
        return
    told = " ".join(part for part in (did_you_mean_path(path), fix) if part)
    raise InputError(f"there is no such {what}.", where=str(path), fix=told or None)


def check_data_there(path: str | Path) -> None:
    """Sees that data are there, and are no annotations that `grounding convert` is still to be given.

    Raises:
        InputError: they are not, or they are.
    """
    check_there(path, "file or folder of data", "`grounding convert` makes such from annotations.")
    if Path(path).suffix.lower() == ".json" and Path(path).is_file() and not _has_samples(Path(path)):
        raise InputError(
            "is one JSON document, such as annotations are; a dataset has a sample a line (.jsonl).",
            where=str(path),
            fix=f"Make one of it: grounding convert {path} --out DIR",
        )


def check_out(out: Path) -> None:
    """Sees that a folder can be made there, or is there.

    Raises:
        InputError: a file is.
    """
    if out.exists() and not out.is_dir():
        raise InputError("is a file; a folder is written.", where=f"--out {out}", fix="Name a new folder.")


def check_answers_there(path: Path | None) -> None:
    """Sees that a predictions file is there; a report folder holds one, and is none.

    Raises:
        InputError: it is not, or a folder is.
    """
    check_there(path, "predictions file")
    if path is not None and path.is_dir():
        inside = path / "predictions.jsonl"
        fix = f"Name the answers in it: {inside}" if inside.is_file() else "Name a JSONL file of answers."
        raise InputError("is a folder.", where=str(path), fix=fix)


def _has_samples(path: Path) -> bool:
    """Whether the first line is a JSON object with an id, whatever the file is called."""
    with path.open("rb") as file:
        line = file.readline(LINE)
    try:
        first = json.loads(line)
    except ValueError:
        return False
    return isinstance(first, dict) and "id" in first
