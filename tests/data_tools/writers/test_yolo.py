"""YOLO folders: rows of fractions, one label file an image, what YOLO has no word for, pictures in their frame."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from PIL import Image

from data_tools.readers.yolo import open_yolo
from data_tools.writers.yolo import Pictures, classes_of, sayable, write_truth
from grounding.errors import InputError
from grounding.samples import Sample
from tests.data_tools.annotated import SIZE, image
from tests.samples.making import TEXT, make


def about(name: str, category: str, *boxes: list[float], **more: object) -> Sample:
    size = {"width": SIZE[0], "height": SIZE[1]}
    return make(
        **{"id": f"{name} {category}", "image": name, "category": category, "boxes": list(boxes), **size, **more}
    )


def test_what_samples_say_of_an_image_is_put_together(tmp_path: Path) -> None:
    samples = [
        about("a.png", "dog", [4, 3, 20, 15], [0, 0, 40, 30]),
        about("a.png", "dog", [4, 3, 20, 15], lang="zh"),
        about("a.png", "cat", [0, 0, 20, 15], ignore=[[1, 1, 9, 9]]),
        about("sub/b.png", "cat"),
    ]
    assert write_truth(tmp_path / "out", {"train": samples[:3], "val": samples[3:]}, frozenset({"owl"})) == 1
    written = {str(p.relative_to(tmp_path / "out")): p.read_text() for p in (tmp_path / "out").rglob("*.*")}
    assert yaml.safe_load(written.pop("data.yaml")) == {
        "train": "train.txt", "val": "val.txt", "names": {0: "cat", 1: "dog", 2: "owl"},
    }  # fmt: skip
    assert written == {
        "labels/a.txt": "1 0.3 0.3 0.4 0.4\n1 0.5 0.5 1 1\n0 0.25 0.25 0.5 0.5\n",
        "labels/sub/b.txt": "",
        "train.txt": "./images/a.png\n",
        "val.txt": "./images/sub/b.png\n",
    }


def test_what_yolo_cannot_say_is_counted() -> None:
    phrase = make(id="p", category=None, phrase="the left dog")
    samples = [make(id="a"), phrase, make(id="b", task="phrase_to_box"), make(**TEXT)]
    assert sayable(samples) == ([0], {"phrase_to_box": 1, "text": 1, "phrases of no class": 1})
    assert classes_of(samples) == {"dog"}
    with pytest.raises(InputError, match="1 phrases of none"):
        sayable([phrase])


@pytest.mark.parametrize(
    ("names", "message"),
    [(("a.png", "a.jpg"), "one file, labels/a.txt"), (("../a.png",), "no path below"), (("/a.png",), "no path below")],
)
def test_names_that_cannot_be_leave_nothing(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    samples = [about(name, "dog", [1, 1, 5, 5]) for name in names]
    with pytest.raises(InputError, match=message):
        write_truth(tmp_path / "out", {"train": samples})
    assert not list(tmp_path.iterdir())


def test_a_folder_images_of_the_names_own_is_the_one_that_counts(tmp_path: Path) -> None:
    image(tmp_path, "cam/images/a.png")
    sample = about("cam/images/a.png", "dog", [1, 1, 5, 5])
    write_truth(tmp_path / "out", {"train": [sample]}, pictures=Pictures(tmp_path))
    (read,) = open_yolo(tmp_path / "out", None, {})
    (record,) = read.records
    assert record.name == "cam/images/a.png" and record.annotations[0].xyxy_px == pytest.approx((1, 1, 5, 5))
    assert (tmp_path / "out" / record.name).read_bytes() == (tmp_path / record.name).read_bytes()


@pytest.mark.parametrize("upright", [True, False])
def test_a_turned_picture_stands_in_the_frame_of_its_boxes(tmp_path: Path, upright: bool) -> None:
    image(tmp_path, "a.jpg", SIZE, orientation=6)
    size = SIZE[::-1] if upright else SIZE
    sample = about("a.jpg", "dog", [1, 2, 9, 20], width=size[0], height=size[1], upright=upright)
    write_truth(tmp_path / "out", {"train": [sample]}, pictures=Pictures(tmp_path))
    (read,) = open_yolo(tmp_path / "out", None, {})
    (record,) = read.records
    assert record.size_wh == size
    assert record.annotations[0].xyxy_px == pytest.approx((1, 2, 9, 20))
    with Image.open(tmp_path / "out" / "images" / "a.jpg") as picture:
        assert picture.size == SIZE


@pytest.mark.parametrize(("content", "message"), [(None, "no image file"), ("no picture", "no image that can be read")])
def test_a_picture_that_cannot_be_had_leaves_nothing(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "a.png").write_text(content)
    with pytest.raises(InputError, match=message):
        write_truth(tmp_path / "out", {"train": [about("a.png", "dog", [1, 1, 5, 5])]}, pictures=Pictures(tmp_path))
    assert not (tmp_path / "out").exists()
