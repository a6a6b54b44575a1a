"""Folders in data.train and data.val stand for files in them; what is none of convert's stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from grounding.settings import FinetuneSettings
from grounding.training.dataset_folders import with_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("train.jsonl", "val.jsonl"):
        (tmp_path / name).write_text("{}\n")
    return tmp_path


def paths(data: dict[str, Any]) -> tuple[list[str], str | None]:
    """The paths of data.train and data.val; looking twice changes nothing more."""
    settings = with_files(FinetuneSettings.model_validate({"output": "x", "model": {"path": "m"}, "data": data}))
    assert with_files(settings) == settings
    return [one.path for one in settings.data.train], settings.data.val and settings.data.val.path


def test_a_folder_stands_for_its_files(folder: Path) -> None:
    train, val = str(folder / "train.jsonl"), str(folder / "val.jsonl")
    assert paths({"train": str(folder)}) == ([train], val)
    assert paths({"train": str(folder), "val": None}) == ([train], None), "said by the user"
    assert paths({"train": train, "val": str(folder)}) == ([train], val)
    assert paths({"train": train}) == ([train], None)
    assert paths({"train": [str(folder), "other.jsonl"]}) == ([train, "other.jsonl"], None)
    (folder / "val.jsonl").write_text("")
    assert paths({"train": str(folder)}) == ([train], None), "convert leaves an empty split an empty file"


def test_the_image_root_goes_with_it(folder: Path) -> None:
    data = {"train": [{"path": str(folder), "images": "pictures"}]}
    settings = with_files(FinetuneSettings.model_validate({"output": "x", "model": {"path": "m"}, "data": data}))
    assert settings.data.val is not None
    assert settings.data.train[0].images == settings.data.val.images == "pictures"


def test_other_folders_stay_as_they_are(folder: Path) -> None:
    for name in ("images", "labels"):
        (folder / name).mkdir()
    assert paths({"train": str(folder)}) == ([str(folder)], None), "CogVLM's own form"
    assert paths({"train": str(folder / "images")}) == ([str(folder / "images")], None)
