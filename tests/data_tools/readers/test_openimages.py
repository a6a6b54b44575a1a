"""Open Images CSV: boxes, groups, verified labels, and that a wrong row costs itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from data_tools.convert import Options, convert
from data_tools.readers.openimages import find_csv, open_openimages, split_of
from data_tools.records import Source
from grounding.errors import InputError
from tests.data_tools.annotated import csv_file, image, json_file

HEAD = ("ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax", "IsGroupOf")
CLASSES = (("/m/1", "Cat"), ("/m/2", "Dog"), ("/m/3", "Cow"), ("/m/4", "Pig"))


def row(label: str, *xxyy: Any, image_id: str = "a", group: int = 0) -> tuple[Any, ...]:
    return (image_id, "xclick", label, 1, *(xxyy or (0.1, 0.5, 0.2, 0.6)), group)


def folder(root: Path, rows: Sequence[Any], labels: Sequence[Any] = (), images: Sequence[str] = ("a",)) -> Path:
    csv_file(root, "validation-annotations-bbox.csv", [HEAD, *rows])
    csv_file(root, "class-descriptions-boxable.csv", CLASSES)
    if labels:
        head = ("ImageID", "Source", "LabelName", "Confidence")
        csv_file(root, "validation-annotations-human-imagelabels.csv", [head, *labels])
    for colour, name in enumerate(images):
        image(root / "validation", f"{name}.jpg", colour=colour)
    return root


def only(root: Path) -> Source:
    (source,) = open_openimages(root, None, {})
    return source


def test_boxes_and_groups(tmp_path: Path) -> None:
    source = only(folder(tmp_path, [row("/m/1"), row("/m/2", 0, 1, 0, 1, group=1)]))
    (record,) = source.records
    assert [(a.category, a.xyxy_px, a.ignore) for a in record.annotations] == [
        ("Cat", (4.0, 6.0, 20.0, 18.0), None),
        ("Dog", (0.0, 0.0, 40.0, 30.0), "crowd"),
    ]
    assert (record.name, record.size_wh, source.split) == ("validation/a.jpg", (40, 30), "val")
    assert (source.absence, dict(source.tally.counts)) == ("listed", {"group_of": 1})
    assert len(source.inputs) == 2


def test_verified_labels(tmp_path: Path) -> None:
    labels = [
        ("a", "verification", "/m/1", 0),  # contradicted by a box
        ("a", "verification", "/m/2", 0),
        ("a", "verification", "/m/3", 1),  # present, no box
        ("a", "machine", "/m/4", 0.7),  # says nothing
        ("a", "verification", "/m/9", 0),
        ("b", "verification", "/m/1", 0),  # an image without any box
    ]
    source = only(folder(tmp_path, [row("/m/1")], labels, images="ab"))
    records = {record.name[-5]: record for record in source.records}
    assert (records["a"].negatives, records["a"].not_exhaustive) == ({"Dog"}, {"Cow"})
    assert (records["b"].negatives, records["b"].annotations) == ({"Cat"}, ())
    assert dict(source.tally.counts) == {
        "negative_contradicted": 1,
        "verified_without_box": 1,
        "unknown_named_class": 1,
    }


def test_only_verified_negatives_are_asked_for_as_absent(tmp_path: Path) -> None:
    labels = [("a", "verification", "/m/2", 0), ("b", "verification", "/m/3", 1)]
    rows = [row("/m/1"), row("/m/2", image_id="b"), row("/m/3", image_id="c")]
    source = folder(tmp_path / "set", rows, labels, images="abc")
    made = convert([(None, source)], tmp_path / "out", Options(format="openimages", negatives=9.0))
    asked = {sample.id: sample.boxes for samples in made.samples.values() for sample in samples}
    assert [name for name, boxes in asked.items() if not boxes] == ["validation/a.jpg#Dog"]
    assert len(asked) == 4


@pytest.mark.parametrize(
    ("wrong", "reason", "refused", "doubtful"),
    [
        (row("/m/2", 0.5, 0.5, 0.1, 0.2), "zero_area", {"Dog"}, False),
        (row("/m/2", 0.5, 0.4, 0.1, 0.2), "negative_area", {"Dog"}, False),
        (row("/m/2", "nan", 0.4, 0.1, 0.2), "not_finite", {"Dog"}, False),
        (row("/m/2", "", 0.4, 0.1, 0.2), "malformed_box", {"Dog"}, False),
        (("a", "xclick", "/m/2"), "malformed_box", {"Dog"}, False),
        (row("/m/9"), "unknown_category", set(), True),
    ],
)
def test_a_wrong_row_is_refused_alone(
    tmp_path: Path, wrong: tuple[Any, ...], reason: str, refused: set[str], doubtful: bool
) -> None:
    source = only(folder(tmp_path, [row("/m/1"), wrong]))
    (record,) = source.records
    assert dict(source.tally.counts) == {reason: 1}
    assert source.tally.examples[reason][0].place == "validation-annotations-bbox.csv:3"
    assert ([a.category for a in record.annotations], record.refused, record.doubtful) == (["Cat"], refused, doubtful)


def test_images_that_are_not_there_are_counted_with_their_boxes(tmp_path: Path) -> None:
    rows = [row("/m/1"), row("/m/1", image_id="gone"), row("/m/2", image_id="gone"), row("/m/1", image_id="../a")]
    source = only(folder(tmp_path, rows))
    assert len(source.records) == 1
    assert dict(source.tally.counts) == {"missing_image": 1, "image_refused": 3, "bad_file_name": 1}


def test_files_are_known_by_their_columns(tmp_path: Path) -> None:
    root = folder(tmp_path, [row("/m/1")], [("a", "x", "/m/2", 0)])
    csv_file(root, "other/train-annotations-bbox.csv", [HEAD])
    files = find_csv(root)
    assert [path.name for path in files.boxes] == ["train-annotations-bbox.csv", "validation-annotations-bbox.csv"]
    assert [path.name for path in files.labels] == ["validation-annotations-human-imagelabels.csv"]
    assert [split_of(path) for path in files.boxes] == ["train", "val"]


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no box file"):
        only(tmp_path)
    csv_file(tmp_path, "boxes.csv", [HEAD])
    with pytest.raises(InputError, match="class-descriptions file"):
        only(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        only(tmp_path / "gone" / "file.csv")


# Cat and Dog are kinds of Pig here, Pig is one of Cow; a part is no kind.
HIERARCHY = {
    "LabelName": "/m/root",
    "Subcategory": [
        {"LabelName": "/m/3", "Subcategory": [
            {"LabelName": "/m/4", "Subcategory": [{"LabelName": "/m/1", "Part": [{"LabelName": "/m/2"}]},
                                                  {"LabelName": "/m/2"}]}]},
        {"LabelName": "/m/2"},
    ],
}  # fmt: skip


def test_no_kind_of_an_absent_class_is_there(tmp_path: Path) -> None:
    json_file(tmp_path, "bbox_labels_600_hierarchy.json", HIERARCHY)
    source = only(folder(tmp_path, [], [("a", "verification", "/m/4", 0)]))
    (record,) = source.records
    assert (record.negatives, record.not_exhaustive) == ({"Pig", "Cat", "Dog"}, frozenset())
    assert source.taken["class hierarchy"] == "bbox_labels_600_hierarchy.json"
    assert len(source.inputs) == 4


def test_a_class_of_which_a_kind_is_there_is_neither_asked_for_nor_absent(tmp_path: Path) -> None:
    root = tmp_path / "set"
    rows = [row("/m/1"), row("/m/4", 0, 1, 0, 1), *(row(f"/m/{n}", image_id="b") for n in (2, 3, 4))]
    labels = [("a", "verification", label, 0) for label in ("/m/3", "/m/2")]
    source = folder(root, rows, labels, images="ab")
    plain = convert([("train", source)], tmp_path / "plain", Options(format="auto", negatives=9.0))
    json_file(root, "hierarchy.json", HIERARCHY)
    made = convert([("train", source)], tmp_path / "out", Options(format="auto", negatives=9.0))
    asked = [{s.id[-5:]: bool(s.boxes) for s in one.samples["train"] if "a.jpg" in s.id} for one in (plain, made)]
    assert asked == [{"g#Cat": True, "g#Cow": False, "g#Dog": False, "g#Pig": True}, {"g#Cat": True, "g#Dog": False}]
    assert made.tally.counts["negative_contradicted"] == 1
    assert made.tally.counts["kind_is_there"] == 3  # Pig in a; Cow and Pig in b


def test_a_hierarchy_that_is_none_costs_nothing_and_two_are_told(tmp_path: Path) -> None:
    json_file(tmp_path, "hierarchy.json", {"LabelName": 5, "Subcategory": [None, {"Subcategory": "x"}]})
    source = only(folder(tmp_path, [row("/m/1")], [("a", "v", "/m/2", 0)]))
    assert source.records[0].negatives == {"Dog"}
    json_file(tmp_path, "other_hierarchy.json", {})
    with pytest.raises(InputError, match="2 hierarchies"):
        only(tmp_path)


@pytest.mark.parametrize("file", ["validation-annotations-bbox.csv", "class-descriptions-boxable.csv"])
def test_a_file_in_another_encoding_is_told_with_its_line(tmp_path: Path, file: str) -> None:
    path = folder(tmp_path, [row("/m/1")]) / file
    path.write_bytes(path.read_bytes() + "/m/7,café\n".encode("latin-1"))
    line = path.read_bytes().count(b"\n")
    with pytest.raises(InputError, match=rf"{file}:{line}: is not UTF-8 text: byte 0xe9"):
        only(tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace("é".encode("latin-1"), "é".encode()))
    assert only(tmp_path).records
