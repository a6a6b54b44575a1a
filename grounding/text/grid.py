"""Pixels to cells and back, on the 000-999 grid of CogVLM or another family's scale. Knows no text.

The only place that knows how many cells CogVLM's grid has. CogVLM writes a coordinate as a share of the image's width
or height in thousandths. Its tower squashes every image to a square, which leaves such shares as they are, so no image
size but the original one is needed. A family that writes pixels of its resized image needs the rule of that resizing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grounding.geometry import as_boxes, iou_pairs

CELLS = 1000
LAST_CELL = 999
DIGITS = len(str(LAST_CELL))

Floats: TypeAlias = NDArray[np.float64]
Cells: TypeAlias = NDArray[np.int64]
Size: TypeAlias = tuple[float, float]
Sizes: TypeAlias = Size | Floats
"""Width and height of one frame, or float64[N, 2], that of each box."""


@dataclass(frozen=True)
class Scale:
    """How a family of models counts along the two sides of a frame.

    Attributes:
        divisor: parts that each side is divided into; None where a part is a pixel of the resized image.
        last: the greatest number that is written; None: the number of parts.
        resized: (width, height) of the image as the model sees it, by those of the frame; only where `divisor` is None.
    """

    divisor: int | None
    last: int | None = None
    resized: Callable[[Size], tuple[int, int]] | None = None

    def parts(self, size_wh: Sizes) -> tuple[int, int]:
        """Parts along the width and along the height.

        Raises:
            ValueError: the parts depend on the size, and it is not positive.
        """
        if self.divisor is not None:
            return self.divisor, self.divisor
        _frame(size_wh)
        assert self.resized is not None, "a scale has a divisor or a rule of resizing"
        width, height = size_wh
        return self.resized((float(width), float(height)))

    def greatest(self, size_wh: Sizes) -> tuple[int, int]:
        """The greatest x and the greatest y that may be written."""
        return self.parts(size_wh) if self.last is None else (self.last, self.last)

    def to_cells(self, xyxy_px: ArrayLike, size_wh: Size) -> tuple[Cells, int]:
        """Cells of boxes in pixels, row by row, and how many boxes had to be widened; as `cells_of`.

        Returns:
            int64[N, 4] in 0..greatest with x0 < x1 and y0 < y1, and the number of boxes changed.
        """
        cells, widened = self.cells_of(xyxy_px, size_wh)
        return cells, int(widened.sum())

    def cells_of(self, xyxy_px: ArrayLike, size_wh: Sizes) -> tuple[Cells, NDArray[np.bool_]]:
        """Cells of boxes in pixels, row by row, and which of them had to be widened.

        The cell of a value is floor(parts * value / size + 0.5), clamped to 0..greatest. Where both ends of a box fall
        into one cell, its end moves one cell on, or its start one cell back at the last cell; the box is counted once.

        Args:
            xyxy_px: float[N, 4], x0 <= x1 and y0 <= y1; values outside the frame are clamped.
            size_wh: width and height of the frame in pixels; where the scale has a divisor, also of the frame of each
                box.

        Returns:
            int64[N, 4] in 0..greatest with x0 < x1 and y0 < y1, and bool[N], which boxes were changed.

        Raises:
            ValueError: a value is not finite, a box is inverted, or the size is not positive.
        """
        boxes = as_boxes(xyxy_px)
        parts, greatest = self.parts(size_wh), np.tile(self.greatest(size_wh), 2)
        # Nothing is reduced along rows of two or four, which takes numpy longer than all the rest.
        if not np.isfinite(boxes).all():
            row = np.argwhere(~np.isfinite(boxes))[0, 0]
            raise ValueError(f"box {row} has a value that is not finite: {boxes[row].tolist()}")
        if (boxes[:, :2] > boxes[:, 2:]).any():
            row = np.argwhere(boxes[:, :2] > boxes[:, 2:])[0, 0]
            raise ValueError(f"box {row} is inverted, x0 <= x1 and y0 <= y1 are needed: {boxes[row].tolist()}")
        # Clamped before the cast: a huge float has no int64.
        cells = np.clip(np.floor(np.tile(parts, 2) * boxes / _frame(size_wh) + 0.5), 0, greatest).astype(np.int64)
        flat = cells[:, :2] == cells[:, 2:]
        if flat.any():
            at_end = cells[:, 2:] == greatest[:2]
            cells[:, 2:] += flat & ~at_end
            cells[:, :2] -= flat & at_end
        return cells, flat[:, 0] | flat[:, 1]

    def to_pixels(self, cells: ArrayLike, size_wh: Sizes) -> Floats:
        """Corners in pixels, float64[N, 4], of boxes in cells: cell / parts * size.

        Raises:
            ValueError: the boxes have another shape, or the size is not positive.
        """
        return as_boxes(cells) / np.tile(self.parts(size_wh), 2) * _frame(size_wh)

    def ceiling(self, xyxy_px: ArrayLike, size_wh: Sizes) -> Floats:
        """IoU of each box with itself after writing and reading, float64[N]: the most that a perfect answer can reach.

        Raises:
            ValueError: as `to_cells`.
        """
        cells, _ = self.cells_of(xyxy_px, size_wh)
        return iou_pairs(xyxy_px, self.to_pixels(cells, size_wh))


def _frame(size_wh: Sizes) -> Floats:
    """The frame's size once per corner value, float64[4], or float64[N, 4] of the frames of N boxes."""
    sizes = np.asarray(size_wh, dtype=np.float64)
    good = np.isfinite(sizes) & (sizes > 0)
    if not good.all():
        width, height = size_wh if sizes.ndim == 1 else sizes[~good.all(axis=-1)][0].tolist()
        raise ValueError(f"width and height must be positive numbers, found {width} x {height}")
    return np.concatenate((sizes, sizes), axis=-1)


GRID = Scale(CELLS, LAST_CELL)
"""CogVLM's, which everything is written in where no dialect is named."""

to_grid, to_pixels, grid_ceiling = GRID.to_cells, GRID.to_pixels, GRID.ceiling


def mirror_cells(xyxy_grid: ArrayLike) -> Cells:
    """Cells int64[N, 4] of boxes in the picture mirrored left to right, from their cells in the picture as it is.

    An end at the last cell is taken for the frame's edge, so a box may come out a cell off from `to_grid` of its
    mirrored pixels.
    """
    x0, y0, x1, y1 = np.asarray(xyxy_grid, dtype=np.int64).reshape(-1, 4).T
    ends = [np.where(x == LAST_CELL, 0, np.minimum(CELLS - x, LAST_CELL)) for x in (x1, x0)]
    return np.stack([ends[0], y0, ends[1], y1], axis=1)
