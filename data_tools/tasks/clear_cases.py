"""Which object of a class the geometries of `grounding.text.expressions` single out, where there is no doubt about it.

Knows boxes and the size of the image; does not know classes or words. The margins were set by reading phrases against
pictures (blood cells and photographs) until a reader no longer hesitated.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from grounding.geometry import area, as_boxes
from grounding.text.expressions import ORDINALS

APART = 0.06  # of the image's side: least distance of two centres, one of which is further to that side
APART_OWN = 0.25  # of the smaller object's extent: the same
APART_ENDS = 0.02  # of the image's side: the same for where the two begin, and for where they end
APART_OUTERMOST = 0.04  # of the image's side: the same for the end that is spoken of, the left one of the leftmost
LARGER = 2.5  # least ratio of two areas, one of which is the larger
SEEN = 0.05  # of the side of a square as large as the image: least size of each object, so that none is overlooked
EDGE = 0.01  # of the image's side: an object so near to its edge may go on outside

Floats = NDArray[np.float64]


def clear_cases(xyxy_px: Sequence[Sequence[float]], size_wh: tuple[int, int]) -> dict[str, int]:
    """Geometry -> the number of the box it is true of, for the geometries that are clear.

    None for a single box, nor where one is so small that a reader could overlook it.
    """
    boxes = as_boxes(xyxy_px)
    width, height = size_wh
    if len(boxes) < 2 or area(boxes).min() < SEEN**2 * width * height:
        return {}
    return {
        **_along(boxes[:, [0, 2]], width, "left", "right"),
        **_along(boxes[:, [1, 3]], height, "top", "bottom"),
        **_by_size(boxes, size_wh),
    }


def _along(ends: Floats, side: int, first: str, last: str) -> dict[str, int]:
    """The first, second and third object from either end of an axis.

    One object is before another where its centre and both of its ends are, each by a margin. An object has a
    place in the row where every other one is clearly before it or clearly behind it. The outermost one also reaches
    further out than all others by a margin of its own: of two ovens, one taller, both may be called the topmost.

    Args:
        ends: float[N, 2], where each box begins and ends on the axis. side: the image's extent.
    """
    low, high = ends.T
    centre, extent = ends.mean(axis=1), high - low
    margin = np.maximum(APART * side, APART_OWN * np.minimum(extent[:, None], extent[None]))
    apart = [end[None] - end[:, None] >= APART_ENDS * side for end in (low, high)]
    before = (centre[None] - centre[:, None] >= margin) & apart[0] & apart[1]
    count = len(ends)
    behind, ahead = before.sum(axis=1), before.sum(axis=0)
    cases = {}
    for number in np.flatnonzero(behind + ahead == count - 1).tolist():
        for place, name in ((int(ahead[number]), first), (int(behind[number]), last)):
            outer = low if name == first else -high
            if place == 0 and (np.delete(outer, number) - outer[number] >= APART_OUTERMOST * side).all():
                cases[f"{name}most"] = number
            elif place + 1 in ORDINALS and count > place + 1:  # the last of a row is not called its second
                cases[f"{name}_{place + 1}"] = number
    return cases


def _by_size(boxes: Floats, size_wh: tuple[int, int]) -> dict[str, int]:
    """The largest and the smallest object as it looks: by area with a margin, and by its longer side."""
    extents = boxes[:, 2:] - boxes[:, :2]
    sizes, longer = area(boxes), extents.max(axis=1)
    order = np.argsort(sizes, kind="stable")
    cases = {}
    top, second = int(order[-1]), int(order[-2])
    if sizes[top] >= LARGER * sizes[second] and longer[top] == longer.max():
        cases["largest"] = top
    least, next_least = int(order[0]), int(order[1])
    margin = EDGE * np.array(size_wh)
    cut_off = (boxes[least, :2] < margin).any() or (boxes[least, 2:] > size_wh - margin).any()
    if sizes[next_least] >= LARGER * sizes[least] and longer[least] == longer.min() and not cut_off:
        cases["smallest"] = least
    return cases
