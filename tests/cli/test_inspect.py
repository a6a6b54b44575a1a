"""`grounding inspect` as it is typed: what is printed, the page, JSON, exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from data_tools.inspection.words import words_in
from data_tools.writers.folder import MADE_BY
from grounding.cli.main import group
from tests.data_tools.inspection.making import dataset, sample
from tests.page.tables import sentences


def call(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(group, ["inspect", *map(str, arguments)])


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Twelve pictures of a class with brackets in its name, and one of a class that train lacks."""
    train = [sample(f"{number}.png", category="[red]cat") for number in range(12)]
    manifest = {"settings": {"made_by": MADE_BY}, "refusals": {"zero_area": 2}}
    path = dataset(tmp_path, train=train, val=[sample("v.png", category="owl")], manifest=manifest)
    (tmp_path / "images/v.png").write_bytes((tmp_path / "images/3.png").read_bytes())
    return path


def test_it_says_what_to_look_at_and_writes_the_page(made: Path) -> None:
    result = call(made)
    assert result.exit_code == 0, result.output
    for said in (
        "13 samples",
        "13 objects",
        "boxes in answers",
        "train",
        "[red]cat",
        "owl",
        "zero_area 2 (refused)",
        "the same bytes",
    ):
        assert said in result.output, said
    findings = result.output.split("What to look at")[1]
    assert findings.index("fault") < findings.index("warning") < findings.index("note")
    assert "class_not_in_train" in findings and "3.png (train) = v.png (val)" in findings
    assert (made / "inspect.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_it_speaks_chinese(made: Path) -> None:
    english, chinese = call(made, "--no-page"), call(made, "--lang", "zh")
    assert chinese.exit_code == 0, chinese.output
    said = [line for _, line in sentences(words_in("en")) if " " in line and "{" not in line]
    assert sum(line in english.output for line in said) > 5
    assert not [line for line in said if line in chinese.output]
    assert "需要注意" in chinese.output and f"页面：{made / 'inspect.html'}" in chinese.output.replace("\n", "")
    assert '<html lang="zh-Hans">' in (made / "inspect.html").read_text(encoding="utf-8")
    wrong = call(made, "--lang", "zhh")
    assert wrong.exit_code == 2 and "Did you mean 'zh'?" in wrong.stderr


def test_json_and_nothing_else(made: Path, tmp_path: Path) -> None:
    result = call(made, "--json", "--out", tmp_path / "page.html")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report["classes"]["owl"]["boxes"] == {"train": 0, "val": 1}
    assert (tmp_path / "page.html").is_file() and not (made / "inspect.html").exists()
    assert json.loads(call(made, "--json", "--no-page", "--no-check-images").stdout)["images"]["read"] == 0
    assert not (made / "inspect.html").exists()


def test_many_classes_are_cut_in_the_middle(tmp_path: Path) -> None:
    classes = [sample("a.png", category=f"class {number:02d}") for number in range(40)]
    result = call(dataset(tmp_path, train=classes), "--no-page")
    assert "Classes (40)" in result.output and "..." in result.output
    assert "class 00" in result.output and "class 39" in result.output and "class 20" not in result.output


def test_long_names_are_folded_and_never_cut(tmp_path: Path) -> None:
    result = call(dataset(tmp_path, train=[sample("a.png", category="x" * 200)]), "--no-page")
    assert "\u2026" not in result.output and result.output.count("x") >= 200


def test_what_is_no_dataset(tmp_path: Path) -> None:
    result = call(tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "no such file or folder" in result.stderr
