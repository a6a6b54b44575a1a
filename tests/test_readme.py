"""What the README says is true: commands parse, files exist, and the Chinese one shows the same commands and tables."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest

from grounding.cli.main import SUBCOMMANDS, group

ROOT = Path(__file__).resolve().parent.parent
ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README_zh.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[list[str]]:
    """Every shell command of the code blocks marked as shell, continuation lines joined, comments left out."""
    lines = []
    for language, block in BLOCK.findall(text):
        if language in {"bash", "sh", "shell"}:
            lines += block.replace("\\\n", " ").splitlines()
    split = (shlex.split(line, comments=True) for line in lines)
    return [words[: words.index(">")] if ">" in words else words for words in split if words]


def grounding_commands() -> list[list[str]]:
    return [words[1:] for words in commands(ENGLISH) if words[0] == "grounding"]


@pytest.mark.parametrize("words", grounding_commands(), ids=" ".join)
def test_each_command_parses(words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name, *arguments = words
    command = group.get_command(click.Context(group), name)
    assert command is not None, f"no subcommand {name}"
    for parameter in command.params:  # a README's files need not exist here
        if isinstance(parameter.type, click.Path):
            monkeypatch.setattr(parameter.type, "exists", False)
    try:
        command.make_context(name, list(arguments))
    except click.exceptions.Exit as done:  # an option that prints and leaves
        assert done.exit_code == 0


def test_every_subcommand_is_shown() -> None:
    assert {words[0] for words in grounding_commands()} == set(SUBCOMMANDS)


def test_the_two_first_commands_do_all_their_set_up() -> None:
    first = commands(ENGLISH)[:2]
    assert first == [["bash", "run.sh", "main-job"], ["bash", "run.sh", "test"]]
    assert subprocess.run(["bash", "-n", ROOT / "run.sh"], check=False).returncode == 0
    refused = subprocess.run(["bash", ROOT / "run.sh", "nope"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "main-job" in refused.stderr


@pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_named_files_exist(text: str) -> None:
    for name in re.findall(
        r"(?:configs|benchmarks|tests|grounding|data_tools)/[\w./-]+\.(?:yaml|py|txt|md|json)", text
    ):
        assert (ROOT / name).is_file(), name
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / target).exists(), target


def test_both_languages_show_the_same() -> None:
    assert BLOCK.findall(ENGLISH) == BLOCK.findall(CHINESE)

    def shape(text: str) -> list[str]:
        prose = BLOCK.sub("", text)
        return [re.match(r"#+|\|", line)[0] for line in prose.splitlines() if re.match(r"#+ |\|", line)]  # type: ignore[index]

    assert shape(ENGLISH) == shape(CHINESE)
