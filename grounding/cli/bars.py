"""Progress on stderr of steps that follow one another. Knows names and numbers of steps, not what is done in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from data_tools.progress import Progress
from grounding.progress import Bars

STRIDE = 20  # things done between two moves of a bar


@contextmanager
def bars(quiet: bool = False) -> Iterator[Progress]:
    """A bar for each long step, gone when the next one begins; plain lines where stderr is no terminal."""
    with Bars(quiet=quiet) as shown:
        last: str | None = None
        shown_at = 0

        def progress(step: str, done: int, total: int | None) -> None:
            """Moves the bar of a step; the bar of the step before goes."""
            nonlocal last, shown_at
            if step != last:  # told for each thing of hundreds of thousands; to ask the bar takes a lock
                last, shown_at = step, 0
                for task in list(shown.task_ids):
                    shown.remove_task(task)
                shown.add_task(step, total=total)
            if done >= shown_at + STRIDE or done == total:
                shown_at = done
                shown.update(shown.task_ids[0], completed=done)

        yield progress
