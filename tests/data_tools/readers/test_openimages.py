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
from tests.data_tools.annotated import csv_file, image

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
