"""What readers share: documents, names and sizes of images, boxes of masks, and which form four numbers have."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from data_tools.readers.box_form import choose_form, corners
from data_tools.readers.coco import read_coco
from data_tools.readers.documents import lines_of, load_entries
from data_tools.readers.image_files import coco_names, header_of, relative_name
from data_tools.readers.lvis import open_lvis
from data_tools.readers.masks import box_of_mask
from data_tools.readers.voc import open_voc, read_voc
from grounding.errors import InputError
from tests.data_tools.annotated import coco_box, coco_file, coco_image, image, voc_folder, voc_object, voc_xml


class Entry(msgspec.Struct, frozen=True):
    """Any entry with one key."""

    key: Any = None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_entries_in_any_unicode_and_with_nan(tmp_path: Path, encoding: str) -> None:
    content = '[{"key": "图"}, 5, {"key": NaN}]'.encode(encoding)
    entries = load_entries(content, Entry, tmp_path)
    assert [entry and entry.key for entry in entries][:2] == ["图", None]
    assert len(entries) == 3
    with pytest.raises(InputError, match="a list is needed"):
        load_entries(b"{}", Entry, tmp_path)


def test_lines_are_judged_one_by_one() -> None:
    content = b'{"key": 1}\r\n\n{"key": Infinity}\n[]\n{"key"\n\xff\n' + b"[" * 100_000
    read = [(number, entry and entry.key) for number, entry in lines_of(content, Entry)]
    assert read == [(1, 1), (3, float("inf")), (4, None), (5, None), (6, None), (7, None)]


@pytest.mark.parametrize(
    ("file_name", "url", "expected"),
    [
        ("a.jpg", None, ["a.jpg"]),
        ("a.jpg", "http://x/val2017/b.jpg", ["a.jpg"]),
        (
            "COCO_val2014_000000577932.jpg",
            "http://images.cocodataset.org/val2017/000000577932.jpg",
            ["COCO_val2014_000000577932.jpg", "val2017/000000577932.jpg", "000000577932.jpg"],
        ),
        ("COCO_val2014_000000577932.jpg", None, ["COCO_val2014_000000577932.jpg", "000000577932.jpg"]),
        (None, "http://images.cocodataset.org/train2017/000000000009.jpg",
         ["train2017/000000000009.jpg", "000000000009.jpg"]),
        (None, "http://x/../../etc/passwd", []),
        ("../a.jpg", None, []),
        (None, 5, []),
    ],
)  # fmt: skip
def test_names_of_coco_and_lvis(file_name: object, url: object, expected: list[str]) -> None:
    assert coco_names(file_name, url) == expected


def test_lvis_files_are_found_under_the_names_they_have(tmp_path: Path) -> None:
    name = "000000577932.png"
    entries = [
        coco_image(1, f"COCO_val2014_{name}", neg_category_ids=[2]),
        {"id": 2, "width": 40, "height": 30, "coco_url": "http://x/train2017/000000000009.png"},
    ]
    image(tmp_path / "val2017", name)
    image(tmp_path / "train2017", "000000000009.png")
    entries[0]["coco_url"] = f"http://images.cocodataset.org/val2017/{name}"
    path = coco_file(tmp_path, entries, [coco_box(1, 1, [1, 1, 5, 5]), coco_box(2, 2, [1, 1, 5, 5])])
    (source,) = open_lvis(path, None, {})
    assert [record.name for record in source.records] == [f"val2017/{name}", "train2017/000000000009.png"]
    assert (source.absence, source.records[0].negatives) == ("listed", {"dog"})
    assert dict(source.tally.counts) == {"name_mended": 1}
    (source,) = open_lvis(path, tmp_path / "val2017", {})
    assert [record.name for record in source.records] == [name, "train2017/000000000009.png"]


def test_absolute_names_below_the_root(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    assert relative_name(f"{root}/a/b.png", tmp_path) == "a/b.png"
    assert relative_name("a/b.png", tmp_path) == "a/b.png"
    for name in (f"{root}/../b.png", f"{root}x/b.png", "/etc/b.png", "../b.png", "", None, "a\0"):
        assert relative_name(name, tmp_path) is None


def test_sizes_by_the_header(tmp_path: Path) -> None:
    image(tmp_path, "a.jpg", (40, 30), orientation=6)
    (tmp_path / "b.jpg").write_text("no picture")
    assert header_of(tmp_path, "a.jpg").size_wh == (30, 40)
    assert header_of(tmp_path, "a.jpg", upright=False).size_wh == header_of(tmp_path, "a.jpg", "stored").size_wh
    assert [header_of(tmp_path, name).fault for name in ("b.jpg", "gone.jpg", "x" * 5000)] == [
        "unreadable_image",
        "missing_image",
        "missing_image",
    ]


def test_boxes_of_polygons_are_their_extent() -> None:
    assert box_of_mask([[1, 2, 9.5, 2, 5, 7], [20, 1, 21, 1, 20, 3]]) == (1.0, 1.0, 21.0, 7.0)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_boxes_of_run_length_codes_are_those_of_the_mask(height: int, width: int, seed: int) -> None:
    drawn = np.random.default_rng(seed).random((height, width)) < 0.1
    runs = coco_mask.encode(np.asfortranarray(drawn.astype(np.uint8)))
    counts: list[int] = []
    flat = drawn.T.ravel()
    for value, last in zip(flat, [False, *flat[:-1]], strict=True):
        if not counts or value != last:
            counts += [0, 1] if value and not counts else [1]
        else:
            counts[-1] += 1
    rows, columns = np.nonzero(drawn)
    expected = None
    if drawn.any():
        expected = (float(columns.min()), float(rows.min()), columns.max() + 1.0, rows.max() + 1.0)
    size = [height, width]
    assert box_of_mask({"size": size, "counts": runs["counts"].decode()}) == expected
    assert box_of_mask({"size": size, "counts": counts}) == expected


@pytest.mark.parametrize(
    "segmentation",
    [None, 5, "runs", [], [[]], [[1, 2, 3]], [[1, 2, 3, 4]], [5], [["a"] * 6], {}, {"counts": "x"},
     {"counts": [1, 2], "size": [3, 3]}, {"counts": [-1, 10], "size": [3, 3]}, {"counts": "图", "size": [3, 3]},
     {"counts": [9], "size": [0, 9]}, {"counts": [9], "size": [3, 3]}, {"counts": None, "size": [3, 3]},
     {"counts": "~~~~~~~~", "size": [3, 3]}, {"counts": "", "size": [3, 3]}],
)  # fmt: skip
def test_what_is_no_mask(segmentation: object) -> None:
    assert box_of_mask(segmentation) is None


def test_a_box_is_taken_from_the_segmentation_only_where_there_is_none(tmp_path: Path) -> None:
    polygon = [[1, 2, 9, 2, 5, 7]]
    boxes = [coco_box(1, 1, [0, 0, 40, 30], segmentation=polygon), coco_box(1, 2, None, segmentation=polygon)]
    path = coco_file(tmp_path, [coco_image(1)], boxes)
    (record,), tally = read_coco(path)
    assert [a.xyxy_px for a in record.annotations] == [(0, 0, 40, 30), (1, 2, 9, 7)]
    assert dict(tally.counts) == {"box_from_mask": 1}
    path.write_text(path.read_text().replace("[0, 0, 40, 30]", "[NaN, 0, 40, 30]"))
    (record,), tally = read_coco(path)
    assert [a.xyxy_px for a in record.annotations] == [(1, 2, 9, 7)]


def random_corners(count: int, seed: int) -> list[tuple[float, float, float, float]]:
    rng = random.Random(seed)
    boxes = []
    for _ in range(count):
        x0, y0 = rng.uniform(0, 30), rng.uniform(0, 20)
        boxes.append((x0, y0, x0 + rng.uniform(1, 40 - x0), y0 + rng.uniform(1, 30 - y0)))
    return boxes


@given(st.integers(0, 1000))
def test_the_form_of_a_set_is_told(seed: int) -> None:
    stated = random_corners(100, seed)
    sizes = [(x0, y0, x1 - x0, y1 - y0) for x0, y0, x1, y1 in stated]
    for declared, boxes, form in (
        ("corners", stated, "corners"),
        ("xywh", stated, "corners"),
        ("xywh", sizes, "xywh"),
        ("corners", sizes, "xywh"),
    ):
        chosen, why = choose_form([(box, (40, 30)) for box in boxes], declared, "auto")
        assert (chosen, why is None) == (form, form == declared)
        assert np.allclose([corners(box, chosen) for box in boxes], stated)


def test_a_few_wrong_boxes_do_not_change_the_form() -> None:
    good = [(box, (40, 30)) for box in random_corners(100, 0)]
    wrong: list[Any] = [((30.0, 20.0, 5.0, 5.0), (40, 30))] * 4
    assert choose_form(good + wrong, "corners", "auto") == ("corners", None)
    assert choose_form(wrong[:2], "corners", "auto") == ("corners", None)
    assert choose_form(wrong, "corners", "auto")[0] == "xywh"
    assert choose_form([], "xywh", "auto") == ("xywh", None)
    assert choose_form(wrong, "corners", "corners") == ("corners", None)
    with pytest.raises(InputError, match="auto, corners, xywh"):
        choose_form([], "xywh", "yxyx")


def test_corners_in_a_coco_file_and_sizes_in_voc_files(tmp_path: Path) -> None:
    stated = [[20, 15, 30, 25], [1, 1, 39, 29], [10, 20, 38, 28], [25, 5, 35, 30]]
    path = coco_file(tmp_path / "coco", [coco_image(1)], [coco_box(1, 1, box) for box in stated])
    (record,), _ = read_coco(path)
    assert [list(a.xyxy_px) for a in record.annotations] == stated
    things = [voc_object("cat", x0, y0, x1 - x0 + 1, y1 - y0 + 1) for x0, y0, x1, y1 in stated]
    folder = voc_folder(tmp_path / "voc", {"a": voc_xml(things)})
    (source,) = open_voc(folder, None, {})
    assert [list(a.xyxy_px) for a in source.records[0].annotations] == [[x - 1, y - 1, z, w] for x, y, z, w in stated]
    assert source.taken["box form"].startswith("xywh: read as corners, ")
    assert not source.tally.counts
    (source,) = open_voc(folder, None, {"box_form": "corners"})
    assert source.tally.counts["negative_area"]
    assert json.dumps(read_voc(folder)[1].counts) == "{}"
