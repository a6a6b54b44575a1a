"""COCO instances JSON: what is read, and that each kind of wrong entry costs itself alone and is counted."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from data_tools.readers.coco import open_coco, read_coco
from data_tools.readers.coco_file import find_instances, load_coco
from data_tools.readers.image_files import guess_image_root
from data_tools.records import Record, Tally
from grounding.errors import InputError
from tests.data_tools.annotated import coco_box, coco_file, coco_image, image


def read(folder: Path, images: list[Any], annotations: list[Any], **more: Any) -> tuple[dict[str, Record], Tally]:
    records, tally = read_coco(coco_file(folder, images, annotations, **more))
    return {record.name: record for record in records}, tally


def test_boxes_become_corners_in_the_order_of_the_file(tmp_path: Path) -> None:
    boxes = [coco_box(7, 2, [1, 2, 3.5, 4]), coco_box(7, 1, [0, 0, 10, 10], iscrowd=1), coco_box(7, 1, [5, 5, 1, 1])]
    records, tally = read(tmp_path, [coco_image(7), coco_image(9)], boxes)
    assert [(a.category, a.xyxy_px, a.ignore) for a in records["7.png"].annotations] == [
        ("dog", (1.0, 2.0, 4.5, 6.0), None),
        ("cat", (0.0, 0.0, 10.0, 10.0), "crowd"),
        ("cat", (5.0, 5.0, 6.0, 6.0), None),
    ]
    assert records["9.png"].annotations == ()
    assert records["7.png"].size_wh == (40, 30)
    assert dict(tally.counts) == {"crowd": 1}
    assert tally.examples["crowd"][0].place == "instances.json: annotations[1] (id None)"


@pytest.mark.parametrize(
    ("box", "reason", "refused"),
    [
        (coco_box(1, 1, [1, 1, 0, 5]), "zero_area", {"cat"}),
        (coco_box(1, 1, [1, 1, -3, 5]), "negative_area", {"cat"}),
        (coco_box(1, 1, [math.nan, 1, 3, 5]), "not_finite", {"cat"}),
        (coco_box(1, 1, [1, 1, math.inf, 5]), "not_finite", {"cat"}),
        (coco_box(1, 1, [1e308, 1, 1e308, 5]), "not_finite", {"cat"}),
        (coco_box(1, 1, None), "missing_box", {"cat"}),
        (coco_box(1, 1, None, segmentation=[[1, 1, 9]]), "unreadable_mask", {"cat"}),
        (coco_box(1, 1, None, segmentation=[[1, 1, 9, 1, 9, math.nan]]), "not_finite", {"cat"}),
        (coco_box(1, 1, [1, 1, 3]), "malformed_box", {"cat"}),
        (coco_box(1, 1, ["1", 1, 3, 5]), "malformed_box", {"cat"}),
        (coco_box(1, 1, [1, 1, 3, 5], iscrowd="yes"), "malformed_annotation", {"cat"}),
        (coco_box(2, 1, [1, 1, 3, 5]), "unknown_image", set()),
        (coco_box([1], 1, [1, 1, 3, 5]), "unknown_image", set()),
        ("not an object", "malformed_annotation", set()),
        (None, "malformed_annotation", set()),
        (coco_box(1, 9, [1, 1, 3, 5]), "unknown_category", set()),
        (coco_box(1, [1], [1, 1, 3, 5]), "unknown_category", set()),
    ],
)
def test_a_wrong_annotation_is_refused_alone(tmp_path: Path, box: Any, reason: str, refused: set[str]) -> None:
    records, tally = read(tmp_path, [coco_image(1)], [coco_box(1, 2, [1, 1, 5, 5]), box])
    assert dict(tally.counts) == {reason: 1}
    assert [a.category for a in records["1.png"].annotations] == ["dog"]
    assert records["1.png"].refused == refused
    assert records["1.png"].doubtful == (reason == "unknown_category")


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (coco_image(2, "../2.png"), "bad_file_name"),
        (coco_image(2, "/etc/2.png"), "bad_file_name"),
        (coco_image(2, "C:\\2.png"), "bad_file_name"),
        ({"id": 2, "width": 3, "height": 3}, "malformed_image"),
        ({"id": 2, "file_name": 3}, "malformed_image"),
    ],
)
def test_a_wrong_image_is_refused_with_its_annotations(tmp_path: Path, entry: Any, reason: str) -> None:
    records, tally = read(tmp_path, [coco_image(1), entry], [coco_box(2, 1, [1, 1, 5, 5])])
    assert list(records) == ["1.png"]
    assert dict(tally.counts) == {reason: 1, "image_refused": 1}


def test_an_image_entry_without_an_id_is_refused(tmp_path: Path) -> None:
    records, tally = read(tmp_path, [coco_image(1), {"file_name": "2.png"}, 5], [])
    assert list(records) == ["1.png"]
    assert dict(tally.counts) == {"malformed_image": 2}


def test_repeated_ids(tmp_path: Path) -> None:
    images = [coco_image(1), coco_image(1), coco_image(2, "a.png"), coco_image(2, "b.png")]
    boxes = [
        coco_box(1, 1, [1, 1, 5, 5], id=1),
        coco_box(1, 1, [1, 1, 5, 5], id=1),  # a copy
        coco_box(1, 1, [2, 2, 5, 5], id=1),  # another box
        coco_box(1, 1, [1, 1, 5, 5], id=2),  # the same box under an id of its own
        coco_box(2, 1, [1, 1, 5, 5], id=3),
    ]
    records, tally = read(tmp_path, images, boxes)
    assert list(records) == ["1.png"]
    assert len(records["1.png"].annotations) == 3
    assert dict(tally.counts) == {
        "repeated_image": 1,
        "ambiguous_image_id": 2,
        "repeated_annotation": 1,
        "repeated_annotation_id": 1,
        "ambiguous_image": 1,
    }


def test_repeated_category_ids(tmp_path: Path) -> None:
    path = coco_file(tmp_path, [coco_image(1)], [coco_box(1, n, [1, 1, n, 5]) for n in (1, 2, 3)])
    document = json.loads(path.read_text())
    document["categories"] = [
        {"id": 1, "name": "cat"},
        {"id": 1, "name": "cat"},
        {"id": 2, "name": "dog"},
        {"id": 2, "name": "wolf"},
        {"id": 3, "name": "cat"},
        {"id": 4},
        None,
    ]
    path.write_text(json.dumps(document))
    (record,), tally = read_coco(path)
    assert [a.category for a in record.annotations] == ["cat", "cat"]
    assert dict(tally.counts) == {"unknown_category": 1}
    assert record.doubtful


def test_ids_have_gaps_and_may_be_strings_or_floats(tmp_path: Path) -> None:
    records, tally = read(
        tmp_path,
        [coco_image("a"), coco_image(10**12)],
        [coco_box("a", 2.0, [1, 1, 2, 2]), coco_box(1e12, 1, [0, 0, 1, 1])],
    )
    assert [len(record.annotations) for record in records.values()] == [1, 1]
    assert not tally.counts


def test_an_id_may_be_larger_than_any_float(tmp_path: Path) -> None:
    records, tally = read(tmp_path, [coco_image(10**400, "a.png")], [coco_box(10**400, 1, [0, 0, 1, 1])])
    assert [len(record.annotations) for record in records.values()] == [1]
    assert not tally.counts


def test_lvis_keys_make_absence_listed(tmp_path: Path) -> None:
    images = [
        coco_image(1, neg_category_ids=[1, 9], not_exhaustive_category_ids=[2]),
        coco_image(2, neg_category_ids=[1]),
    ]
    path = coco_file(tmp_path, images, [coco_box(2, 1, [1, 1, 2, 2])])
    (source,) = open_coco(path, None, {})
    assert source.absence == "listed"
    assert source.taken
    assert source.records[0].negatives == {"cat"}
    assert source.records[0].not_exhaustive == {"dog"}
    assert source.records[1].negatives == set()
    assert dict(source.tally.counts) == {"unknown_named_class": 1, "negative_contradicted": 1}


def test_backslashes_are_slashes(tmp_path: Path) -> None:
    records, tally = read(tmp_path, [coco_image(1, "train\\1.png")], [])
    assert list(records) == ["train/1.png"]
    assert dict(tally.counts) == {"backslash": 1}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", ":1"),
        (b'{"images": [,]}', ":1"),
        (b'{\n"images": [}', ":2"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"x": ' * 100_000, "nested too deeply"),
        (b"[]", "found a list"),
        (b"5", "found a int"),
        (b'{"images": []}', "annotations, categories"),
        (b'{"images": {}, "annotations": [], "categories": []}', "images"),
        (b'{"images": [], "annotations": [], "categories": [{"id": 1, "name": "\xff"}]}', "JSON"),
        (b"\xff\xfe\x00", "JSON"),
    ],
)
def test_what_is_no_instances_file_is_told(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_coco(path)
    assert str(path) in str(caught.value)
    assert told in str(caught.value)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = coco_file(tmp_path, [coco_image(1)], [])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read_coco(path)[0]) == 1


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        find_instances(tmp_path / "nowhere.json")
    with pytest.raises(InputError, match="cannot be read"):
        load_coco(tmp_path / "nowhere.json")


def test_folders_of_coco(tmp_path: Path) -> None:
    one = coco_file(tmp_path / "one" / "annotations", [coco_image(1)], [])
    assert find_instances(tmp_path / "one") == [(one, None)]
    for name in ("instances_train2017", "instances_val2017", "captions_val2017"):
        coco_file(tmp_path / "own" / "annotations", [], [], name=f"{name}.json")
    assert [(path.stem, split) for path, split in find_instances(tmp_path / "own")] == [
        ("instances_train2017", "train"),
        ("instances_val2017", "val"),
    ]
    for name in ("train", "valid"):
        coco_file(tmp_path / "nested" / name, [], [], name="_annotations.coco.json")
    assert [(path.parent.name, split) for path, split in find_instances(tmp_path / "nested")] == [
        ("train", "train"),
        ("valid", "val"),
    ]
    coco_file(tmp_path / "many", [], [], name="a.json")
    coco_file(tmp_path / "many", [], [], name="b.json")
    with pytest.raises(InputError, match=r"a\.json, b\.json"):
        find_instances(tmp_path / "many")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="none"):
        find_instances(tmp_path / "empty")


@pytest.mark.parametrize("place", [".", "images", "../images", "..", "../val2017", "../images/val2017"])
def test_the_image_folder_is_guessed(tmp_path: Path, place: str) -> None:
    path = coco_file(tmp_path / "annotations", [coco_image(1)], [], name="instances_val2017.json")
    folder = (path.parent / place).resolve()
    image(folder, "1.png")
    assert guess_image_root(path, ["1.png"]).resolve() == folder


def test_reading_does_not_change_and_repeats(tmp_path: Path) -> None:
    path = coco_file(tmp_path, [coco_image(1)], [coco_box(1, 1, [1, 1, 5, 5])])
    assert read_coco(path) == read_coco(path)
