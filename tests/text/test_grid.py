"""The grid: every cell and random boxes come back within half a cell, and what cannot be written is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grounding.geometry import iou_matrix
from grounding.text import grid_ceiling, read_boxes, to_grid, to_pixels, write_boxes
from grounding.text.grid import CELLS, DIGITS, LAST_CELL

SIZES = [(1000, 1000), (640, 480), (333, 4000), (1, 1), (7, 13.5), (100000, 3)]


def test_the_grid_is_the_one_that_cogvlm_writes() -> None:
    assert (CELLS, LAST_CELL, DIGITS) == (1000, 999, 3)


@pytest.mark.parametrize("size_wh", SIZES)
@pytest.mark.parametrize("axis", [0, 1])
def test_every_cell_reads_back_as_itself(size_wh: tuple[float, float], axis: int) -> None:
    cells = np.arange(LAST_CELL)
    boxes = np.zeros((LAST_CELL, 4), dtype=np.int64)
    boxes[:, axis], boxes[:, axis + 2] = cells, cells + 1
    boxes[:, 3 - axis] = LAST_CELL
    again, widened = to_grid(to_pixels(boxes, size_wh), size_wh)
    assert np.array_equal(again, boxes) and widened == 0


@pytest.mark.parametrize("axis", [0, 1])
def test_every_cell_goes_through_the_text(axis: int) -> None:
    for cell in range(LAST_CELL):
        box = [0, 0, LAST_CELL, LAST_CELL]
        box[axis], box[axis + 2] = cell, cell + 1
        text = write_boxes(to_pixels([box], (640, 480)), (640, 480)).text
        assert text == "[[" + ",".join(f"{value:03d}" for value in box) + "]]"
        assert read_boxes(text).xyxy_grid.tolist() == [box]


@st.composite
def framed_boxes(draw: st.DrawFn) -> tuple[list[list[float]], tuple[float, float]]:
    width, height = draw(st.floats(1, 1e5)), draw(st.floats(1, 1e5))
    share = st.floats(0, 1)
    boxes = []
    for _ in range(draw(st.integers(1, 8))):
        (x0, x1), (y0, y1) = sorted([draw(share), draw(share)]), sorted([draw(share), draw(share)])
        boxes.append([x0 * width, y0 * height, x1 * width, y1 * height])
    return boxes, (width, height)


@given(framed_boxes())
def test_what_is_read_is_within_half_a_cell_of_what_was_written(
    framed: tuple[list[list[float]], tuple[float, float]],
) -> None:
    boxes, size_wh = framed
    written = write_boxes(boxes, size_wh)
    reading = read_boxes(written.text)
    assert not reading.refusals and not reading.not_found and len(reading.xyxy_grid) == len(boxes)
    assert reading.groups.tolist() == [0] * len(boxes)

    cells, widened = to_grid(boxes, size_wh)
    assert widened == written.widened
    assert sorted(cells.tolist(), key=lambda box: (box[1], box[0], box[3], box[2])) == reading.xyxy_grid.tolist()

    cell_px = np.tile(np.array(size_wh) / CELLS, 2)
    error = np.abs(to_pixels(cells, size_wh) - boxes) / cell_px
    exact = np.array(boxes) / cell_px
    # The last cell stands for a share of it and a half; widening moves one end by one cell more, and no other end.
    moved = cells != np.floor(np.clip(exact + 0.5, 0, LAST_CELL))
    assert moved.any(axis=1).sum() == widened
    allowed = np.where(exact > LAST_CELL + 0.5, 1.0, 0.5) + moved
    assert (error <= allowed + 1e-6).all()


@pytest.mark.parametrize(
    ("box", "cells", "widened"),
    [
        ([0, 0, 1000, 1000], [0, 0, 999, 999], 0),
        ([-50, -1, 2000, 1e300], [0, 0, 999, 999], 0),
        ([0.49, 0.5, 10.49, 10.5], [0, 1, 10, 11], 0),
        ([5, 5, 5.2, 90], [5, 5, 6, 90], 1),
        ([5, 5, 5.2, 5.2], [5, 5, 6, 6], 1),
        ([5, 5, 5, 5], [5, 5, 6, 6], 1),
        ([998.6, 3, 1000, 4], [998, 3, 999, 4], 1),
        ([3, 999.7, 4, 999.9], [3, 998, 4, 999], 1),
        ([2000, 2000, 3000, 3000], [998, 998, 999, 999], 1),
    ],
)
def test_cells_by_hand(box: list[float], cells: list[int], widened: int) -> None:
    grid, changed = to_grid([box], (1000, 1000))
    assert grid.tolist() == [cells] and grid.dtype == np.int64 and changed == widened


@pytest.mark.parametrize(
    ("boxes", "size_wh", "said"),
    [
        ([[0, 0, float("nan"), 5]], (10, 10), "box 0 .* not finite"),
        ([[0, 0, 1, 1], [0, 0, 5, float("inf")]], (10, 10), "box 1 .* not finite"),
        ([[5, 0, 4, 5]], (10, 10), "inverted"),
        ([[0, 5, 4, 4]], (10, 10), "inverted"),
        ([[0, 0, 1, 1]], (0, 10), "positive"),
        ([[0, 0, 1, 1]], (10, -1), "positive"),
        ([[0, 0, 1, 1]], (10, float("nan")), "positive"),
        ([[0, 0, 1]], (10, 10), "shape"),
        ([], (10, 10), "no box"),
    ],
)
def test_what_cannot_be_written_is_a_value_error(
    boxes: list[list[float]], size_wh: tuple[float, float], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        write_boxes(boxes, size_wh)


def test_no_boxes_are_no_cells_and_no_pixels() -> None:
    cells, widened = to_grid([], (10, 10))
    assert cells.shape == (0, 4) and widened == 0
    assert to_pixels([], (10, 10)).shape == (0, 4)
    assert grid_ceiling([], (10, 10)).shape == (0,)


def test_the_ceiling_is_one_on_the_grid_and_less_beside_it() -> None:
    assert np.allclose(grid_ceiling([[10, 20, 30, 40]], (100, 100)), 1)
    # 3 px of 3000 are one cell; half a cell lost on each side of one.
    assert np.allclose(grid_ceiling([[1.5, 0, 4.5, 1500]], (3000, 3000)), [1.5 / 4.5])


@given(framed_boxes())
def test_the_ceiling_is_the_iou_of_each_box_with_itself_read_back(
    framed: tuple[list[list[float]], tuple[float, float]],
) -> None:
    boxes, size_wh = framed
    back = to_pixels(to_grid(boxes, size_wh)[0], size_wh)
    assert np.allclose(grid_ceiling(boxes, size_wh), np.diag(iou_matrix(boxes, back)))


def test_a_squashed_image_has_the_same_text() -> None:
    wide = np.array([[10, 20, 300, 400]])
    squashed = wide * np.tile([490 / 640, 490 / 480], 2)
    assert write_boxes(wide, (640, 480)) == write_boxes(squashed, (490, 490))
