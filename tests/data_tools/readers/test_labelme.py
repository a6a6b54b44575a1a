"""LabelMe's JSON: what of each kind of shape is its box, parts of one object, where the image is, broken files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from data_tools.convert import Options, convert
from data_tools.readers import open_auto
from data_tools.readers.labelme import open_labelme
from data_tools.records import Annotation, Record, Source
from grounding.errors import InputError
from tests.data_tools.annotated import image, text_file
from tests.data_tools.sets import labelme_file, shape


def read(folder: Path, *shapes: Any, **more: Any) -> Source:
    labelme_file(folder, "a.json", shapes, "a.png", **more)
    (source,) = open_labelme(folder, None, {})
    return source


def record_of(source: Source) -> Record:
    (record,) = source.records
    return record


def only(source: Source) -> Annotation:
    (annotation,) = record_of(source).annotations
    return annotation


@pytest.mark.parametrize(
    ("kind", "points", "box"),
    [
        ("rectangle", [[9, 3], [2, 8]], (2, 3, 9, 8)),
        ("rectangle", [[2, 3], [9, 3], [9, 8], [2, 8]], (2, 3, 9, 8)),  # as AnyLabeling writes it
        ("polygon", [[1.5, 2], [9, 5], [4, 7.25]], (1.5, 2, 9, 7.25)),
        (None, [[1, 2], [9, 5], [4, 7]], (1, 2, 9, 7)),
        ("oriented_rectangle", [[5, 1], [9, 5], [5, 9], [1, 5]], (1, 1, 9, 9)),
        ("rotation", [[5, 1], [9, 5], [5, 9], [1, 5]], (1, 1, 9, 9)),
        ("circle", [[10, 12], [13, 16]], (5, 7, 15, 17)),
        ("mask", [[2, 3], [8, 7]], (2, 3, 9, 8)),
    ],
)
def test_the_box_of_a_shape_is_its_extent(tmp_path: Path, kind: Any, points: Any, box: Any) -> None:
    source = read(tmp_path, shape("cat", *points, shape_type=kind, mask="aGVsbG8="))
    assert only(source).xyxy_px == box
    assert (record_of(source).name, record_of(source).size_wh) == ("a.png", (40, 30))
    assert not source.tally.counts


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (shape("cat", [5, 5], shape_type="point"), "missing_box"),
        (shape("cat", [5, 5], [9, 9], shape_type="line"), "missing_box"),
        (shape("cat", [5, 5], [9, 9], shape_type=["polygon"]), "missing_box"),
        (shape("cat", [5, 5]), "malformed_box"),
        (shape("cat", [5, 5], [9, 9], shape_type="polygon"), "malformed_box"),
        (shape("cat", [5, 5], [9, "9"]), "malformed_box"),
        (shape("cat", [5, 5], [9]), "malformed_box"),
        (shape("cat", points=None), "malformed_box"),
        (shape("cat", [5, 5], [5, 9]), "zero_area"),
        (shape("cat", [5, 5], [math.nan, 9]), "not_finite"),
        (shape("cat", [5, 5], [5, 5], shape_type="circle"), "zero_area"),
    ],
)
def test_a_shape_without_a_box_costs_its_class_in_its_image(tmp_path: Path, broken: Any, reason: str) -> None:
    source = read(tmp_path, broken, shape("dog", [1, 1], [9, 9]))
    assert dict(source.tally.counts) == {reason: 1}
    assert record_of(source).refused == {"cat"}
    assert only(source).category == "dog"
    assert source.classes == {"cat", "dog"}


def test_shapes_of_a_label_and_a_group_are_one_object(tmp_path: Path) -> None:
    parts = [shape("cat", [1, 2], [5, 6], group_id=1), shape("cat", [20, 8], [30, 9], group_id=1)]
    source = read(tmp_path, *parts, shape("dog", [1, 1], [3, 3], group_id=1), shape("cat", [2, 2], [4, 4], group_id=2))
    boxes = [(a.category, a.xyxy_px) for a in record_of(source).annotations]
    assert boxes == [("cat", (1, 2, 30, 9)), ("dog", (1, 1, 3, 3)), ("cat", (2, 2, 4, 4))]
    assert dict(source.tally.counts) == {"part_of_group": 1}
    parts[1]["points"] = []
    source = read(tmp_path, *parts)
    assert (record_of(source).annotations, record_of(source).refused) == ((), {"cat"})
    assert dict(source.tally.counts) == {"class_refused": 1, "malformed_box": 1}


def test_difficult_as_a_flag_or_as_x_anylabeling_has_it(tmp_path: Path) -> None:
    corners = ([1, 2], [5, 6])
    hard = [shape("cat", *corners, flags={"difficult": True}), shape("cat", *corners, difficult=True)]
    source = read(tmp_path, *hard, shape("cat", *corners, difficult="false"))
    assert [a.ignore for a in record_of(source).annotations] == ["difficult", "difficult", None]
    assert dict(source.tally.counts) == {"difficult": 2}


def test_files_of_old_versions_and_without_an_object(tmp_path: Path) -> None:
    image(tmp_path, "a.png")
    image(tmp_path, "b.png", colour=1)
    old = {"label": "cat", "points": [[1, 2], [9, 5], [4, 7]], "line_color": None}
    labelme_file(tmp_path, "a.json", [old], "a.png", imageWidth=None, imageHeight=None, lineColor=[0, 255, 0, 128])
    labelme_file(tmp_path, "b.json", [], "b.png")
    made = convert([("train", tmp_path)], tmp_path / "out", Options(format="auto", negatives=1.0))
    assert {(s.image, s.category): s.boxes for s in made.samples["train"]} == {
        ("a.png", "cat"): [[1, 2, 9, 7]],
        ("b.png", "cat"): [],
    }
    assert dict(made.tally.counts) == {"size_from_file": 1}


@pytest.mark.parametrize(
    ("json", "stated", "pictures", "images", "name"),
    [
        ("a.json", "a.png", "", None, "a.png"),
        ("cam 1/a.json", "a.png", "", None, "cam 1/a.png"),  # base names may be repeated in other folders
        ("labels/a.json", "../images/a.png", "", None, "images/a.png"),
        ("labels/a.json", "..\\images\\a.png", "", None, "images/a.png"),
        ("labels/cam1/a.json", "../../images/cam1/a.png", "images/cam1", "images", "cam1/a.png"),
        ("a.json", "C:\\work\\images\\a.png", "images", None, "images/a.png"),
        ("a.json", "/home/me/images/a.png", "", None, "a.png"),
        ("labels/a.json", "../images/a.png", "images", "images", "a.png"),
        ("a.json", "a.png", "", "elsewhere", "a.png"),  # not there: the check of the images tells it
    ],
)
def test_where_the_image_is(
    tmp_path: Path, json: str, stated: str, pictures: str, images: str | None, name: str
) -> None:
    image(tmp_path / pictures, "a.png")
    labelme_file(tmp_path, json, [shape("cat", [1, 1], [9, 9])], stated)
    (source,) = open_labelme(tmp_path, tmp_path / images if images else None, {})
    assert record_of(source).name == name
    assert source.image_root == tmp_path / (images or "")


@pytest.mark.parametrize("stated", [None, "", 5, "../a.png", "/etc/a.png", "x\0.png"])
def test_an_image_that_cannot_be_named_falls_with_its_shapes(tmp_path: Path, stated: Any) -> None:
    labelme_file(tmp_path, "a.json", [shape("cat", [1, 1], [9, 9])], stated)
    (source,) = open_labelme(tmp_path, None, {})
    assert not source.records
    assert dict(source.tally.counts) == {"bad_file_name": 1, "image_refused": 1}


@pytest.mark.parametrize("label", [None, "", " ", 5])
def test_an_object_without_a_name_costs_its_image(tmp_path: Path, label: Any) -> None:
    source = read(tmp_path, shape(label, [1, 1], [9, 9]), shape("cat", [1, 1], [9, 9]))
    assert not source.records
    assert dict(source.tally.counts) == {"nameless_object": 1, "image_refused": 2}


def test_broken_files_cost_themselves(tmp_path: Path) -> None:
    for name, content in (("b", "{"), ("c", "[]"), ("d", '{"shapes": {}}'), ("e", "")):
        text_file(tmp_path, f"{name}.json", content)
    (tmp_path / "f.json").write_bytes('{"shapes": [], "imagePath": "é"}'.encode("latin-1"))
    source = read(tmp_path, shape("cat", [1, 1], [9, 9]))
    assert only(source).category == "cat"
    assert dict(source.tally.counts) == {"unreadable_json": 5}


def test_files_in_folders_are_recognised(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no JSON file"):
        open_labelme(tmp_path, None, {})
    labelme_file(tmp_path / "cam1", "a.json", [shape("cat", [1, 1], [9, 9])], "a.png")
    (source,) = open_auto(tmp_path, None, {})
    assert source.taken["format"] == "labelme: a.json has shapes and imagePath"
    (alone,) = open_auto(tmp_path / "cam1" / "a.json", None, {})
    assert only(alone).xyxy_px == only(source).xyxy_px
    assert (record_of(alone).name, record_of(source).name) == ("a.png", "cam1/a.png")
