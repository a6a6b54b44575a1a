"""The group: lazy subcommands, errors as one message with the right exit status, `--debug` wherever it is typed."""

from __future__ import annotations

import errno
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from grounding.cli import main
from grounding.errors import InputError, ManyErrors, RunError


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> dict[str, BaseException]:
    """A subcommand `fail` that raises what the test puts under "error"."""
    box: dict[str, BaseException] = {}

    @click.command()
    def command() -> None:
        """Fail."""
        raise box["error"]

    module = type(sys)("failing_subcommand")
    module.command = command  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "failing_subcommand", module)
    monkeypatch.setitem(main.SUBCOMMANDS, "fail", main.Subcommand("failing_subcommand", "Fail."))
    return box


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (
            InputError("3 found, 1 or 2 allowed.", where="a.json:7", fix="Take one away."),
            2,
            "a.json:7: 3 found, 1 or 2 allowed. Take one away.",
        ),
        (ManyErrors("settings.yaml", ["one", "two"]), 2, "settings.yaml (2 problems)\n  - one\n  - two"),
        (RunError("the loss is NaN"), 1, "the loss is NaN"),
        (OSError(errno.ENOSPC, "No space left on device", "x.jsonl"), 1, "x.jsonl: no space left"),
        (PermissionError(errno.EACCES, "Permission denied", "/nope"), 1, "/nope: Permission denied"),
        (KeyboardInterrupt(), 1, "Interrupted"),
    ],
)
def test_an_error_is_one_message_and_a_status(
    failing: dict[str, BaseException], error: BaseException, status: int, words: str
) -> None:
    failing["error"] = error
    result = CliRunner().invoke(main.group, ["fail"])
    assert result.exit_code == status
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("arguments", [["--debug", "fail"], ["fail", "--debug"]])
def test_debug_shows_the_traceback_wherever_it_stands(failing: dict[str, BaseException], arguments: list[str]) -> None:
    failing["error"] = RunError("broken")
    result = CliRunner().invoke(main.group, arguments)
    assert isinstance(result.exception, RunError)


def test_many_errors_are_cut_with_their_number() -> None:
    assert "... and 5 more" in str(ManyErrors("x", [str(number) for number in range(25)]))


def test_a_bug_is_not_hidden(failing: dict[str, BaseException]) -> None:
    failing["error"] = ZeroDivisionError("a bug")
    assert isinstance(CliRunner().invoke(main.group, ["fail"]).exception, ZeroDivisionError)


def test_help_lists_every_subcommand_without_importing_one() -> None:
    program = (
        "import sys\nfrom grounding.cli.main import SUBCOMMANDS, group\ngroup(['--help'], standalone_mode=False)\n"
        "assert not {s.module for s in SUBCOMMANDS.values()} & set(sys.modules)\n"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert all(name in finished.stdout for name in main.SUBCOMMANDS)


def test_an_unknown_subcommand_is_a_wrong_call() -> None:
    result = CliRunner().invoke(main.group, ["nope"])
    assert result.exit_code == 2
    assert "nope" in result.stderr


@pytest.mark.parametrize(
    ("call", "meant"),
    [
        ("benchmrk --data x", "benchmark"),
        ("fintune", "finetune"),
        ("benchmark --data x --predictions y --out z --protocol cogvlm-refcco", "cogvlm-refcoco"),
        ("benchmark --data x --predictions y --out z --dialect qwen3vl", "qwen3-vl"),
        ("benchmark --data x --predictions y --out z --dialect qwen2.5-vl:max_pixel=3", "max_pixels"),
        ("predict a.jpg dog --dtype bfloat", "bfloat16"),
        ("merge adapter --out z --base dequantized", "dequantised"),
    ],
)
def test_a_name_that_there_is_not_is_answered_with_the_closest(call: str, meant: str) -> None:
    result = CliRunner().invoke(main.group, call.split())
    assert result.exit_code == 2
    assert f"Did you mean {meant!r}?" in " ".join(result.stderr.split())


def test_the_module_is_the_same_program() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "grounding", "--version"], capture_output=True, text=True, check=True
    )
    assert finished.stdout.startswith("grounding, version")
