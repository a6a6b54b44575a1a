"""Pairs answered boxes with true ones: one to one, with the largest total IoU, for many samples at once.

Knows flat arrays of boxes and the number of the sample that each belongs to; does not know thresholds or what a hit
is. Only boxes that compete (one overlaps several) need an assignment to be solved; all other pairs are read off.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from grounding.geometry import iou_pairs

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PAIRS_AT_ONCE = 1_000_000  # overlaps held in memory at a time


class Matches(NamedTuple):
    """For each answered box the true box it is matched with, and their IoU; -1 and 0 where none.

    Args:
        true: int64[P], index into the true boxes.
        iou: float64[P].
    """

    true: Ints
    iou: Floats


def match(answered: Floats, answered_sample: Ints, true: Floats, true_sample: Ints) -> Matches:
    """The one-to-one matching of largest total IoU within each sample; boxes that do not overlap are never matched.

    Args:
        answered: float64[P, 4]; answered_sample: int64[P], ascending.
        true: float64[T, 4]; true_sample: int64[T], ascending.
    """
    matches = Matches(np.full(len(answered), -1, dtype=np.int64), np.zeros(len(answered)))
    for left, right in _pairs(answered_sample, true_sample):
        iou = iou_pairs(answered[left], true[right])
        overlap = iou > 0
        left, right, iou = left[overlap], right[overlap], iou[overlap]
        alone = (_times(left) == 1) & (_times(right) == 1)
        matches.true[left[alone]], matches.iou[left[alone]] = right[alone], iou[alone]
        left, right, iou = left[~alone], right[~alone], iou[~alone]
        edges = np.flatnonzero(np.diff(answered_sample[left], prepend=-1, append=-1))
        for start, stop in pairwise(edges):
            _assign(left[start:stop], right[start:stop], iou[start:stop], matches)
    return matches


def largest_iou(answered: Floats, answered_sample: Ints, other: Floats, other_sample: Ints) -> Floats:
    """float64[P]: the largest IoU of each answered box with any other box of its sample, 0 where there is none."""
    largest = np.zeros(len(answered))
    for left, right in _pairs(answered_sample, other_sample):
        np.maximum.at(largest, left, iou_pairs(answered[left], other[right]))
    return largest


def _assign(left: Ints, right: Ints, iou: Floats, matches: Matches) -> None:
    """Solves the assignment among the overlaps of one sample and writes it into `matches`."""
    rows, row = np.unique(left, return_inverse=True)
    columns, column = np.unique(right, return_inverse=True)
    table = np.zeros((len(rows), len(columns)))
    table[row, column] = iou
    chosen = linear_sum_assignment(table, maximize=True)
    kept = table[chosen] > 0
    chosen_rows, chosen_columns = chosen[0][kept], chosen[1][kept]
    matches.true[rows[chosen_rows]] = columns[chosen_columns]
    matches.iou[rows[chosen_rows]] = table[chosen_rows, chosen_columns]


def _times(values: Ints) -> Ints:
    """How often each value stands in the array, at each of its places."""
    if not len(values):
        return values
    low = int(values.min())
    return np.bincount(values - low)[values - low]


def _pairs(left_sample: Ints, right_sample: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Index pairs (left, right) of the same sample, in pieces that never divide a sample.

    Both arrays ascend, so the partners of a left box are one run of right boxes.
    """
    start = np.searchsorted(right_sample, left_sample, side="left")
    partners = np.searchsorted(right_sample, left_sample, side="right") - start
    if not partners.any():
        return
    done = np.cumsum(partners)
    begin = 0
    while begin < len(left_sample):
        before = done[begin - 1] if begin else 0
        end = int(np.searchsorted(done, before + PAIRS_AT_ONCE, side="right"))
        end = max(end, begin + 1)
        # to the end of the sample that the piece stops in
        end = int(np.searchsorted(left_sample, left_sample[end - 1], side="right"))
        sizes = partners[begin:end]
        left = np.repeat(np.arange(begin, end), sizes)
        first = np.cumsum(sizes) - sizes
        right = np.arange(len(left)) - np.repeat(first, sizes) + np.repeat(start[begin:end], sizes)
        yield left, right
        begin = end
