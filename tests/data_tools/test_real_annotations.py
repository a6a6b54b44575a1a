"""Real sets, converted: what is refused in them is known by name, and nothing else is. Skips without the data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from data_tools.convert import Conversion, Options, convert


def run(source: Path, out: Path, **options: Any) -> Conversion:
    return convert([(None, source)], out, Options(**options))


def boxes(made: Conversion) -> int:
    return sum(numbers["boxes"] for numbers in made.splits.values())


def test_blood_cells(shared_dir: Path, tmp_path: Path) -> None:
    made = run(shared_dir / "data" / "bccd", tmp_path, format="voc")
    assert made.manifest.refusals == {"zero_area": 2, "class_refused": 20, "class_incomplete": 2}
    assert [finding.place for finding in made.tally.examples["zero_area"]] == [
        "BloodImage_00338.xml: object 13",
        "BloodImage_00343.xml: object 4",
    ]
    assert {split: numbers["images"] for split, numbers in made.splits.items()} == {"train": 46, "val": 19, "test": 15}
    assert sum(numbers["found"] for numbers in made.splits.values()) == 196
    # Of the 1065 boxes 2 are clicks; the 20 other RBC of their two images cannot be asked for.
    assert boxes(made) == 1043


def test_raccoons(shared_dir: Path, tmp_path: Path) -> None:
    made = run(shared_dir / "data" / "raccoon", tmp_path, format="voc")
    assert made.manifest.refusals == {}
    assert dict(made.tally.counts) == {"identical_image": 2}
    assert boxes(made) == 67
    split_of = {sample.image: split for split, samples in made.samples.items() for sample in samples}
    assert split_of["raccoon-11.jpg"] == split_of["raccoon-116.jpg"]
    assert split_of["raccoon-83.jpg"] == split_of["raccoon-120.jpg"]


def test_coco(shared_dir: Path, tmp_path: Path) -> None:
    made = run(shared_dir / "data" / "coco", tmp_path)
    assert made.manifest.refusals == {}
    assert dict(made.tally.counts) == {"crowd": 6}
    assert boxes(made) == 430
    assert sum(numbers["ignored_boxes"] for numbers in made.splits.values()) == 6
    ratio = sum(n["not_found"] for n in made.splits.values()) / sum(n["found"] for n in made.splits.values())
    assert ratio == pytest.approx(0.25, abs=0.02)


def test_lvis(shared_dir: Path, tmp_path: Path) -> None:
    source = shared_dir / "data" / "lvis" / "lvis_val_100.json"
    made = run(source, tmp_path, format="auto")
    assert made.taken["format"].startswith("lvis: ")
    assert made.manifest.refusals == {
        "image_refused": 952,
        "class_refused": 10,
        "missing_image": 99,
        "class_not_exhaustive": 1,
    }
    # Its file_name is COCO_val2014_000000577932.jpg, which is nowhere.
    assert {sample.image for samples in made.samples.values() for sample in samples} == {"val2017/000000577932.jpg"}
    assert made.manifest.counts["mended"] == {"name_mended": 1}
    assert boxes(made) == 15  # of 25; the other 10 are of the class that is not annotated to the end


@pytest.mark.parametrize("form", ["coco", "lvis"])
def test_lvis_without_its_images(shared_dir: Path, tmp_path: Path, form: str) -> None:
    source = shared_dir / "data" / "lvis" / "lvis_val_100.json"
    made = run(source, tmp_path, format=form, check_images=False)
    assert made.manifest.refusals == {"class_refused": 261, "class_not_exhaustive": 16}
    document = json.loads(source.read_text())
    names = {category["id"]: category["name"] for category in document["categories"]}
    numbers = {image["file_name"][-16:]: image["neg_category_ids"] for image in document["images"]}
    named = {(name, names[number]) for name, listed in numbers.items() for number in listed}
    absent = {((s.image or "")[-16:], s.category) for samples in made.samples.values() for s in samples if not s.boxes}
    assert absent
    assert absent <= named
