"""YOLO folders: boxes, oriented boxes and polygons, where images and labels lie, and that a wrong row costs itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_tools.readers import open_auto
from data_tools.readers.yolo import label_name, open_yolo, parse_row
from data_tools.records import Reader, Record, Source
from grounding.errors import InputError
from tests.data_tools.annotated import image, text_file

NAMES = "names: {0: cat, 1: dog}\n"


def folder(root: Path, labels: Mapping[str, str | None], yaml: str = f"train: images/train\n{NAMES}") -> Path:
    """A YOLO folder with a picture of 40 x 30 for each label file (None: no label file) below images/train."""
    for colour, (stem, content) in enumerate(labels.items()):
        image(root / "images" / "train", f"{stem}.png", colour=colour)
        if content is not None:
            text_file(root / "labels" / "train", f"{stem}.txt", content)
    text_file(root, "data.yaml", yaml)
    return root


def only(source: Path, **options: Any) -> Source:
    (read,) = open_yolo(source, None, options)
    return read


def boxes(record: Record) -> list[tuple[str, tuple[float, ...]]]:
    return [(a.category, tuple(round(v, 6) for v in a.xyxy_px)) for a in record.annotations]


def test_boxes_are_fractions_of_the_sides(tmp_path: Path) -> None:
    source = only(folder(tmp_path, {"a": "0 0.5 0.5 0.25 0.2\n1 0.1 0.1 0.2 0.2\n", "b": "", "c": None}))
    assert [record.name for record in source.records] == [f"images/train/{stem}.png" for stem in "abc"]
    assert boxes(source.records[0]) == [("cat", (15, 12, 25, 18)), ("dog", (0, 0, 8, 6))]
    assert source.records[0].size_wh == (40, 30)
    assert [len(record.annotations) for record in source.records[1:]] == [0, 0]
    assert (source.absence, source.classes) == ("exhaustive", {"cat", "dog"})
    assert {record.split for record in source.records} == {"train"}
    assert not source.tally.counts


def test_envelopes_of_oriented_boxes_and_polygons(tmp_path: Path) -> None:
    turned = "0 0.5 0.1 0.9 0.5 0.5 0.9 0.1 0.5\n"
    triangle = "1 0.25 0.2 0.75 0.2 0.5 0.6\n"
    (record,) = only(folder(tmp_path, {"a": turned + triangle})).records
    assert boxes(record) == [("cat", (4, 3, 36, 27)), ("dog", (10, 6, 30, 18))]


def test_keypoints_are_no_corners(tmp_path: Path) -> None:
    row = "0 0.5 0.5 0.25 0.2 0.9 0.9 2 0.1 0.1 2\n"
    (record,) = only(folder(tmp_path, {"a": row}, f"train: images\nkpt_shape: [2, 3]\n{NAMES}")).records
    assert boxes(record) == [("cat", (15, 12, 25, 18))]


@pytest.mark.parametrize(
    ("row", "reason", "refused", "doubtful"),
    [
        ("0 0.5 0.5 0 0.2", "zero_area", {"cat"}, False),
        ("0 0.5 0.5 -0.1 0.2", "negative_area", {"cat"}, False),
        ("0 0.5 nan 0.1 0.2", "not_finite", {"cat"}, False),
        ("0 0.5 0.5 inf 0.2", "not_finite", {"cat"}, False),
        ("0 0.5 0.5 0.1", "malformed_row", {"cat"}, False),
        ("0 0.5 0.5 0.1 0.1 0.9", "malformed_row", {"cat"}, False),
        ("0 0.5 0.5 0.1 wide", "malformed_row", {"cat"}, False),
        ("0", "malformed_row", {"cat"}, False),
        ("7 0.5 0.5 0.1 0.1", "unknown_category", set(), True),
        ("cat 0.5 0.5 0.1 0.1", "malformed_row", set(), True),
        ("hello", "malformed_row", set(), True),
        ("0 320 240 64 48", "looks_like_pixels", {"cat"}, False),
    ],
)
def test_a_wrong_row_is_refused_alone(tmp_path: Path, row: str, reason: str, refused: set[str], doubtful: bool) -> None:
    source = only(folder(tmp_path, {"a": f"1 0.1 0.1 0.2 0.2\n{row}\n"}))
    (record,) = source.records
    assert dict(source.tally.counts) == {reason: 1}
    assert source.tally.examples[reason][0].place == "labels/train/a.txt:2"
    assert (boxes(record), record.refused, record.doubtful) == ([("dog", (0, 0, 8, 6))], refused, doubtful)


@given(st.text())
def test_no_row_makes_the_parser_raise(line: str) -> None:
    if line.strip():
        parse_row(line)
        parse_row(f"0 {line}", keypoints=True)


def test_fractions_are_of_the_image_as_exif_turns_it(tmp_path: Path) -> None:
    root = folder(tmp_path, {})
    image(root / "images" / "train", "a.jpg", (40, 30), orientation=6)
    text_file(root / "labels" / "train", "a.txt", "0 0.5 0.5 1 1\n")
    assert only(root).records[0].size_wh == (30, 40)
    assert only(root, frame="stored").records[0].size_wh == (40, 30)


def test_what_cannot_be_read_is_counted(tmp_path: Path) -> None:
    root = folder(tmp_path, {"a": "0 0.5 0.5 0.1 0.1\n", "b": "0 0.5 0.5 0.1 0.1\n"})
    (root / "labels" / "train" / "a.txt").write_bytes(b"0 0.5 \xff\xfe")
    (root / "images" / "train" / "b.png").write_text("no picture")
    text_file(root / "labels" / "train", "gone.txt", "0 0.5 0.5 0.1 0.1\n")
    source = only(root)
    assert not source.records
    assert dict(source.tally.counts) == {
        "unreadable_labels": 1,
        "unreadable_image": 1,
        "image_refused": 2,
        "missing_image": 1,
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("images/train/a.jpg", "labels/train/a.txt"),
        ("train/images/a.b.png", "train/labels/a.b.txt"),
        ("images/images/a.jpg", "images/labels/a.txt"),
        ("set/a.jpg", "set/a.txt"),
    ],
)
def test_where_the_labels_of_an_image_are(name: str, expected: str) -> None:
    assert label_name(name) == expected


@pytest.mark.parametrize(
    "yaml",
    [
        "train: images/train\nval: images/val\n",
        "path: .\ntrain: images/train\nval: images/val\n",
        "path: /somewhere/else\ntrain: images/train\nval: [images/val]\n",
        "train: ../images/train\nvalid: ../images/val\ntest: ../test/images\n",
        "train: lists/train.txt\nval: images/val\n",
    ],
)
def test_where_the_images_of_a_split_are(tmp_path: Path, yaml: str) -> None:
    root = tmp_path / "set"
    for split, colour in (("train", 1), ("val", 2)):
        image(root / "images" / split, "a.png", colour=colour)
        text_file(root / "labels" / split, "a.txt", f"{colour - 1} 0.5 0.5 1 1\n")
    text_file(root, "data.yaml", f"{yaml}names: [cat, dog]\n")
    text_file(root, "lists/train.txt", "../images/train/a.png\n/etc/a.png\n" if "lists" in yaml else "")
    if "lists" in yaml:
        text_file(root, "train.txt", "./images/train/a.png\n/etc/a.png\n")
        text_file(root, "data.yaml", f"{yaml.replace('lists/', '')}names: [cat, dog]\n")
    source = only(root)
    assert {(record.split, record.annotations[0].category) for record in source.records} == {
        ("train", "cat"),
        ("val", "dog"),
    }
    assert source.image_root == root.resolve()
    found = {"bad_file_name": "lists" in yaml, "missing_split": "test" in yaml}
    assert dict(source.tally.counts) == {reason: 1 for reason, met in found.items() if met}
    assert ("not there" in source.taken["data.yaml"]) == ("test" in yaml)


def test_the_image_folder_of_the_user_stands_for_path(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", {"a": "0 0.5 0.5 1 1\n"})
    alone = text_file(tmp_path / "other", "mine.yaml", f"path: /gone\ntrain: images/train\n{NAMES}")
    (source,) = open_yolo(alone, root, {})
    assert source.image_root == root.resolve()
    assert len(source.records) == 1


@pytest.mark.parametrize(
    ("yaml", "told"),
    [
        ("train: images\n", "no `names`|there is none"),
        ("names: 5\ntrain: images\n", "must list the classes"),
        ("names: [a]\n", "no train, val or test"),
        ("names: [a]\ntrain: gone\n", "train: gone"),
        ("names: [a\n", "not YAML"),
    ],
)
def test_what_is_no_data_yaml_is_told(tmp_path: Path, yaml: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        open_yolo(folder(tmp_path, {"a": ""}, yaml), None, {})


def test_the_hash_covers_the_labels(tmp_path: Path) -> None:
    root = folder(tmp_path, {"a": "0 0.5 0.5 0.1 0.1\n"})
    before = only(root).inputs
    assert before == only(root).inputs
    text_file(root / "labels" / "train", "a.txt", "0 0.5 0.5 0.2 0.1\n")
    assert before != only(root).inputs


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"classes.txt": "cat\n\nred dog\n"}, ("names of classes.txt", "0: cat\n  2: red dog")),
        ({"labels/classes.txt": "猫\n"}, ("names of labels/classes.txt", "0: 猫")),
        ({}, ("names of the classes, which nothing here tells", "0: name of 0\n  7: name of 7")),
    ],
)
@pytest.mark.parametrize("reader", [open_auto, open_yolo])
def test_without_a_data_yaml_it_is_said_what_to_save(
    tmp_path: Path, files: dict[str, str], told: tuple[str, str], reader: Reader
) -> None:
    image(tmp_path / "images", "1.png")
    text_file(tmp_path, "labels/1.txt", "7 0.5 0.5 0.5 0.5\n0 0.5 0.5 0.25 1e-1\n")
    for name, content in files.items():
        text_file(tmp_path, name, content)
    with pytest.raises(InputError) as error:
        reader(tmp_path, None, {})
    yaml = f"path: .\ntrain: images\nnames:\n  {told[1]}\n"
    assert f"Save this as {tmp_path / 'data.yaml'}, with the {told[0]}:\n{yaml}" in str(error.value)
    text_file(tmp_path, "data.yaml", yaml)
    (source,) = reader(tmp_path, None, {})
    assert source.records[0].name == "images/1.png"


def test_a_class_number_may_be_written_as_a_float(tmp_path: Path) -> None:
    (record,) = only(folder(tmp_path, {"a": "1.0 0.5 0.5 0.25 0.2\n0. 0.5 0.5 0.25 0.2\n"})).records
    assert [annotation.category for annotation in record.annotations] == ["dog", "cat"]


def test_a_data_yaml_that_contradicts_itself_is_told(tmp_path: Path) -> None:
    yaml = "train: images/train\nval: images/val\nnc: 5\nnames: [cat, dog, cat]\n"
    source = only(folder(tmp_path, {"a": "0 0.5 0.5 0.25 0.2\n2 0.5 0.5 0.25 0.2\n"}, yaml))
    told = {reason: [one.found for one in some] for reason, some in source.tally.examples.items()}
    assert told == {
        "missing_split": ["val: images/val"],
        "class_name_twice": ["cat: 0, 2"],
        "class_number_differs": ["nc: 5, 3 names"],
    }
    assert [annotation.category for annotation in source.records[0].annotations] == ["cat", "cat"]
