"""How far a long step is: a bar at a terminal, a plain line now and then where stderr goes into a file or a log.

Knows the standard streams and which process speaks; does not know what is worked on. What is printed meanwhile stands
above the bars, by whichever way it is printed: rich's own redirection is passed over by click and by other consoles.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from time import monotonic
from typing import Any, TextIO

from rich.console import Console
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
    """A line at a terminal that says what is waited for, where nobody knows how long; it goes with the block."""
    with Bars(columns=(SpinnerColumn(), TextColumn("{task.description} ...", markup=False))) as bars:
        bars.add_task(name, total=None)
        yield


class Bars(Progress):
    """Bars on stderr, or a line of text each half minute where that is no terminal; of the first process alone.

    A step may have a field `note`, which stands behind its bar.

    Args:
        quiet: say nothing.
        transient: bars go when they are done.
        clock: seconds that only rise.
        columns: of a step's line; name, bar, numbers, time left and note where none are given.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        transient: bool = True,
        clock: Callable[[], float] = monotonic,
        columns: tuple[ProgressColumn, ...] = (),
    ) -> None:
        console = Console(file=sys.stderr)
        silent = quiet or not is_first()
        self._in_lines = not silent and not console.is_terminal
        self._next_line = clock() + EVERY
        columns = columns or (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            _Note(),
        )
        self._streams: tuple[TextIO, TextIO] | None = None
        super().__init__(
            *columns,
            console=console,
            transient=transient,
            disable=silent or not console.is_terminal,
            get_time=clock,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def start(self) -> None:
        super().start()
        if self.live.is_started and self._streams is None:
            self._streams = sys.stdout, sys.stderr
            sys.stdout, sys.stderr = (
                _Above(self.console, stream) if stream.isatty() else stream for stream in self._streams
            )

    def stop(self) -> None:
        above = (sys.stdout, sys.stderr) if self._streams is not None else ()
        if self._streams is not None:
            (sys.stdout, sys.stderr), self._streams = self._streams, None
        super().stop()
        for stream in above:
            stream.flush()

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


class _Above(io.TextIOBase):
    """A stream at the bars' terminal, whose lines are put above them."""

    def __init__(self, console: Console, stream: TextIO) -> None:
        self._console, self._stream, self._begun, self._process = console, stream, "", os.getpid()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self._stream.errors

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if os.getpid() != self._process:  # a fork has no bars, and perhaps a lock of theirs that nobody gives back
            return self._stream.write(text)
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._console.print(Text.from_ansi(line), soft_wrap=True, highlight=False)
        return len(text)

    def flush(self) -> None:
        """Writes a line that was begun when the bars are gone; before, it waits for its end."""
        if sys.stdout is not self and sys.stderr is not self and self._begun:
            self._stream.write(self._begun)
            self._begun = ""


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
