"""Images that a test set shares with a training set, by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from grounding.errors import InputError
from grounding.samples import Sample, shared_images, write_samples
from tests.evaluation.making import sample


def about(*images: str | None) -> list[Sample]:
    frame = {"width": None, "height": None}
    return [
        sample(number, [], image=image) if image else sample(number, None, image=None, task="text", **frame)
        for number, image in enumerate(images)
    ]


def test_each_shared_image_counts_once_and_none_is_no_image(tmp_path: Path) -> None:
    write_samples(tmp_path / "train.jsonl", about("a.png", "a.png", "b.png", None))
    assert shared_images(about("a.png", "a.png", "c.png", None), tmp_path / "train.jsonl") == 1
    assert shared_images(about("b.png", "a.png"), tmp_path / "train.jsonl") == 2
    assert shared_images(about(None, "d/a.png"), tmp_path / "train.jsonl") == 0


def test_lines_that_are_no_samples_are_passed_over_and_a_missing_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('nothing\n[1]\n{"image": 3}\n{"image": "a.png"}\n', "utf-8")
    assert shared_images(about("a.png"), tmp_path / "train.jsonl") == 1
    with pytest.raises(InputError, match="cannot be read"):
        shared_images(about("a.png"), tmp_path / "other.jsonl")
