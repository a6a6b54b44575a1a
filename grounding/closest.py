"""What someone may have meant who wrote a name or a path that there is not. Knows no commands and opens no file."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

LOOKED_AT = 5_000  # names of a folder; to hold one against a hundred thousand takes seconds


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """A question that names the choice most like `word`, whatever the case; empty where none is like it.

    Likeness is difflib's: at least 0.6 of the letters of both, in their order.
    """
    closest = _closest(word, choices)
    return "" if closest is None else f"Did you mean {closest!r}?"


def did_you_mean_path(path: str | Path, names: Iterable[str] = ()) -> str:
    """A question that names what is there and most like a path that is not; empty where nothing is like it.

    Each part that is not there is held against what the folder before it holds, so that several may be mistyped.

    Args:
        names: that could have been meant besides, where the path is a mere name.
    """
    here = Path(path)
    there = next((folder for folder in here.parents if folder.is_dir()), None)
    if there is None:
        return ""
    found = there
    for part in here.relative_to(there).parts:
        if (found / part).exists():
            found /= part
            continue
        closest = _closest_file(part, [*(names if len(here.parts) == 1 else ()), *_names_in(found)])
        if closest is None:
            return ""
        found /= closest
    return f"Did you mean '{found}'?"


def _closest(word: str, choices: Iterable[str]) -> str | None:
    lowered = {choice.casefold(): choice for choice in choices}
    closest = get_close_matches(word.strip().casefold(), lowered, n=1)
    return lowered[closest[0]] if closest else None


def _closest_file(name: str, files: Iterable[str]) -> str | None:
    """The same of names of files, by what stands before the suffix: that both end in .jsonl does not make them alike.

    Of those with the same suffix, where one is like it; else of the others.
    """
    stem, suffix = Path(name).stem, Path(name).suffix.casefold()
    same: dict[str, str] = {}
    others: dict[str, str] = {}
    for file in files:
        (same if Path(file).suffix.casefold() == suffix else others)[Path(file).stem] = file
    for stems in (same, others):
        if (closest := _closest(stem, stems)) is not None:
            return stems[closest]
    return None


def _names_in(folder: Path) -> list[str]:
    """Of what a folder holds, without what is hidden; none where it may not be read."""
    try:
        return sorted(one.name for one in islice(folder.iterdir(), LOOKED_AT) if not one.name.startswith("."))
    except OSError:
        return []
