"""`grounding compare`: report folders in, a page, JSON and Markdown out; wrong calls and missed gates by status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from grounding.cli.main import group
from tests.evaluation.comparison.making import AFTER, BEFORE, SAMPLES, write_run


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    for name, texts in (("before", BEFORE), ("after", AFTER)):
        entry = {"general": {"metrics": {}, "folder": "also/general", "n": 1, "base": None, "differences": None}}
        write_run(tmp_path / name, SAMPLES, texts, also=entry)
        write_run(tmp_path / name / "also/general", SAMPLES, AFTER)
    return tmp_path / "before", tmp_path / "after"


def run(*words: Any, status: int = 0) -> Result:
    result = CliRunner().invoke(group, ["compare", *map(str, words)])
    assert result.exit_code == status, f"{result.output}\n{result.exception!r}"
    assert "Traceback" not in result.output
    return result


def test_two_runs_and_the_set_that_rode_along(runs: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = run(*runs, "--out", out).output
    assert (
        "before -> after: 1 gained, 1 lost" in said
        and "compare.html" in said
        and "general: 4 samples" in said
        and "test.jsonl: 4 samples" in said
    )
    table = json.loads((out / "compare.json").read_text("utf-8"))
    assert table["changes"][0]["counts"]["gained"] == 1 and table["also"]["general"]["n"] == 4
    assert [one["heading"] for one in table["runs"]] == ["before", "after"]
    assert "#### general" in (out / "compare.md").read_text("utf-8")
    assert "data-tags" in (out / "compare.html").read_text("utf-8")
    assert sorted(path.name for path in out.iterdir()) == ["compare.html", "compare.json", "compare.md"]


def test_long_names_are_folded_and_never_cut(runs: tuple[Path, Path], tmp_path: Path) -> None:
    name = "run_" + "x" * 90
    said = run(f"{name}={runs[0]}", runs[1], "--out", tmp_path / "out").output
    assert "…" not in said and said.count("x") >= 2 * 90


def test_columns_can_be_named(runs: tuple[Path, Path], tmp_path: Path) -> None:
    said = run(f"old={runs[0]}", f"new one={runs[1]}", "--out", tmp_path / "out").output
    assert "old -> new one" in said


def test_other_samples_are_refused_before_anything_is_written(runs: tuple[Path, Path], tmp_path: Path) -> None:
    write_run(tmp_path / "other", SAMPLES[:2], BEFORE[:2])
    said = run(runs[0], tmp_path / "other", "--out", tmp_path / "out", status=2).output
    assert "2 of 4 samples of" in said and "'s2', 's3'" in said
    assert not (tmp_path / "out").exists()


def test_a_gate_that_is_missed_ends_in_status_1_when_all_is_written(runs: tuple[Path, Path], tmp_path: Path) -> None:
    out, junit = tmp_path / "out", tmp_path / "gates.xml"
    gates = ["--max-drop", "unparsable.rate=0.1", "--max-drop", "general:grec_50=0", "--max-drop", "mean_iou=0"]
    missed = run(runs[1], runs[0], "--out", out, *gates, "--junit", junit, status=1)
    assert "1 of 3 gates was missed" not in missed.stdout
    assert "2 of 3 gates were missed" in missed.stderr and "--max-drop mean_iou=0: MISSED" in missed.stderr
    assert "--max-drop general:grec_50=0: passed" in missed.stdout
    assert (out / "compare.html").exists()
    assert ElementTree.parse(junit).getroot().get("failures") == "2"
    assert "MISSED" not in run(*runs, "--out", out, *gates).output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--max-drop", "acc=1"], "there is no measure 'acc'"),
        (["--max-drop", "other:acc_50=1"], "no set 'other' rides along; there are general"),
        (["--junit", "x.xml"], "tells of gates"),
    ],
)
def test_wrong_calls(runs: tuple[Path, Path], tmp_path: Path, words: list[str], message: str) -> None:
    assert message in run(*runs, "--out", tmp_path / "out", *words, status=2).output
    assert "two report folders or more" in run(runs[0], "--out", tmp_path / "out", status=2).output
    assert "no report folder" in run(runs[0], tmp_path, "--out", tmp_path / "out", status=2).output
    assert not (tmp_path / "out").exists()


def test_comparing_needs_no_torch(runs: tuple[Path, Path], tmp_path: Path) -> None:
    program = (
        "import sys\nfrom grounding.cli.main import group\n"
        f"group({['compare', *map(str, runs), '--out', str(tmp_path / 'out')]!r}, standalone_mode=False)\n"
        "assert not {'torch', 'transformers'} & set(sys.modules), 'torch was imported'\n"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
