"""How far a step is, told where stderr is no terminal: a line now and then, and only of the process that speaks."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable

import click
import pytest
from rich.console import Console

from grounding.progress import EVERY, Bars, waiting


@pytest.fixture
def clock() -> Callable[..., float]:
    """Seconds that stand still until they are told to go on."""
    now = [0.0]

    def read(on: float = 0.0) -> float:
        now[0] += on
        return now[0]

    return read


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_line_each_half_minute_and_none_before(
    clock: Callable[..., float], capsys: pytest.CaptureFixture[str]
) -> None:
    with Bars(clock=clock) as bars, bars.step("answering [x]", 1000) as done:
        for _ in range(10):
            clock(EVERY / 4)
            done(50)
    assert lines(capsys) == ["answering [x] 200/1,000, 0:02:00 left", "answering [x] 400/1,000, 0:01:30 left"]


def test_a_size_that_is_not_known_and_a_note(clock: Callable[..., float], capsys: pytest.CaptureFixture[str]) -> None:
    with Bars(clock=clock) as bars:
        task = bars.add_task("training", total=None, note="loss 0.5")
        clock(EVERY)
        bars.update(task, completed=7)
    assert lines(capsys) == ["training 7, loss 0.5"]


def test_silence(
    clock: Callable[..., float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for quiet, rank in ((True, "0"), (False, "1")):
        monkeypatch.setenv("RANK", rank)
        with Bars(quiet=quiet, clock=clock) as bars, bars.step("answering", 10) as done:
            clock(2 * EVERY)
            done(5)
    assert lines(capsys) == []


def test_bars_and_no_lines_at_a_terminal(
    clock: Callable[..., float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # by which rich takes anything for a terminal
    with Bars(clock=clock) as bars, bars.step("answering [x]", 10) as done:
        clock(2 * EVERY)
        done(5)
        bars.refresh()
    seen = capsys.readouterr().err
    assert "5/10" in seen and "answering [x]" in seen and "answering [x] 5/10," not in seen


@pytest.mark.parametrize("terminal", [True, False])
def test_what_is_waited_for_is_said_at_a_terminal_and_goes(
    terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1" if terminal else "")  # rich's word for: this is a terminal
    monkeypatch.setenv("TERM", "xterm")
    with waiting("loading [x]"):
        pass
    captured = capsys.readouterr()
    assert not captured.out
    assert ("loading [x] ..." in captured.err) == terminal
    assert captured.err.endswith("\x1b[2K") == terminal, "the line is cleared"


class Terminal(io.StringIO):
    """What was written to a terminal."""

    encoding, errors = "utf-8", "strict"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True

    @property
    def lines(self) -> list[str]:
        """What stood on a line at any time, from where it was last cleared."""
        return [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", part) for part in re.split(r"\n|\x1b\[2K", self.getvalue())]


def at_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Stands for stdout and stderr from here on; no fixture, for pytest puts its own streams in between."""
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, terminal)
    return terminal


def test_what_is_printed_meanwhile_has_lines_of_its_own_above_the_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at_terminal(monkeypatch)
    with Bars(transient=False) as bars, bars.step("answering", 10) as done:
        bars.refresh()
        click.echo("by click [x]")
        click.echo("of an error", err=True)
        Console().print("by rich")
        print("in ", end="")
        print("two parts")
        done(5)
        bars.refresh()
        print("the end", end="")
    assert (sys.stdout, sys.stderr) == (terminal, terminal)
    click.echo(".")
    lines = terminal.lines
    for said in ("by click [x]", "of an error", "by rich", "in two parts", "the end."):
        assert lines.count(said) == 1, said
    assert any("5/10" in line for line in lines[lines.index("in two parts") :]), "the bar is drawn below"


def test_a_file_gets_what_is_printed_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, file = at_terminal(monkeypatch), io.StringIO()
    monkeypatch.setattr(sys, "stdout", file)
    with Bars() as bars, bars.step("answering", 10):
        bars.refresh()
        print("a line")
    assert file.getvalue() == "a line\n"
    assert "a line" not in terminal.getvalue() and "answering" in terminal.getvalue()


def test_nothing_is_put_aside_where_bars_are_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at_terminal(monkeypatch)
    with Bars(quiet=True):
        print("a line")
    assert terminal.getvalue() == "a line\n"
