"""Whether a file or folder that a call names is there, before anything is imported or read that takes time.

Knows names of files, and what may have been meant by one that is not there; does not know what is in them.
"""

from __future__ import annotations

from pathlib import Path

from grounding.closest import did_you_mean_path
from grounding.errors import InputError


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
