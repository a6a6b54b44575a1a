"""What people's datasets hold that no format foresees, through the whole line: images, names, classes."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from data_tools.convert import Conversion, Options, convert
from data_tools.readers.coco import read_coco
from data_tools.readers.voc import read_voc
from grounding.samples import Sample, open_image
from grounding.text import NOT_FOUND, read_boxes
from tests.data_tools.annotated import (
    coco_box,
    coco_file,
    coco_image,
    image,
    text_file,
    voc_folder,
    voc_object,
    voc_xml,
)


def run(source: Path, out: Path, **options: Any) -> tuple[Conversion, list[Sample]]:
    made = convert([("train", source)], out, Options(format="auto", **options))
    return made, list(made.samples["train"])


def test_category_ids_from_zero(tmp_path: Path) -> None:
    path = coco_file(tmp_path, [coco_image(0)], [coco_box(0, 0, [1, 1, 5, 5], id=0)], draw=True)
    document = json.loads(path.read_text())
    document["categories"] = [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}]
    path.write_text(json.dumps(document))
    made, (sample,) = run(path, tmp_path / "out")
    assert (sample.category, sample.boxes) == ("cat", [[1, 1, 6, 6]])
    assert not made.tally.counts


def test_base_names_in_several_folders_are_several_images(tmp_path: Path) -> None:
    entries = [coco_image(n, f"{folder}/1.png") for n, folder in enumerate("ab")]
    path = coco_file(tmp_path, entries, [coco_box(0, 1, [1, 1, 5, 5]), coco_box(1, 2, [1, 1, 5, 5])], draw=True)
    _, samples = run(path, tmp_path / "out", negatives=0)
    assert [(sample.id, sample.category) for sample in samples] == [("a/1.png#cat", "cat"), ("b/1.png#dog", "dog")]


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("CMYK", "jpg"), ("L", "jpg"), ("I;16", "png"), ("P", "png"), ("RGBA", "png"), ("LA", "png"), ("1", "png"),
     ("I;16", "tif"), ("CMYK", "tif"), ("P", "gif"), ("RGBA", "webp")],
)  # fmt: skip
def test_images_of_every_mode_are_read(tmp_path: Path, mode: str, suffix: str) -> None:
    Image.new(mode, (40, 30)).save(tmp_path / f"1.{suffix}")
    path = coco_file(tmp_path, [coco_image(1, f"1.{suffix}")], [coco_box(1, 1, [1, 1, 5, 5])])
    made, (sample,) = run(path, tmp_path / "out")
    assert not made.tally.counts
    assert (open_image(tmp_path, sample).mode, open_image(tmp_path, sample).size) == ("RGB", (40, 30))


@pytest.mark.parametrize("form", ["coco", "yolo"])
def test_a_picture_of_100_megapixels(tmp_path: Path, form: str) -> None:
    (tmp_path / "images").mkdir()
    Image.new("1", (10_000, 10_000)).save(tmp_path / "images" / "1.png")
    if form == "yolo":
        text_file(tmp_path, "data.yaml", "train: images\nnames: [cat]\n")
        text_file(tmp_path, "labels/1.txt", "0 0.5 0.5 0.5 0.5\n")
    else:
        box = coco_box(1, 1, [2500, 2500, 5000, 5000])
        coco_file(tmp_path, [coco_image(1, "images/1.png", (10_000, 10_000))], [box])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, (sample,) = run(tmp_path, tmp_path / "out")
    assert sample.label == "[[250,250,750,750]]" or read_boxes(sample.label).xyxy_grid.tolist() == [
        [250, 250, 750, 750]
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_other_encodings_of_json(tmp_path: Path, encoding: str) -> None:
    path = coco_file(tmp_path, [coco_image(1)], [coco_box(1, 1, [1, 1, 5, 5])], ("猫",))
    text = path.read_text(encoding="utf-8")
    path.write_bytes(json.dumps(json.loads(text), ensure_ascii=False).encode(encoding))
    (record,), _ = read_coco(path)
    assert [annotation.category for annotation in record.annotations] == ["猫"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1", "utf-16"])
def test_other_encodings_of_xml(tmp_path: Path, encoding: str) -> None:
    folder = voc_folder(tmp_path, {"a": ""})
    head = f'<?xml version="1.0" encoding="{encoding.removesuffix("-sig")}"?>'
    content = (head + voc_xml([voc_object("épi", 1, 1, 5, 5)])).encode(encoding)
    (folder / "Annotations" / "a.xml").write_bytes(content)
    (record,), tally = read_voc(folder)
    assert [annotation.category for annotation in record.annotations] == ["épi"]
    (folder / "Annotations" / "a.xml").write_bytes(voc_xml([voc_object("épi", 1, 1, 5, 5)]).encode("latin-1"))
    records, tally = read_voc(folder)
    assert not records
    assert dict(tally.counts) == {"unreadable_xml": 1}


AWKWARD = (
    "not found",
    NOT_FOUND["en"],
    NOT_FOUND["zh"],
    "[[1,2,3,4]]",
    "[[001,002,003,004]]",
    "cat ]]",
    "{phrase}",
    "{boxes}",
    "{not_found}",
    "<image>",
    "%s \\1 $x",
)


def test_awkward_names_of_classes_never_spoil_a_label(tmp_path: Path) -> None:
    entries = [coco_image(n, f"{n}.png") for n in range(12)]
    boxes = [coco_box(n, c + 1, [c, 1, 5, 5]) for n in range(12) for c in range(len(AWKWARD)) if (n + c) % 3]
    path = coco_file(tmp_path, entries, boxes, AWKWARD, draw=True)
    made, samples = run(path, tmp_path / "out", langs=("en", "zh"), negatives=1.0)
    assert {sample.category for sample in samples} > {"not found", "{phrase}", "{boxes}", "{not_found}", "<image>"}
    for sample in samples:
        reading = read_boxes(sample.label)
        assert (len(reading.xyxy_grid), reading.not_found) == (len(sample.boxes or []), not sample.boxes)
        assert not reading.refusals
        assert sample.phrase is not None
        assert sample.phrase in sample.prompt
    asked = {(n, AWKWARD[c]) for n in range(12) for c in range(len(AWKWARD)) if (n + c) % 3}
    found = {(int(Path(s.image or "").stem), s.category) for s in samples if s.boxes}
    unwritable = made.tally.counts.get("class_unwritable", 0)
    held = sum(len(sample.boxes or []) for sample in samples)
    assert held + made.tally.counts.get("class_refused", 0) == len(boxes)
    assert found <= asked
    assert len(asked - found) <= unwritable


def test_classes_that_differ_in_case_only_speak_for_each_other(tmp_path: Path) -> None:
    entries = [coco_image(n) for n in range(3)]
    boxes = [coco_box(0, 1, [1, 1, 5, 5]), coco_box(1, 2, [1, 1, 5, 5])]
    path = coco_file(tmp_path, entries, boxes, ("Cat", "cat"), draw=True)
    _, samples = run(path, tmp_path / "out", negatives=9.0)
    asked = {sample.id: bool(sample.boxes) for sample in samples}
    assert asked == {"0.png#Cat": True, "1.png#cat": True, "2.png#Cat": False, "2.png#cat": False}


def test_a_million_categories(tmp_path: Path) -> None:
    """Only those that someone drew are ever looked at again: the cost is that of reading the list."""
    number = 1_000_000
    boxes = [coco_box(n, n * 1000 + 1, [1, 1, 5, 5]) for n in range(50)]
    images = [coco_image(n) for n in range(50)]
    categories = ",".join([f'{{"id":{n},"name":"class {n}"}}' for n in range(number)])
    parts = {"images": images, "annotations": boxes}
    text = f'{json.dumps(parts)[:-1]}, "categories": [{categories}]}}'
    made, samples = run(text_file(tmp_path, "x.json", text), tmp_path / "out", check_images=False, negatives=1.0)
    assert [sum(bool(s.boxes) is found for s in samples) for found in (True, False)] == [50, 50]
    assert {sample.category for sample in samples} == {f"class {n * 1000 + 1}" for n in range(50)}
    assert not made.tally.counts


def test_a_link_out_of_the_root_is_refused_in_every_way_in(tmp_path: Path) -> None:
    outside = image(tmp_path / "elsewhere", "1.png")
    root = tmp_path / "set"
    (root / "images").mkdir(parents=True)
    (root / "images" / "1.png").symlink_to(outside)
    image(root / "images", "2.png", colour=1)
    text_file(root, "data.yaml", "train: images\nnames: [cat]\n")
    for stem in "12":
        text_file(root, f"labels/{stem}.txt", "0 0.5 0.5 0.5 0.5\n")
    made, samples = run(root, tmp_path / "out")
    assert [sample.image for sample in samples] == ["images/2.png"]
    assert made.manifest.refusals == {"link_outside_root": 1, "image_refused": 1}
