"""Boxes by column are the boxes one by one, through every step that knows columns."""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from data_tools.absence import Absent
from data_tools.annotations import (
    IGNORES,
    Annotation,
    Columns,
    Rows,
    boxes_px_of,
    categories_in,
    categories_of,
    classes_of,
    ignored_of,
    stable_order,
)
from data_tools.check_boxes import check_boxes
from data_tools.records import Record, classes_in, classes_in_any
from data_tools.selection import present
from data_tools.tasks.whole import boxes_of, held, is_whole
from tests.data_tools.annotated import record

CLASSES = ("cat", "dog", "red car")
EDGE = st.sampled_from([-5.0, -1e-9, -0.0, 0.0, 3.0, 7.5, 29.0, 30.0, 30.0 + 1e-9, 39.0, 40.0, 44.0, 60.0])
SIDE = st.lists(EDGE, min_size=2, max_size=2, unique=True).map(sorted)
ROW = st.builds(lambda x, y, *rest: (x[0], y[0], x[1], y[1], *rest), SIDE, SIDE, st.integers(0, 2), st.integers(0, 2))


def place(entry: int) -> str:
    return f"entry {entry}"


def by_column(images: list[list[tuple[float, float, float, float, int, int]]]) -> list[Record]:
    """A record for each list of (x0, y0, x1, y1, class, ignore)."""
    rows = [row for image in images for row in image]
    columns = Columns(
        xyxy_px=np.array([row[:4] for row in rows], dtype=np.float64).reshape(-1, 4),
        category=np.array([row[4] for row in rows], dtype=np.int32),
        ignore=np.array([row[5] for row in rows], dtype=np.int8),
        entry=np.arange(len(rows)),
        classes=CLASSES,
        place=place,
    )
    ends = np.cumsum([0, *map(len, images)]).tolist()
    return [
        replace(record(f"{number}.png"), annotations=Rows(columns, start, stop), looked_for=frozenset(CLASSES))
        for number, (start, stop) in enumerate(pairwise(ends))
    ]


def one_by_one(records: list[Record]) -> list[Record]:
    return [replace(one, annotations=tuple(one.annotations)) for one in records]


@given(st.lists(st.lists(ROW, max_size=5), min_size=1, max_size=4))
def test_each_step_finds_the_same_by_column_and_one_by_one(
    images: list[list[tuple[float, float, float, float, int, int]]],
) -> None:
    columns = by_column(images)
    single = one_by_one(columns)
    assert columns == single
    for asked in (boxes_px_of, categories_of, ignored_of):
        assert [asked(one.annotations) for one in columns] == [asked(one.annotations) for one in single]
    checked, tally = check_boxes(columns)
    alone, told = check_boxes(single)
    assert (checked, tally) == (alone, told)
    assert present(checked)[1] == present(alone)[1]
    asked_for = [
        [(question.record.name, question.category) for question in present(some)[0]] for some in (checked, alone)
    ]
    assert asked_for[0] == asked_for[1]
    assert dict(Absent(checked)) == dict(Absent(alone))
    for one, other in zip(checked, alone, strict=True):
        assert [is_whole(one, category) for category in CLASSES] == [is_whole(other, category) for category in CLASSES]
    assert columns == single  # nothing was changed


@given(st.lists(st.lists(ROW, max_size=5), min_size=1, max_size=4))
def test_many_images_together_are_as_each_by_itself(
    images: list[list[tuple[float, float, float, float, int, int]]],
) -> None:
    one, other = by_column(images), by_column(images[::-1])
    mixed = [*one, *one_by_one(one), *other]  # of two columns, and of none
    annotated = [image.annotations for image in mixed]
    assert categories_in(annotated) == {category for own in annotated for category in categories_of(own)}
    assert classes_in_any(mixed) == set().union(*map(classes_in, mixed))
    assert classes_of(annotated) == [
        {category: bool(boxes_of(image, category)) for category in categories_of(image.annotations)} for image in mixed
    ]
    questions = [(image, category) for image in mixed for category in (*CLASSES, "owl")]
    for asked in (questions, questions[::-1], questions[::2]):
        xyxy_px, ends = held([(image.annotations, category) for image, category in asked])
        assert [(xyxy_px[start:middle].tolist(), xyxy_px[middle:end].tolist()) for start, middle, end in ends] == [
            (boxes_of(*question), boxes_of(*question, ignored=True)) for question in asked
        ]


@given(st.lists(st.lists(ROW, max_size=5), min_size=1, max_size=4))
def test_checking_leaves_the_columns_as_they_are(
    images: list[list[tuple[float, float, float, float, int, int]]],
) -> None:
    records = by_column(images)
    before = one_by_one(records)
    check_boxes(records)
    assert records == before


def test_rows_are_a_sequence_of_annotations() -> None:
    (one,) = by_column([[(0, 0, 5, 5, 0, 0), (1, 1, 6, 6, 2, 1)]])
    rows = one.annotations
    assert len(rows) == 2
    assert rows[1] == Annotation(xyxy_px=(1, 1, 6, 6), category="red car", place="entry 1", ignore=IGNORES[1])
    assert rows[-1:] == (rows[1],)
    assert rows == tuple(rows) and rows != tuple(rows)[:1]
    assert hash(rows) == hash(tuple(rows))
    with pytest.raises(IndexError):
        rows[2]
    assert pickle.loads(pickle.dumps(one)) == one


@given(st.lists(st.sampled_from([0, 1, 2, 0xFFFF, 0x1_0000, 0x1_0001, 0x2_0000, 2**32 - 1])))
def test_the_quick_order_is_the_stable_one(numbers: list[int]) -> None:
    every = np.array(numbers, dtype=np.int64)
    assert stable_order(every).tolist() == np.argsort(every, kind="stable").tolist()
