"""How far a long step is, told to whoever shows it. Knows names and numbers, not what is done."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, "int | None"], None]  # (what is done, how far, out of how many or None)


def counting(step: str, total: int, progress: Progress) -> Callable[[int], None]:
    """A function to tell how many more things are done in a step of `total` things."""
    done = 0

    def advance(more: int) -> None:
        nonlocal done
        done += more
        progress(step, done, total)

    return advance
