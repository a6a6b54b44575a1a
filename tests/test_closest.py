"""Which name is offered in place of one that there is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from grounding.closest import did_you_mean, did_you_mean_path

NAMES = ("coco", "voc", "visual_genome", "next_box")


@pytest.mark.parametrize(
    ("word", "meant"),
    [("cocoo", "coco"), ("VOC", "voc"), (" vco ", "voc"), ("visual-genome", "visual_genome"), ("nextbox", "next_box")],
)
def test_the_closest_is_offered(word: str, meant: str) -> None:
    assert did_you_mean(word, NAMES) == f"Did you mean {meant!r}?"


@pytest.mark.parametrize("word", ["", "juggling", "x"])
def test_nothing_is_offered_for_what_is_like_none(word: str) -> None:
    assert did_you_mean(word, NAMES) == ""
    assert did_you_mean("coco", ()) == ""


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in: data/mine/ with two files and a hidden one, and beside it pocket.txt."""
    (tmp_path / "data" / "mine").mkdir(parents=True)
    for name in ("data/mine/train.jsonl", "data/mine/val.jsonl", "data/mine/.train.jsonl.tmp", "pocket.txt"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("data/mine/trian.jsonl", "data/mine/train.jsonl"),
        ("data/mien/train.jsonl", "data/mine/train.jsonl"),
        ("dta/mine/vall.jsonl", "data/mine/val.jsonl"),
        ("Data/Mine/VAL.jsonl", "data/mine/val.jsonl"),
        ("data/mine/train.jsonl.tmp", "data/mine/train.jsonl"),
        ("pockett", "pocket"),
        ("pocket.text", "pocket.txt"),
        ("data/mine/train", "data/mine/train.jsonl"),
    ],
)
def test_the_closest_path_is_offered(folders: Path, path: str, meant: str) -> None:
    assert did_you_mean_path(path, ["pocket"]) == f"Did you mean {meant!r}?"
    if "/" in path:
        assert did_you_mean_path(folders / path, ["pocket"]) == f"Did you mean '{folders / meant}'?"


@pytest.mark.parametrize(
    "path",
    [
        "images",
        "data/mine/labels",
        "data/mine/none.jsonl",
        "data/mine/none.json",
        "other/train.jsonl",
        "pocket.txt/x",
        "",
    ],
)
def test_no_path_is_offered_for_what_is_like_none(folders: Path, path: str) -> None:
    assert did_you_mean_path(path, ["pocket"]) == ""
