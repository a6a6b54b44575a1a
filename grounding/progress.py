"""How far a long step is: a bar at a terminal, a plain line now and then where stderr goes into a file or a log.

Knows stderr and which process speaks; does not know what is worked on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import monotonic
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from grounding.processes import is_first

EVERY = 30.0  # seconds between two plain lines

Step = Callable[[str, int | None], AbstractContextManager[Callable[[int], None]]]
"""Opens a step of that name and size (None: not known); inside it, a function is told how much more is done."""


@contextmanager
def waiting(name: str) -> Iterator[None]:
    """A line at a terminal that says what is waited for, where nobody knows how long; it goes with the block.

    Print behind the block, not in it.
    """
    console = Console(stderr=True)
    shown = console.is_terminal and is_first()
    with console.status(escape(f"{name} ...")) if shown else nullcontext():
        yield


class Bars(Progress):
    """Bars on stderr, or a line of text each half minute where that is no terminal; of the first process alone.

    A step may have a field `note`, which stands behind its bar.

    Args:
        quiet: say nothing.
        transient: bars go when they are done.
        clock: seconds that only rise.
    """

    def __init__(self, *, quiet: bool = False, transient: bool = True, clock: Callable[[], float] = monotonic) -> None:
        console = Console(stderr=True)
        silent = quiet or not is_first()
        self._in_lines = not silent and not console.is_terminal
        self._next_line = clock() + EVERY
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            _Note(),
        )
        disable = silent or not console.is_terminal
        super().__init__(*columns, console=console, transient=transient, disable=disable, get_time=clock)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        super().advance(task_id, advance)
        self._say(task_id)

    def update(self, task_id: TaskID, **changes: Any) -> None:
        super().update(task_id, **changes)
        self._say(task_id)

    def _say(self, task_id: TaskID) -> None:
        """The plain line of a step, if it is time for one."""
        if self._in_lines and (now := self.get_time()) >= self._next_line:
            self._next_line = now + EVERY
            print(_line(self._tasks[task_id]), file=sys.stderr, flush=True)

    @contextmanager
    def step(self, name: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """A bar that is gone when the block is left; the function is told how much more is done."""
        task = self.add_task(name, total=total)
        yield lambda done: self.advance(task, done)
        self.remove_task(task)


class _Note(ProgressColumn):
    """The field `note` of a step, where it has one."""

    def render(self, task: Task) -> Text:
        return Text(task.fields.get("note", ""))


def _line(task: Task) -> str:
    """`training 120/400, 0:12:30 left, loss 0.31`."""
    parts = [f"{task.description} {task.completed:,.0f}" + ("" if task.total is None else f"/{task.total:,.0f}")]
    left = task.time_remaining
    if left:
        minutes, seconds = divmod(round(left), 60)
        parts.append(f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d} left")
    if note := task.fields.get("note"):
        parts.append(note)
    return ", ".join(parts)
