"""How far a long step is, told to whoever shows it. Knows names and numbers, not what is done."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

Progress = Callable[[str, int, "int | None"], None]  # (what is done, how far, out of how many or None)


def counting(step: str, total: int, progress: Progress) -> Callable[[int], None]:
    """A function to call for each thing done in a step of `total` things."""
    done = count(1)
    return lambda _: progress(step, next(done), total)
