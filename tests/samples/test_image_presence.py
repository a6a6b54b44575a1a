"""Images that are not there are all told, each once, and a root that is not there once for all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from grounding.errors import ManyErrors
from grounding.samples import Dataset, check_images
from tests.evaluation.making import sample


def dataset(root: Path) -> Dataset:
    """Two samples about each of five images, and one about none; the files are empty, and nobody opens them."""
    samples = [sample(number // 2, [], id=f"s{number}") for number in range(10)]
    return Dataset([*samples, sample(99, None, image=None, width=None, height=None)], root, {}, root / "test.jsonl")


def test_each_image_is_told_once(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.png").touch()
    check_images(dataset(tmp_path))
    (tmp_path / "1.png").unlink()
    (tmp_path / "3.png").unlink()
    with pytest.raises(ManyErrors, match=r"images that cannot be used \(2 problems\)") as error:
        check_images(dataset(tmp_path))
    assert all(f"{number}.png: there is" in said for number, said in zip((1, 3), error.value.problems, strict=True))
    assert len(str(error.value).splitlines()) == 2, "the same of both"


def test_a_root_that_is_not_there_is_told_once(tmp_path: Path) -> None:
    with pytest.raises(ManyErrors, match=r"5 times: the image root .*nowhere is no folder") as error:
        check_images(dataset(tmp_path / "nowhere"))
    assert len(str(error.value).splitlines()) == 2
