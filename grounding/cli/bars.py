"""Progress on stderr: a bar for each long step. Knows names and numbers of steps, not what is done in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from data_tools.progress import Progress

STRIDE = 20  # things done between two moves of a bar


@contextmanager
def bars(quiet: bool = False) -> Iterator[Progress]:
    """A bar on stderr for each long step, gone when it is done; none where stderr is no terminal."""
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    if quiet or not console.is_terminal:
        yield lambda *_: None
        return
    shown = Bars(*columns, console=console, transient=True)

    def progress(step: str, done: int, total: int | None) -> None:
        """Moves the bar of a step; the bar of the step before goes."""
        if not shown.tasks or shown.tasks[0].description != escape(step):
            for task in list(shown.task_ids):
                shown.remove_task(task)
            shown.add_task(escape(step), total=total)
        if done % STRIDE == 0 or done == total:
            shown.update(shown.task_ids[0], completed=done)

    with shown:
        yield progress
