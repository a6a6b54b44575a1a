"""What is named as a dataset and is none, or with an option that cannot be: told alike by all that read one."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from grounding.cli.main import group
from tests.data_tools import sets
from tests.data_tools.inspection.making import dataset, sample

COMMANDS: dict[str, list[str]] = {
    "inspect": ["--no-page", "--no-check-images"],
    "validate": ["--no-check-images"],
    "export": ["--to", "conversations", "--out", "out"],
}


def call(name: str, *arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "300"}).invoke(group, [name, *arguments, *COMMANDS[name]])


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset in `set`, annotations of two formats, and an empty folder."""
    train = [sample("p1_a.png"), sample("b.png")]
    dataset(tmp_path, draw=False, train=train, manifest={"settings": {"made_by": "grounding convert"}})
    sets.voc(tmp_path / "voc")
    sets.yolo(tmp_path / "yolo")
    (tmp_path / "empty").mkdir()
    (tmp_path / "set" / "findings.json").write_text("[]")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["sett"], "Error: sett: there is no such file or folder. Did you mean 'set'? Name what"),
        (["empty"], "Error: empty: holds no .jsonl file of a dataset. Name the file or folder of a dataset"),
        (["voc"], "Error: voc: holds annotations (voc: "),
        (["voc"], "and no dataset yet. Convert them first: grounding convert voc --out DIR"),
        (["yolo"], "Error: yolo: holds annotations (yolo: "),
        (
            ["set/manifest.json"],
            "Error: set/manifest.json: stands beside a dataset and holds no sample. Name its folder.",
        ),
        (["set/findings.json"], "Error: set/findings.json: stands beside a dataset"),
        (["set", "--images", "nowhere"], "Error: --images nowhere: no such folder"),
        (["set/train.jsonl", "--images", "nowhere"], "Error: --images nowhere: no such folder"),
    ],
)
def test_what_is_no_dataset_ends_with_2(name: str, arguments: list[str], told: str) -> None:
    result = call(name, *arguments)
    assert result.exit_code == 2
    assert told in result.stderr and not result.stdout


@pytest.mark.parametrize("name", ["inspect", "validate"])
@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("(", "is no regular expression"),
        ("p1", "'p1' captures nothing. Put brackets round the part"),
        (r"^(q\d)", "matches none of the 2 images. It is searched in names such as 'p1_a.png'."),
        (r"^(p\d)", None),
    ],
)
def test_a_group_that_says_nothing_is_told(name: str, expression: str, told: str | None) -> None:
    result = call(name, "set", "--group-by", expression)
    assert result.exit_code == (2 if told else 0)
    assert (told or "") in result.stderr


def test_a_group_of_the_manifest_need_not_be_in_every_file(tmp_path: Path) -> None:
    settings = {"made_by": "grounding convert", "group_by": r"^(q\d)"}
    dataset(tmp_path, draw=False, train=[sample("b.png")], manifest={"settings": settings})
    assert [call(name, "set/train.jsonl").exit_code for name in ("inspect", "validate")] == [0, 0]


def test_a_tokenizer_is_of_a_model() -> None:
    result = call("validate", "set", "--tokenizer", "pocket")
    assert result.exit_code == 2 and "Add --model." in result.stderr


@pytest.mark.parametrize("out", ["x.json", "x.jsonl"])
def test_a_folder_does_not_go_into_what_reads_like_a_file(out: str) -> None:
    runner = CliRunner(env={"COLUMNS": "300"})
    result = runner.invoke(group, ["export", "set", "--to", "coco-instances", "--out", out])
    assert result.exit_code == 2 and "Name a folder, or export one of them." in result.stderr
    assert not Path(out).exists()
    Path(out).mkdir()  # a folder of such a name is a folder
    assert runner.invoke(group, ["export", "set", "--to", "coco-instances", "--out", out]).exit_code == 0
