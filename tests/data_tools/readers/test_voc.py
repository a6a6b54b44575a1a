"""Pascal VOC folders: pixels, names, lists, and that each kind of wrong file or object costs itself alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_tools.readers.voc import open_voc, parse_voc, pixel_rule, read_voc
from data_tools.readers.voc_lists import read_lists
from data_tools.records import Record
from grounding.errors import InputError
from tests.data_tools.annotated import image, voc_folder, voc_object, voc_xml

BOMB = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>'
    "<annotation><filename>&c;</filename></annotation>"
)
OUTSIDE = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]>'
    "<annotation><filename>&b;</filename></annotation>"
)


def only(folder: Path, **more: str) -> Record:
    records, _ = read_voc(folder, **more)  # type: ignore[arg-type]
    return records[0]


@pytest.mark.parametrize(
    ("second", "pixels", "expected"),
    [
        (1, "auto", (2.0, 3.0, 5.0, 6.0)),
        (0, "auto", (3.0, 4.0, 5.0, 6.0)),  # 0 in two files
        (0, "one-based", (2.0, 3.0, 5.0, 6.0)),
        (1, "edges", (3.0, 4.0, 5.0, 6.0)),
    ],
)
def test_pixels(tmp_path: Path, second: int, pixels: str, expected: tuple[float, ...]) -> None:
    files = {
        "a": voc_xml([voc_object("cat", 3, 4, 5, 6)]),
        "b": voc_xml([voc_object("cat", 0, 1, 5, 6), voc_object("cat", 0, 0, 7, 7)]),
        "c": voc_xml([voc_object("cat", 2, second, 5, 6)]),
    }
    folder = voc_folder(tmp_path, files)
    assert only(folder, pixels=pixels).annotations[0].xyxy_px == expected
    (source,) = open_voc(folder, None, {"voc_pixels": pixels})
    assert ("1-based" in source.taken["VOC pixels"]) == (expected[0] == 2.0)


def test_an_unknown_pixel_rule_is_told() -> None:
    with pytest.raises(InputError, match="auto, one-based, edges"):
        pixel_rule([], "zero")


@pytest.mark.parametrize(
    ("thing", "reason"),
    [
        (voc_object("cat", 5, 5, 5, 5), "zero_area"),
        (voc_object("cat", 5, 5, 5, 9), "zero_area"),
        (voc_object("cat", 6, 5, 5, 9), "negative_area"),
        (voc_object("cat", "nan", 5, 5, 9), "not_finite"),
        (voc_object("cat", "1e999", 5, 5, 9), "not_finite"),
        (voc_object("cat", "", 5, 5, 9), "malformed_box"),
        (voc_object("cat", "four", 5, 5, 9), "malformed_box"),
        ("<object><name>cat</name></object>", "missing_box"),
        ("<object><name>cat</name><bndbox/></object>", "malformed_box"),
    ],
)
def test_a_wrong_object_is_refused_alone(tmp_path: Path, thing: str, reason: str) -> None:
    folder = voc_folder(tmp_path, {"a": voc_xml([voc_object("dog", 1, 1, 5, 5), thing])})
    (record,), tally = read_voc(folder)
    assert dict(tally.counts) == {reason: 1}
    assert [a.category for a in record.annotations] == ["dog"]
    assert record.refused == {"cat"}
    assert tally.examples[reason][0].place == "a.xml: object 2"


def test_floats_parts_and_difficult(tmp_path: Path) -> None:
    part = "<part><name>head</name><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>1</xmax><ymax>1</ymax></bndbox></part>"
    person = voc_object("person", "1.5", "2", "10.25", "20", difficult=1).replace("</object>", f"{part}</object>")
    truncated = voc_object("dog", 1, 1, 40, 30).replace("</object>", "<truncated>1</truncated></object>")
    folder = voc_folder(tmp_path, {name: voc_xml([person, truncated], size_wh=("40.0", "30")) for name in "ab"})
    (record, _), tally = read_voc(folder)
    assert record.size_wh == (40, 30)
    assert record.annotations[0].xyxy_px == (0.5, 1.0, 10.25, 20.0)
    assert [a.ignore for a in record.annotations] == ["difficult", None]
    assert dict(tally.counts) == {"difficult": 2}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (BOMB, "unreadable_xml"),
        (OUTSIDE, "unreadable_xml"),
        ("<annotation><object>", "unreadable_xml"),
        ("", "unreadable_xml"),
        ("<annotations/>", "unreadable_xml"),
        ('<?xml version="1.0" encoding="no-such"?><annotation/>', "unreadable_xml"),
        (voc_xml([voc_object("", 1, 1, 5, 5)]), "nameless_object"),
        (voc_xml([voc_object("_", 1, 1, 5, 5)]), "nameless_object"),
    ],
)
def test_a_wrong_file_is_refused_alone(tmp_path: Path, content: str, reason: str) -> None:
    folder = voc_folder(tmp_path, {"a": content, "b": voc_xml([])})
    records, tally = read_voc(folder)
    assert [record.name for record in records] == ["b.png"]
    assert tally.counts[reason] == 1
    assert set(tally.counts) <= {reason, "image_refused"}


@given(st.text(max_size=40), st.binary(max_size=60))
def test_no_file_makes_the_parser_raise(inside: str, content: bytes) -> None:
    parse_voc(content, "x.xml")
    parse_voc(voc_xml([voc_object(inside, inside, 1, 2, 3)], filename="x").encode("utf-8", "replace"), "x.xml")


@pytest.mark.parametrize(
    ("filename", "files", "expected", "counted"),
    [
        ("a.png", ["a.png"], "a.png", {}),
        ("a", ["a.png"], "a.png", {}),
        (None, ["a.JPG"], "a.JPG", {}),
        ("other.png", ["a.png", "other.png"], "a.png", {"filename_disagrees": 1}),
        ("other.png", ["other.png"], "other.png", {"filename_disagrees": 1}),
        ("../a.png", ["a.png"], "a.png", {}),
        ("a.tif", ["a.png", "a.tif"], "a.tif", {}),
        ("a.png", [], "a.png", {}),
        (None, [], "a.jpg", {}),
    ],
)
def test_the_image_of_a_file(
    tmp_path: Path, filename: str | None, files: list[str], expected: str, counted: dict[str, int]
) -> None:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "a.xml").write_text(voc_xml([], filename=filename))
    (tmp_path / "images").mkdir()
    for name in files:
        image(tmp_path / "images", name)
    (record,), tally = read_voc(tmp_path)
    assert record.name == expected
    assert dict(tally.counts) == counted


def test_a_file_name_that_leads_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(voc_xml([voc_object("cat", 1, 1, 2, 2)], filename="../../secret.png"))
    records, tally = read_voc(tmp_path, images=tmp_path)
    assert not records
    assert dict(tally.counts) == {"bad_file_name": 1, "image_refused": 1}


def test_subfolders_of_annotations(tmp_path: Path) -> None:
    for name in ("x/1", "y/1"):
        path = tmp_path / "Annotations" / f"{name}.xml"
        path.parent.mkdir(parents=True)
        path.write_text(voc_xml([], filename="1.png"))
        image(tmp_path / "JPEGImages", f"{name}.png")
    records, _ = read_voc(tmp_path)
    assert [record.name for record in records] == ["x/1.png", "y/1.png"]


def test_lists_are_obeyed(tmp_path: Path) -> None:
    lists = {"train": ["a"], "val": ["b", "gone"], "trainval": ["a", "b", "c", "gone"], "cat_train": ["a  1", "d -1"]}
    folder = voc_folder(tmp_path, {stem: voc_xml([voc_object("cat", 1, 1, 5, 5)]) for stem in "abcd"}, lists)
    records, tally = read_voc(folder)
    assert {record.name: record.split for record in records} == {"a.png": "train", "b.png": "val", "c.png": "trainval"}
    assert dict(tally.counts) == {"listed_without_annotation": 1, "not_in_lists": 1, "image_refused": 1}
    (source,) = open_voc(folder, None, {"lists": "no"})
    assert [record.split for record in source.records] == [None] * 4


def test_lines_of_lists() -> None:
    stems = ["a", "b c", "d"]
    splits, findings = read_lists({"train": "a  1\nb c\n\nd.jpg\n", "test": "d\n"}, stems)
    assert splits == {"a": "train", "b c": "train", "d": "test"}
    assert [finding.reason for finding in findings] == ["in_several_lists"]
    assert read_lists({"train": "a", "trainval": "a"}, stems) == ({"a": "train"}, [])
    assert [finding.reason for finding in read_lists({"test": "a", "trainval": "a"}, stems)[1]] == ["in_several_lists"]


def test_what_is_no_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        read_voc(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="it is a file"):
        read_voc(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no XML"):
        read_voc(tmp_path / "empty")


def test_the_hash_covers_every_file(tmp_path: Path) -> None:
    folder = voc_folder(tmp_path, {"a": voc_xml([])}, {"train": ["a"]})
    first = open_voc(folder, None, {})[0].inputs
    assert first == open_voc(folder, None, {})[0].inputs
    (folder / "ImageSets" / "Main" / "train.txt").write_text("a \n")
    assert first != open_voc(folder, None, {})[0].inputs
