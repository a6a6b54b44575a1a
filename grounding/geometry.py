"""Boxes as float64[N, 4] corners in pixels: area, clip, IoU, envelope, forms. Knows no image, no text, no grid.

Corners are x0, y0, x1, y1 with x to the right and y down; a box covers [x0, x1) x [y0, y1), so its width is x1 - x0.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]


def as_boxes(values: ArrayLike) -> Floats:
    """Boxes as a new float64[N, 4]; an empty list gives shape (0, 4).

    Raises:
        ValueError: the values are not numbers, or not N rows of four.
    """
    return _rows(values).copy()


def _rows(values: ArrayLike) -> Floats:
    """Boxes as float64[N, 4], the very array where it is one."""
    try:
        boxes = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"boxes must be N rows of four numbers: {error}") from error
    if boxes.size == 0 and boxes.shape in ((0,), (0, 4)):
        return np.zeros((0, 4))
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes must have the shape (N, 4), found {boxes.shape}")
    return boxes


def area(xyxy: ArrayLike) -> Floats:
    """Area of each box, float64[N], in squared units of its corners; 0 where the corners are inverted."""
    return _area(_rows(xyxy))


def _area(boxes: Floats) -> Floats:
    """Area over the last axis."""
    return np.maximum(boxes[..., 2] - boxes[..., 0], 0.0) * np.maximum(boxes[..., 3] - boxes[..., 1], 0.0)


def clip(xyxy_px: ArrayLike, size_wh: tuple[float, float]) -> Floats:
    """The boxes with every corner moved into the frame 0..width, 0..height, float64[N, 4].

    A box that lies wholly outside becomes one of zero area on the border.
    """
    width, height = size_wh
    return np.clip(as_boxes(xyxy_px), 0.0, np.array([width, height, width, height], dtype=np.float64))


def _iou(a: Floats, b: Floats) -> Floats:
    """IoU over the last axis of two arrays of corners that broadcast against each other; 0 where the union is empty."""
    # Column by column: far quicker than a product over an axis of two.
    width = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    height = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    overlap = np.maximum(width, 0.0) * np.maximum(height, 0.0)
    union = _area(a) + _area(b) - overlap
    return np.divide(overlap, union, out=np.zeros_like(union), where=union > 0)


def iou_matrix(a: ArrayLike, b: ArrayLike) -> Floats:
    """Intersection over union of every box of `a` (N) with every box of `b` (M), float64[N, M] in 0..1.

    Both are in the same frame and unit. Two boxes of zero area have IoU 0, even with themselves.
    """
    return _iou(_rows(a)[:, None], _rows(b)[None])


def iou_pairs(a: ArrayLike, b: ArrayLike) -> Floats:
    """Intersection over union of each box of `a` with the box of `b` in the same row, float64[N].

    Raises:
        ValueError: the two have different numbers of boxes.
    """
    boxes_a, boxes_b = _rows(a), _rows(b)
    if len(boxes_a) != len(boxes_b):
        raise ValueError(f"one box for each box is needed, found {len(boxes_a)} and {len(boxes_b)}")
    return _iou(boxes_a, boxes_b)


def giou_pairs(a: ArrayLike, b: ArrayLike) -> Floats:
    """Generalised IoU of each box of `a` with the box of `b` in the same row, float64[N] in -1..1.

    IoU - (hull - union) / hull, where the hull is the smallest box around both (H. Rezatofighi et al., Generalized
    Intersection over Union, CVPR 2019). 0 where the hull has no area.

    Raises:
        ValueError: the two have different numbers of boxes.
    """
    boxes_a, boxes_b = _rows(a), _rows(b)
    iou = iou_pairs(boxes_a, boxes_b)
    corners = np.minimum(boxes_a[:, :2], boxes_b[:, :2]), np.maximum(boxes_a[:, 2:], boxes_b[:, 2:])
    hull = area(np.concatenate(corners, axis=1))
    union = (area(boxes_a) + area(boxes_b)) / (1 + iou)
    return np.where(hull > 0, iou - (hull - union) / np.where(hull > 0, hull, 1.0), 0.0)


def covered_pairs(a: ArrayLike, b: ArrayLike) -> Floats:
    """Share of the area of each box of `a` that the box of `b` in the same row covers, float64[N] in 0..1.

    Raises:
        ValueError: the two have different numbers of boxes.
    """
    boxes_a, boxes_b = _rows(a), _rows(b)
    iou, areas = iou_pairs(boxes_a, boxes_b), area(boxes_a)
    shared = iou / (1 + iou) * (areas + area(boxes_b))
    return np.divide(shared, areas, out=np.zeros_like(areas), where=areas > 0)


def envelope(xyxy: ArrayLike) -> Floats:
    """The smallest box around all boxes, float64[4].

    Raises:
        ValueError: there is no box.
    """
    boxes = as_boxes(xyxy)
    if not len(boxes):
        raise ValueError("no boxes have no envelope")
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])


def xywh_to_xyxy(xywh: ArrayLike) -> Floats:
    """Corners float64[N, 4] of boxes given as left, top, width, height."""
    boxes = as_boxes(xywh)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def xyxy_to_xywh(xyxy: ArrayLike) -> Floats:
    """Left, top, width, height float64[N, 4] of boxes given as corners."""
    boxes = as_boxes(xyxy)
    boxes[:, 2:] -= boxes[:, :2]
    return boxes
