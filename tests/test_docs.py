"""What docs/ says is true: tables have every format and every finding, and what stands there works."""

from __future__ import annotations

import json
import re
import shlex
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from data_tools import readers
from data_tools.inspection.pictures import FAULTS
from data_tools.splits import SPLITS
from data_tools.validation.judging import KINDS
from data_tools.writers import STYLES
from data_tools.writers.swift import to_line
from grounding.cli import export
from grounding.cli.main import group
from grounding.samples import read_dataset, read_manifest
from tests.data_tools.annotated import image, text_file
from tests.samples.making import make

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGE = (DOCS / "readers.md").read_text(encoding="utf-8")
FORMATS = (DOCS / "formats.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))


def test_the_table_has_every_format() -> None:
    assert sorted(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == sorted(readers.OWN)


def test_the_reader_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text_file(tmp_path, "my_boxes.py", BLOCKS["python"])
    monkeypatch.syspath_prepend(tmp_path)
    ((name, value),) = tomllib.loads(BLOCKS["toml"])["project"]["entry-points"][readers.GROUP].items()
    monkeypatch.setattr(readers, "entry_points", lambda group: [EntryPoint(name, value, group)])
    text_file(tmp_path, "cells.boxes.csv", BLOCKS["csv"])
    for colour, stem in enumerate("ab"):
        image(tmp_path, f"{stem}.png", colour=colour)
    monkeypatch.chdir(tmp_path)
    made = []
    for command in BLOCKS["bash"].splitlines():
        result = CliRunner().invoke(group, command.split()[1:], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        folder = tmp_path / command.split()[-1]
        filled = [path for path in (folder / f"{split}.jsonl" for split in SPLITS) if path.stat().st_size]
        samples = [sample for path in filled for sample in read_dataset(path).samples]
        made.append((samples, read_manifest(folder / "manifest.json").refusals))
    sys.modules.pop("my_boxes")
    assert made[0] == made[1]
    samples, refusals = made[0]
    assert {(s.image, s.category): s.boxes for s in samples if s.boxes} == {
        ("a.png", "red cell"): [[4, 3, 20, 15]],
        ("b.png", "platelet"): [[8, 9, 16, 21]],
    }
    assert {(s.image, s.category) for s in samples if not s.boxes} <= {("b.png", "red cell")}
    assert refusals == {"zero_area": 1, "class_incomplete": 1}


def test_every_finding_about_a_dataset_is_explained() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "data_tools").glob("*/*.py")]
    names = {name for source in sources for name in re.findall(r'\b[Rr]emark\(\s*"(\w+)"', source)}
    names |= {*KINDS, *(f"image_{fault}" for fault in FAULTS)}
    page = (DOCS / "dataset_checks.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == sorted(names)


def test_the_table_has_every_form_that_is_written() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| [JSp]", FORMATS, re.MULTILINE)
    assert rows == [*STYLES, export.INSTANCES, export.RESULTS]


@pytest.mark.parametrize("line", re.findall(r"^grounding .*", FORMATS, re.MULTILINE))
def test_the_commands_that_write_them_parse(line: str) -> None:
    name, *arguments = shlex.split(line)[1:]
    command = group.get_command(click.Context(group), name)
    assert command is not None
    command.make_context(name, arguments)


def test_the_lines_shown_have_the_keys_that_are_written() -> None:
    swift, information = (
        json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", FORMATS, re.DOTALL | re.MULTILINE)
    )
    written = to_line(make())
    assert (list(swift), list(swift["objects"])) == (list(written), list(written["objects"]))
    assert json.loads(swift["truth"]).keys() < json.loads(written["truth"]).keys()
    assert information["mine"]["columns"] == {"messages": "conversations", "images": "images"}
