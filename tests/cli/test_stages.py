"""Stages: what is done is left out, a broken one is gone on with, and times are added up and told."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import click
import pytest

from grounding.cli.main import SUBCOMMANDS
from grounding.cli.stages import Stage, Step, clock, command_line, run_command, run_process, run_stages
from grounding.errors import InputError, RunError


class Bench:
    """Stages that write a file for each step; the one named in `fails` breaks off."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ran, self.said, self.fails = folder, list[str](), list[str](), ""

    def step(self, name: str) -> Step:
        def work() -> None:
            self.ran.append(name)
            if name == self.fails:
                raise KeyboardInterrupt
            (self.folder / name).write_text(name)

        return Step(self.folder / name, work)

    def stage(self, name: str, *steps: str, seconds: float = 10) -> Stage:
        return Stage(name, f"Doing {name}", [self.step(step) for step in steps], lambda: f"made {name}.", seconds)

    def run(self) -> dict[str, float]:
        stages = [self.stage("one", "a", "b", seconds=30), self.stage("two", "c"), self.stage("three", "d")]
        return run_stages(stages, self.folder / "times.json", self.said.append)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_each_stage_is_said_with_its_time_and_its_result(bench: Bench) -> None:
    spent = bench.run()
    assert bench.ran == ["a", "b", "c", "d"]
    assert bench.said[0] == "[1/3] Doing one (about 0:30; 0:50 left in all)"
    assert "made one. [0:00]" in bench.said[1]
    assert bench.said[2] == "[2/3] Doing two (about 0:04; 0:08 left in all)", "the first took no time of its 30 s of 50"
    assert list(spent) == ["one", "two", "three"] == list(json.loads((bench.folder / "times.json").read_text()))


def test_what_broke_off_goes_on_where_it_was(bench: Bench) -> None:
    bench.fails = "b"
    with pytest.raises(KeyboardInterrupt):
        bench.run()
    (bench.folder / "times.json").write_text('{"one": 40.0}')
    bench.fails, bench.ran, bench.said = "", [], []
    assert bench.run()["one"] >= 40, "the time of both calls"
    assert bench.ran == ["b", "c", "d"]
    bench.ran, bench.said = [], []
    bench.run()
    assert bench.ran == [] and all("done before. made" in line for line in bench.said)


def test_the_time_left_follows_the_pace_so_far(bench: Bench) -> None:
    (bench.folder / "a").touch()
    (bench.folder / "b").touch()
    (bench.folder / "times.json").write_text('{"one": 60.0}')
    bench.run()
    assert bench.said[1] == "[2/3] Doing two (about 0:16; 0:32 left in all)", "80 s in the place of 50"


def test_a_short_stage_that_was_slow_does_not_slow_all_the_rest(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (tmp_path / "a").touch()
    (tmp_path / "times.json").write_text('{"one": 100.0}')
    stages = [bench.stage("one", "a", seconds=5), bench.stage("two", "c", seconds=95)]
    run_stages(stages, tmp_path / "times.json", bench.said.append)
    assert bench.said[1] == "[2/2] Doing two (about 3:05; 3:05 left in all)", "not twenty times as long"


def test_times_are_written_like_a_clock() -> None:
    assert [clock(seconds) for seconds in (0, 9.7, 65, 3600)] == ["0:00", "0:09", "1:05", "60:00"]


def test_a_command_runs_here_and_its_words_and_output_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from grounding.cli import doctor

    @click.command()
    @click.argument("word")
    def command(word: str) -> None:
        if word == "bad":
            raise InputError("no.")
        click.echo(f"heard {word}")

    monkeypatch.setattr(doctor, "command", command)
    assert "doctor" in SUBCOMMANDS
    run_command(["doctor", "two words"], tmp_path / "logs" / "doctor.txt")
    assert (tmp_path / "logs" / "doctor.txt").read_text() == "$ grounding doctor 'two words'\nheard two words\n"
    assert capsys.readouterr().out == ""
    with pytest.raises(InputError, match="no"):
        run_command(["doctor", "bad"], tmp_path / "logs" / "bad.txt")
    assert not (tmp_path / "logs" / "bad.txt").exists()
    assert command_line(["convert", Path("a b")]) == "grounding convert 'a b'"


def test_steps_of_a_stage_can_run_at_the_same_time(tmp_path: Path) -> None:
    meeting = threading.Barrier(2, timeout=20)  # neither step gets through alone

    def step(name: str) -> Step:
        def work() -> None:
            meeting.wait()
            (tmp_path / name).touch()

        return Step(tmp_path / name, work)

    Stage("one", "One", [step("a"), step("b")], lambda: "", 1, together=True).run()
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_a_process_of_its_own_keeps_what_it_says(tmp_path: Path) -> None:
    run_process(["convert", "--help"], tmp_path / "logs" / "help.txt", threads=1, bars=False)
    said = (tmp_path / "logs" / "help.txt").read_text(encoding="utf-8")
    assert said.startswith("$ grounding convert --help\n") and "--negatives" in said


def test_a_process_that_fails_names_the_file_with_its_reason(tmp_path: Path) -> None:
    log = tmp_path / "convert.txt"
    with pytest.raises(RunError, match=r"status 2.*convert\.txt"):
        run_process(["convert", str(tmp_path / "gone"), "--out", str(tmp_path / "out")], log, threads=1, bars=False)
    assert "gone" in log.read_text(encoding="utf-8")
