"""The reader on arbitrary text: it never raises, stays inside the text, says something, and ends on long text."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from grounding.text import NOT_FOUND, REASONS, read_boxes, write_boxes, write_many
from grounding.text.characters import contains, plain, squeeze

# Text that comes near to boxes far more often than letters drawn at random would.
PIECES = [
    "[[",
    "]]",
    "[",
    "]",
    ";",
    ",",
    " ",
    "\n",
    "086",
    "1",
    "999",
    "1000",
    "-",
    ".",
    "【",
    "［［",
    "；",
    "，",
    "０",
    "½",
    "a",
]
near_boxes = st.lists(st.sampled_from([*PIECES, "1,2,3,4", *NOT_FOUND.values()]), max_size=40).map("".join)
only_boxes = st.lists(st.sampled_from([*PIECES, "1,2,3,4"]), max_size=40).map("".join)
any_text = st.text(alphabet=st.characters(exclude_categories=[]), max_size=60)


@given(st.one_of(near_boxes, any_text))
@example("\ud800[[1,2,3,4]]")
@example("[[½,2,3,4]]")
@example("\ufdfa[[" + "\ufdfa" * 3)
def test_any_text_is_read(text: str) -> None:
    reading = read_boxes(text)
    boxes = reading.xyxy_grid
    assert boxes.shape == (len(boxes), 4) and boxes.dtype == np.int64 and reading.groups.shape == (len(boxes),)
    assert (boxes >= 0).all() and (boxes[:, :2] < boxes[:, 2:]).all() and (boxes <= 999).all()
    assert (np.diff(reading.groups) >= 0).all()
    places = [(start, end) for _, start, end in reading.refusals]
    assert all(0 <= start <= end <= len(text) for start, end in places)
    assert [start for start, _ in places] == sorted(start for start, _ in places)
    assert {reason for reason, _, _ in reading.refusals} <= set(REASONS)
    if reading.not_found:
        assert not len(boxes) and not reading.refusals
    elif not len(boxes):
        assert reading.refusals


@given(only_boxes)
def test_a_refused_part_is_refused_alike_between_two_good_ones(text: str) -> None:
    for reason, start, end in read_boxes(text).refusals:
        if reason not in ("unclosed", "no_box", "empty_text"):
            reading = read_boxes(f"[[0,0,1,1;{text[start:end]};0,0,1,1]]")
            assert [(refusal.reason, refusal.start) for refusal in reading.refusals] == [(reason, len("[[0,0,1,1;"))]
            assert reading.xyxy_grid.tolist() == [[0, 0, 1, 1]] * 2


@given(near_boxes)
def test_no_part_is_lost(text: str) -> None:
    """Parts read one by one, each as a group of its own, give the boxes and reasons of the whole."""
    reading = read_boxes(text)
    counted = Counter(refusal.reason for refusal in reading.refusals)
    if reading.not_found or counted["boxes_and_not_found"] or counted["no_box"] or counted["empty_text"]:
        return
    assert len(reading.xyxy_grid) + sum(counted.values()) == len(list(_parts_by_eye(plain(text).text)))


def _parts_by_eye(text: str) -> list[str]:
    """The parts of all groups, found with another method: spaces taken out, then split bracket by bracket."""
    text = "".join(text.split())
    parts: list[str] = []
    inside = False
    index = 0
    while index < len(text):
        pair = text[index : index + 2]
        if pair == "[[" and text[index : index + 3] != "[[[":
            if inside:
                parts.append("unclosed")
            inside, index = True, index + 2
        elif pair == "]]":
            if inside:
                parts.append("closed")
            inside, index = False, index + 2
        else:
            if inside and text[index] == ";":
                parts.append("closed")
            index += 1
    return parts + ["unclosed"] * inside


@given(st.lists(st.tuples(*[st.integers(0, 998)] * 2, *[st.integers(1, 999)] * 2), min_size=1, max_size=30))
def test_what_the_writer_writes_is_read_whole(corners: list[tuple[int, int, int, int]]) -> None:
    boxes = [[x, y, min(x + w, 999), min(y + h, 999)] for x, y, w, h in corners]
    text = write_boxes(boxes, (1000, 1000)).text
    for around in (text, f"words {text}.", f"[{text}]", f"，{text}；[[", f"{text}]] [["):
        assert sorted(read_boxes(around).xyxy_grid.tolist()) == sorted(boxes)


@given(any_text)
def test_plain_text_knows_where_each_character_came_from(text: str) -> None:
    source = plain(text)
    assert len(source.origin) == len(source.text)
    assert list(source.origin) == sorted(source.origin)
    for index in range(len(source.text)):
        start, end = source.span(index, index + 1)
        assert end == start + 1 and source.text[index] in plain(text[start:end]).text
    assert source.span(0, 0) == (0, 0)
    assert source.span(0, len(source.text)) == ((0, len(text)) if text else (0, 0))


@given(any_text, any_text)
def test_a_sentence_set_apart_is_always_seen(before: str, after: str) -> None:
    sentence = "no cells"
    assert contains(f"{before} {sentence} {after}", squeeze(sentence))


@pytest.mark.parametrize("piece", ["[", "[[", "]", "[[1,2,3,4;", "[[1,2,3,4]]", "[ ", " ", "[[" + " " * 50, "１", "- "])
def test_a_long_answer_is_read(piece: str) -> None:
    """In time linear in the text this takes a fraction of a second; in quadratic time it would not end."""
    text = "[[" + piece * (100_000 // len(piece))
    reading = read_boxes(text)
    assert len(reading.xyxy_grid) or reading.refusals


side = st.tuples(st.floats(-50, 4100), st.floats(-50, 4100)).map(sorted)
box = st.tuples(side, side).map(lambda sides: [sides[0][0], sides[1][0], sides[0][1], sides[1][1]])


@given(st.lists(st.lists(box, min_size=1, max_size=4), max_size=5), st.data())
def test_many_groups_at_once_are_each_as_one_alone(groups: list[list[list[float]]], data: st.DataObject) -> None:
    sizes = [data.draw(st.tuples(st.integers(1, 4000), st.integers(1, 4000))) for _ in groups]
    flat = [box for boxes in groups for box in boxes]
    assert write_many(flat, [len(boxes) for boxes in groups], sizes) == [
        write_boxes(boxes, size) for boxes, size in zip(groups, sizes, strict=True)
    ]


@pytest.mark.parametrize(("boxes", "told"), [([], "no box"), ([[0, 0, float("nan"), 1]], "not finite")])
def test_what_cannot_be_written_is_refused_in_many_groups_too(boxes: list[list[float]], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        write_many(boxes, [len(boxes)], [(9, 9)])
