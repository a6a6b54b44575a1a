"""A document read in slices is the document: whatever stands in it, wherever it is cut."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_tools.readers import coco_file, json_slices
from data_tools.readers.coco import read_coco
from data_tools.readers.json_slices import NotSliced, digest_of, read_slices, text_of_slice
from tests.data_tools.annotated import coco_box, coco_image
from tests.data_tools.annotated import coco_file as write_coco

ENTRY: st.SearchStrategy[Any] = st.dictionaries(
    st.sampled_from(["id", "a", "}, {", "]"]),
    st.one_of(
        st.integers(-5, 5),
        st.sampled_from(["}, {", "]}", "é", '"', "\\", "}],"]),
        st.lists(st.dictionaries(st.sampled_from("xy"), st.integers(0, 3), max_size=2), max_size=3),
    ),
    max_size=3,
)


def sliced(path: Path, size: int) -> dict[str, list[Any]]:
    """The two lists as the slices give them, each slice's text being what it was decoded from."""
    lists: dict[str, list[Any]] = {"one": [], "two": []}
    for piece in read_slices(path, {"one": msgspec.json.decode, "two": msgspec.json.decode}, size):
        assert msgspec.json.decode(text_of_slice(path, piece)) == piece.elements
        lists[piece.key] += piece.elements
    return lists


@given(one=st.lists(ENTRY, max_size=12), two=st.lists(ENTRY, max_size=12), indent=st.sampled_from([None, 0, 3]))
def test_slices_put_together_are_the_lists(
    tmp_path_factory: pytest.TempPathFactory, one: list[Any], two: list[Any], indent: int | None
) -> None:
    path = tmp_path_factory.getbasetemp() / "sliced.json"
    document = {"info": {"two": [{}, {"one": "}, {"}]}, "one": one, "none": None, "two": two, "year": 2017}
    path.write_text(json.dumps(document, indent=indent), encoding="utf-8")
    for size in (60, 200, 1 << 20):
        try:
            assert sliced(path, size) == {"one": one, "two": two}
        except NotSliced:  # an element larger than a slice, or too many places that look like an end
            assert size < 1 << 20 or any("[" in json.dumps(entry) or "]" in json.dumps(entry) for entry in one + two)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"one": []}',
        '{"one": [], "two": {}}',
        '{"one": [], "two": [], "one": []}',
        '{"one": [], "two": []} x',
        '{"one": [], "two": []',
        '{"one": [], "two": [{}],}',
        '{"one": [{}] "two": [{}]}',
        '{"one": [{}, NaN], "two": [{}]}',
        '{"one": [{]}, "two": [{}]}',
        '{"one": [], "info": ' + "[" * 5000 + ', "two": []}',
    ],
)
def test_what_cannot_be_sliced_is_said(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(NotSliced):
        sliced(path, 1000)


def test_a_digest_leaves_out_the_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "with").write_bytes(b"\xef\xbb\xbf{}")
    (tmp_path / "without").write_bytes(b"{}")
    assert digest_of(tmp_path / "with") == digest_of(tmp_path / "without")


def test_records_are_the_same_in_slices_of_any_size_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes: list[Any] = [
        coco_box(n % 7, n % 3, [n % 5, 1, n % 4, 5], id=n, segmentation=[[1, 1, 9, 1, 9, 9]]) for n in range(60)
    ]
    boxes[5].pop("bbox")
    boxes[9]["id"] = 8
    boxes[11]["id"] = "x"
    boxes[20]["iscrowd"] = 1
    boxes[30] = {"image_id": 2.0, "category_id": 1, "bbox": [1, 1, 5, 5]}
    path = write_coco(tmp_path, [coco_image(n) for n in range(6)], boxes)
    whole = read_coco(path)
    assert whole[1].counts["zero_area"] and whole[1].counts["repeated_annotation_id"]
    slices = json_slices.read_slices
    for size in (300, 1000):
        monkeypatch.setattr(coco_file, "read_slices", lambda *told, size=size: slices(*told, size))
        assert read_coco(path) == whole

    def refuse(*_: object) -> None:
        raise NotSliced

    monkeypatch.setattr(coco_file, "read_slices", refuse)
    assert read_coco(path) == whole
