"""A label must say what the boxes say, exactly: on the grid, in any order, or the not-found sentence for none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grounding.labels import label_problems
from grounding.text import NOT_FOUND, write_boxes
from tests.data_tools.inspection.making import ONE_BOX, SIZE, sample

corner = st.tuples(st.integers(0, 89), st.integers(0, 66), st.integers(1, 6), st.integers(1, 6))


@given(st.lists(corner, min_size=1, max_size=5), st.sampled_from(["{}", "It is at {}.", "图中有猫，位于{}。"]))
def test_what_the_writer_writes_is_right(corners: list[tuple[int, int, int, int]], answer: str) -> None:
    boxes = [[x, y, x + width, y + height] for x, y, width, height in corners]
    label = answer.format(write_boxes(boxes, SIZE).text)
    assert list(label_problems(sample("a.png", boxes, label=label), {})) == []
    other = [*boxes[:-1], [boxes[-1][0], boxes[-1][1], boxes[-1][2] + 0.5, boxes[-1][3]]]
    assert len(list(label_problems(sample("a.png", other, label=label), {}))) == 1


@pytest.mark.parametrize(
    ("boxes", "label", "problem"),
    [
        (ONE_BOX, NOT_FOUND["en"], "nothing was found"),
        (ONE_BOX, "there", "cannot be read (no_box)"),
        (ONE_BOX, "[[104,139,417]]", "cannot be read (count)"),
        ([], "[[104,139,417,417]]", "none of the not-found sentences"),
        ([], NOT_FOUND["zh"], None),
        (None, "anything", None),
    ],
)
def test_what_is_wrong_is_said(boxes: list[list[float]] | None, label: str, problem: str | None) -> None:
    told = list(label_problems(sample("a.png", boxes, label=label), {}))
    assert [problem in one for one in told] == [True] if problem else told == []
