"""Boxes as numbers: laws of IoU, and each function on cases worked out by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from grounding.geometry import (
    area,
    as_boxes,
    clip,
    envelope,
    iou_matrix,
    iou_pairs,
    xywh_to_xyxy,
    xyxy_to_xywh,
)


def boxes_of(corners: np.ndarray) -> np.ndarray:
    """Any two corners of each row put in order, with an extent of at least one."""
    low = np.minimum(corners[:, :2], corners[:, 2:])
    return np.concatenate([low, np.maximum(corners[:, :2], corners[:, 2:]) + 1], axis=1)


some_boxes = (
    st.integers(1, 6).flatmap(lambda n: arrays(np.float64, (n, 4), elements=st.floats(-1e4, 1e4))).map(boxes_of)
)


@pytest.mark.parametrize("empty", [[], np.zeros((0, 4)), ()])
def test_no_boxes_have_the_shape_of_none(empty: object) -> None:
    boxes = as_boxes(empty)  # type: ignore[arg-type]
    assert boxes.shape == (0, 4) and boxes.dtype == np.float64


@pytest.mark.parametrize(
    "wrong", [[1, 2, 3, 4], [[1, 2, 3]], [[[1, 2, 3, 4]]], [["a", 1, 2, 3]], [[1, 2], [3]], [[]], 7]
)
def test_another_shape_is_a_value_error(wrong: object) -> None:
    with pytest.raises(ValueError, match="boxes must"):
        as_boxes(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "function",
    [area, lambda b: clip(b, (5, 5)), lambda b: iou_matrix(b, b), xywh_to_xyxy, xyxy_to_xywh, envelope],
)
def test_the_argument_is_never_changed(function: Callable[[np.ndarray], np.ndarray]) -> None:
    boxes = np.array([[-1.0, 2.0, 30.0, 40.0]])
    function(boxes)
    assert boxes.tolist() == [[-1.0, 2.0, 30.0, 40.0]]


def test_area_is_nothing_where_corners_are_inverted() -> None:
    assert area([[0, 0, 2, 3], [2, 0, 0, 3], [5, 5, 5, 9]]).tolist() == [6, 0, 0]


def test_clip_moves_each_corner_into_the_frame() -> None:
    assert clip([[-5, 3, 20, 40], [12, 1, 15, 2]], (10, 30)).tolist() == [[0, 3, 10, 30], [10, 1, 10, 2]]


def test_iou_by_hand() -> None:
    matrix = iou_matrix([[0, 0, 2, 2], [0, 0, 0, 0]], [[1, 1, 3, 3], [0, 0, 2, 1], [5, 5, 6, 6], [0, 0, 0, 0]])
    assert np.allclose(matrix, [[1 / 7, 1 / 2, 0, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize(("n", "m"), [(0, 3), (3, 0), (0, 0)])
def test_iou_with_no_boxes_is_an_empty_matrix(n: int, m: int) -> None:
    one = [[0, 0, 1, 1]]
    assert iou_matrix(one * n, one * m).shape == (n, m)


@given(some_boxes, some_boxes)
def test_iou_is_symmetric_and_between_nothing_and_one(a: np.ndarray, b: np.ndarray) -> None:
    matrix = iou_matrix(a, b)
    assert matrix.shape == (len(a), len(b))
    assert np.array_equal(matrix, iou_matrix(b, a).T)
    assert (matrix >= 0).all() and (matrix <= 1 + 1e-12).all()
    assert np.allclose(np.diag(iou_matrix(a, a)), 1)
    assert np.array_equal(iou_pairs(a, a[::-1]), np.diag(iou_matrix(a, a[::-1])))


def test_pairs_need_as_many_boxes_on_both_sides() -> None:
    with pytest.raises(ValueError, match="found 1 and 0"):
        iou_pairs([[0, 0, 1, 1]], [])


@given(some_boxes)
def test_the_envelope_holds_every_box_and_touches_one_on_each_side(boxes: np.ndarray) -> None:
    around = envelope(boxes)
    assert np.array_equal(np.concatenate([around[:2], around[2:]]), [*boxes[:, :2].min(0), *boxes[:, 2:].max(0)])
    assert np.array_equal(clip(boxes - np.tile(around[:2], 2), tuple(around[2:] - around[:2])).shape, boxes.shape)


def test_no_boxes_have_no_envelope() -> None:
    with pytest.raises(ValueError, match="no envelope"):
        envelope([])


def test_forms_by_hand() -> None:
    assert xywh_to_xyxy([[1, 2, 3, 4]]).tolist() == [[1, 2, 4, 6]]
    assert xyxy_to_xywh([[1, 2, 4, 6]]).tolist() == [[1, 2, 3, 4]]


@given(some_boxes)
def test_forms_undo_each_other(boxes: np.ndarray) -> None:
    assert np.allclose(xywh_to_xyxy(xyxy_to_xywh(boxes)), boxes)
