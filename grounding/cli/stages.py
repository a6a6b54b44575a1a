"""Runs the stages of a long piece of work one after the other: what is done is left out, the time left is said.

Knows stages, their outputs and their times; it does not know what they do, but that some are `grounding` commands.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from grounding.errors import RunError
from grounding.samples import write_json_atomic, write_text_atomic

Say = Callable[[str], None]


@dataclass(frozen=True)
class Step:
    """A part of a stage: `work` makes `done`, which appears whole or not at all."""

    done: Path
    work: Callable[[], object]


@dataclass(frozen=True)
class Stage:
    """What is done at a stretch.

    Attributes:
        name: short and unique.
        title: said when it begins.
        steps: those whose output is there already are left out.
        result: one line on what came out.
        seconds: planned; only how the stages compare matters once one is through.
        together: its steps run at the same time; each must then be a process of its own (`run_process`).
    """

    name: str
    title: str
    steps: Sequence[Step]
    result: Callable[[], str]
    seconds: float
    together: bool = False

    @property
    def done(self) -> bool:
        return not self.missing

    @property
    def missing(self) -> list[Step]:
        return [step for step in self.steps if not step.done.exists()]

    def run(self) -> None:
        """Makes what is missing."""
        if not self.together:
            for step in self.missing:
                step.work()
            return
        with ThreadPoolExecutor(len(self.steps)) as pool:
            for running in [pool.submit(step.work) for step in self.missing]:
                running.result()


def run_stages(stages: Sequence[Stage], times: Path, say: Say) -> dict[str, float]:
    """Runs what is not done yet, in order, and says for each what, how long, and how long for all.

    Args:
        times: JSON file of the seconds spent on each stage, those of interrupted calls included.

    Returns:
        That file's content.
    """
    spent: dict[str, float] = json.loads(times.read_text("utf-8")) if times.exists() else {}
    pace = _pace(stages, [stage for stage in stages if stage.done], spent)
    for number, stage in enumerate(stages):
        head = f"[{number + 1}/{len(stages)}] {stage.title}"
        if stage.done:
            say(f"{head}: done before. {stage.result()}")
            continue
        left = sum(later.seconds for later in stages[number:] if not later.done)
        say(f"{head} (about {clock(pace * stage.seconds)}; {clock(pace * left)} left in all)")
        with _timed(stage.name, spent, times):
            stage.run()
        say(f"      {stage.result()} [{clock(spent[stage.name])}]")
        pace = _pace(stages, stages[: number + 1], spent)
    return spent


@contextmanager
def _timed(name: str, spent: dict[str, float], times: Path) -> Iterator[None]:
    """Adds the block's seconds to those of the stage, also when it breaks off."""
    start = time.monotonic()
    try:
        yield
    finally:
        spent[name] = round(spent.get(name, 0.0) + time.monotonic() - start, 1)
        write_json_atomic(times, spent)


def _pace(stages: Sequence[Stage], through: Sequence[Stage], spent: dict[str, float]) -> float:
    """Seconds that take one planned one: so far over the stages that are through, as planned over the others.

    So a short stage that was slowed by something else hardly counts, and most of the work does once it is done.
    """
    planned = sum(stage.seconds for stage in stages)
    left = planned - sum(stage.seconds for stage in through)
    return (sum(spent.get(stage.name, 0.0) for stage in through) + left) / planned


def clock(seconds: float) -> str:
    """65 as 1:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def command_line(words: Sequence[str | Path]) -> str:
    """A `grounding` command as it is typed into a shell."""
    return shlex.join(["grounding", *map(str, words)])


def run_command(words: Sequence[str | Path], log: Path) -> None:
    """Runs `grounding WORDS` in this process, and keeps what it prints, behind the command itself, in a file.

    Its bars are seen: they go to stderr. Errors come through as they are.
    """
    from grounding.cli.main import SUBCOMMANDS

    name, *rest = map(str, words)
    command = import_module(SUBCOMMANDS[name].module).command
    log.parent.mkdir(parents=True, exist_ok=True)
    unfinished = log.with_suffix(".unfinished.txt")
    with unfinished.open("w", encoding="utf-8") as file, redirect_stdout(file):
        print(f"$ {command_line(words)}")
        command.main(args=rest, prog_name=f"grounding {name}", standalone_mode=False)
    write_text_atomic(log, unfinished.read_text("utf-8"))
    unfinished.unlink()


def run_process(words: Sequence[str | Path], log: Path, threads: int, bars: bool) -> None:
    """Runs `grounding WORDS` as a process of its own with so many threads, and keeps what it prints in a file.

    Args:
        bars: show what it says on stderr; else it goes into the file too.

    Raises:
        RunError: it failed; the file has the reason.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    with log.open("w", encoding="utf-8") as file:
        print(f"$ {command_line(words)}", file=file, flush=True)
        told = None if bars else subprocess.STDOUT
        command = [sys.executable, "-m", "grounding", *map(str, words)]
        status = subprocess.run(command, stdout=file, stderr=told, env=environment, check=False).returncode
    if status:
        raise RunError(f"`{command_line(words[:1])}` ended with status {status}; what it said is in {log}.")
