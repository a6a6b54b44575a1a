"""Pixels to cells of the 000-999 grid and back. The only place that knows how many cells there are; knows no text.

CogVLM writes a coordinate as a share of the image's width or height in thousandths. Its tower squashes every image to a
square, which leaves such shares as they are, so no image size but the original one is needed here.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grounding.geometry import as_boxes, iou_pairs

CELLS = 1000
LAST_CELL = 999
DIGITS = len(str(LAST_CELL))

Floats: TypeAlias = NDArray[np.float64]
Cells: TypeAlias = NDArray[np.int64]


def _scale(size_wh: tuple[float, float]) -> Floats:
    """The frame's size once per corner value, float64[4]."""
    width, height = size_wh
    if not (np.isfinite(width) and np.isfinite(height) and width > 0 and height > 0):
        raise ValueError(f"width and height must be positive numbers, found {width} x {height}")
    return np.array([width, height, width, height], dtype=np.float64)


def to_grid(xyxy_px: ArrayLike, size_wh: tuple[float, float]) -> tuple[Cells, int]:
    """Cells of boxes in pixels, row by row, and how many boxes had to be widened.

    The cell of a value is floor(CELLS * value / size + 0.5), clamped to 0..LAST_CELL. Where both ends of a box fall
    into one cell, its end moves one cell on, or its start one cell back at the last cell; the box is counted once.

    Args:
        xyxy_px: float[N, 4], x0 <= x1 and y0 <= y1; values outside the frame are clamped.
        size_wh: width and height of the frame in pixels.

    Returns:
        int64[N, 4] in 0..LAST_CELL with x0 < x1 and y0 < y1, and the number of boxes changed.

    Raises:
        ValueError: a value is not finite, a box is inverted, or the size is not positive.
    """
    scale = _scale(size_wh)
    boxes = as_boxes(xyxy_px)
    for row, box in enumerate(boxes):
        if not np.isfinite(box).all():
            raise ValueError(f"box {row} has a value that is not finite: {box.tolist()}")
        if box[0] > box[2] or box[1] > box[3]:
            raise ValueError(f"box {row} is inverted, x0 <= x1 and y0 <= y1 are needed: {box.tolist()}")
    # Clamped before the cast: a huge float has no int64.
    cells = np.clip(np.floor(CELLS * boxes / scale + 0.5), 0, LAST_CELL).astype(np.int64)
    flat = cells[:, :2] == cells[:, 2:]
    at_end = cells[:, 2:] == LAST_CELL
    cells[:, 2:] += flat & ~at_end
    cells[:, :2] -= flat & at_end
    return cells, int(flat.any(axis=1).sum())


def to_pixels(xyxy_grid: ArrayLike, size_wh: tuple[float, float]) -> Floats:
    """Corners in pixels, float64[N, 4], of boxes in cells: cell / CELLS * size.

    Raises:
        ValueError: the boxes have another shape, or the size is not positive.
    """
    return as_boxes(xyxy_grid) / CELLS * _scale(size_wh)


def mirror_cells(xyxy_grid: ArrayLike) -> Cells:
    """Cells int64[N, 4] of boxes in the picture mirrored left to right, from their cells in the picture as it is.

    An end at the last cell is taken for the frame's edge, so a box may come out a cell off from `to_grid` of its
    mirrored pixels.
    """
    x0, y0, x1, y1 = np.asarray(xyxy_grid, dtype=np.int64).reshape(-1, 4).T
    ends = [np.where(x == LAST_CELL, 0, np.minimum(CELLS - x, LAST_CELL)) for x in (x1, x0)]
    return np.stack([ends[0], y0, ends[1], y1], axis=1)


def grid_ceiling(xyxy_px: ArrayLike, size_wh: tuple[float, float]) -> Floats:
    """IoU of each box with itself after writing and reading, float64[N]: the most that a perfect answer can reach.

    Raises:
        ValueError: as `to_grid`.
    """
    cells, _ = to_grid(xyxy_px, size_wh)
    return iou_pairs(xyxy_px, to_pixels(cells, size_wh))
