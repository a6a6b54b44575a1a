"""What a user named as sources: is it there, and of the format that was said? Reads no annotation for a sound call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data_tools.readers import AUTO, recognised
from data_tools.splits import SPLITS
from grounding.closest import did_you_mean
from grounding.errors import InputError


def check_sources(sources: Sequence[tuple[str | None, Path]]) -> None:
    """Raises InputError for one that is not there."""
    for _, path in sources:
        if not path.exists():
            split, _, rest = str(path).partition("=")
            if rest and Path(rest).exists():
                problem = f"{split!r} is no split; SPLIT=SOURCE takes {', '.join(SPLITS)}"
                raise InputError(problem, where=str(path), fix=did_you_mean(split, SPLITS))
            beside = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
            raise InputError("no such file or folder", where=str(path), fix=did_you_mean(path.name, beside))


def better_named(error: InputError, path: Path, form: str) -> InputError:
    """The error; where the source is plainly of another format than the one that was named, with that said too."""
    how = "" if form == AUTO or type(error) is not InputError else recognised(path)
    if not how or how.startswith(f"{form}: "):
        return error
    fix = f"{path} is recognised as {how}. Leave --format out, or name that."
    return InputError(error.problem, where=error.where, fix=fix)
