"""`grounding validate` as it is typed: exit status, JSON, a model's own tokenizer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from grounding.cli.main import group
from tests.data_tools.inspection.making import dataset, sample


def call(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(group, ["validate", *map(str, arguments)])


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return dataset(tmp_path, train=[sample("a.png"), sample("b.png", [], "dog")], val=[sample("c.png")])


def test_exit_statuses(good: Path, tmp_path: Path) -> None:
    sound = call(good)
    assert sound.exit_code == 0 and "It can be trained on." in sound.output and "estimated" in sound.output
    assert "Nothing is wrong in what was checked: labels, boxes, prompts, lengths, splits, images." in sound.output
    assert f"grounding inspect {good}" in sound.output.replace("\n", "")
    unread = call(good, "--no-check-images")
    assert "lengths, splits." in unread.output and "Images were not read" in unread.output
    (tmp_path / "images/a.png").unlink()
    spoilt = call(good)
    assert spoilt.exit_code == 1 and "must not be trained on" in spoilt.output and "image_missing" in spoilt.output
    (tmp_path / "images").rename(tmp_path / "moved")
    nowhere = call(good)
    assert "0 images read" in nowhere.output and "3 images are not there" in nowhere.output
    assert "Images were not read" not in nowhere.output
    assert call(tmp_path / "nowhere").exit_code == 2


def test_it_speaks_chinese(good: Path) -> None:
    result = call(good, "--lang", "zh")
    assert result.exit_code == 0 and "可以用于训练。" in result.output
    assert "It can be trained on." not in result.output and "samples" not in result.output


def test_warnings_alone_are_no_failure(tmp_path: Path) -> None:
    result = call(dataset(tmp_path, train=[sample("a.png")], val=[]))
    assert result.exit_code == 0 and "empty_split" in result.output


def test_json_and_nothing_else(good: Path, tmp_path: Path) -> None:
    (tmp_path / "images/a.png").unlink()
    result = call(good, "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["sound"] is False and report["findings"][0]["name"] == "image_missing"


def test_the_tokenizer_of_the_model_measures(good: Path) -> None:
    report = json.loads(call(good, "--model", "pocket", "--json").stdout)
    assert report["sound"] and report["longest"]["positions"] > report["longest"]["label"] > 0
    shorter = call(good, "--model", "pocket", "--max-label-tokens", 5, "--json")
    assert shorter.exit_code == 1
    assert "data.max_label_tokens allows 5" in json.loads(shorter.stdout)["findings"][0]["examples"][0]


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ([], ["looking at samples", "reading samples", "reading images", "comparing images"]),
        (["--model", "pocket"], ["loading the tokenizer", "looking at samples", "reading samples"]),
        (["--model", "pocket", "--json"], []),
    ],
)
def test_how_far_it_is_is_shown(
    good: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], steps: list[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # by which rich takes anything for a terminal
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    result = call(good, *options)
    assert result.exit_code == 0
    places = [result.stderr.index(step) for step in steps]
    assert places == sorted(places) and bool(result.stderr) == bool(steps)


def test_a_history_needs_a_template_with_a_place_for_it(tmp_path: Path) -> None:
    talk = sample("a.png", history=[("Hello?", "Yes.")])
    result = call(dataset(tmp_path, train=[talk]), "--model", "pocket")
    assert result.exit_code == 1 and "earlier turns" in result.output


def test_a_model_that_is_not_there(good: Path, tmp_path: Path) -> None:
    assert call(good, "--model", tmp_path / "none").exit_code == 2
    neither = call(tmp_path / "nowhere", "--model", tmp_path / "none")
    assert neither.exit_code == 2 and "nowhere" in neither.stderr and "none" not in neither.stderr


def test_nothing_imports_torch_without_a_model(good: Path) -> None:
    program = (
        "import sys\nfrom grounding.cli.main import group\n"
        f"group(['inspect', {str(good)!r}, '--json'], standalone_mode=False)\n"
        f"group(['validate', {str(good)!r}], standalone_mode=False)\n"
        "assert not {'torch', 'transformers'} & set(sys.modules), 'torch was imported'\n"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert finished.returncode == 0 and "It can be trained on." in finished.stdout, finished.stderr
