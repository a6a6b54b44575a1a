"""Pairs answered boxes with true ones, one to one, for many samples at once: by largest total IoU, or greedily.

Knows flat arrays of boxes and the number of the sample that each belongs to; does not know what a hit is. Only boxes
that really compete need an assignment to be solved; all other pairs are read off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from grounding.geometry import iou_pairs

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Overlap = Callable[[Any, Any], Floats]

PAIRS_AT_ONCE = 200_000  # overlaps held in memory at a time


class Matches(NamedTuple):
    """For each answered box the true box it is matched with, and their overlap; -1 and 0 where none.

    Args:
        true: int64[P], index into the true boxes.
        overlap: float64[P].
    """

    true: Ints
    overlap: Floats


class Best(NamedTuple):
    """For each box the other box that it overlaps most, and how much; -1 and 0 where it overlaps none."""

    other: Ints
    overlap: Floats


def match(answered: Floats, answered_sample: Ints, true: Floats, true_sample: Ints) -> Matches:
    """The one-to-one matching of largest total IoU within each sample; boxes that do not overlap are never matched.

    Args:
        answered: float64[P, 4]; answered_sample: int64[P], ascending.
        true: float64[T, 4]; true_sample: int64[T], ascending.
    """
    matches = _none(len(answered))
    for left, right in pairs(answered_sample, true_sample):
        iou = iou_pairs(answered[left], true[right])
        overlap = iou > 0
        left, right, iou = _settle(left[overlap], right[overlap], iou[overlap], matches)
        edges = np.flatnonzero(np.diff(answered_sample[left], prepend=-1, append=-1))
        for start, stop in pairwise(edges):
            _assign(left[start:stop], right[start:stop], iou[start:stop], matches)
    return matches


def match_greedily(
    answered: Floats,
    answered_sample: Ints,
    true: Floats,
    true_sample: Ints,
    *,
    overlap: Overlap,
    least: float,
    first: Floats | None = None,
) -> Matches:
    """Takes pairs one after another, the largest overlap first, as long as both boxes are free.

    Args:
        answered, answered_sample, true, true_sample: as in `match`.
        overlap: of boxes in the same rows.
        least: no pair with less is taken.
        first: float64[P]; where given, an answered box of a larger value chooses before all of smaller ones.
    """
    matches = _none(len(answered))
    taken = np.zeros(len(true), dtype=bool)
    for left, right in pairs(answered_sample, true_sample):
        values = overlap(answered[left], true[right])
        near = values >= least
        left, right, values = left[near], right[near], values[near]
        turn = np.argsort(-values, kind="stable")
        if first is not None:
            turn = turn[np.lexsort((left[turn], -first[left[turn]]))]
        for number in turn.tolist():
            if matches.true[left[number]] < 0 and not taken[right[number]]:
                taken[right[number]] = True
                matches.true[left[number]], matches.overlap[left[number]] = right[number], values[number]
    return matches


def best_overlap(
    boxes: Floats,
    sample: Ints,
    others: Floats,
    other_sample: Ints,
    *,
    overlap: Overlap = iou_pairs,
    allowed: Callable[[Ints, Ints], NDArray[np.bool_]] | None = None,
) -> Best:
    """For each box the one of its sample among the others that it overlaps most (the first of equals).

    Args:
        boxes: float64[P, 4]; sample: int64[P], ascending.
        others: float64[T, 4]; other_sample: int64[T], ascending.
        overlap: of boxes in the same rows.
        allowed: which pairs (indices of boxes, indices of others) may be looked at; all where None.
    """
    best = Best(np.full(len(boxes), -1, dtype=np.int64), np.zeros(len(boxes)))
    for left, right in pairs(sample, other_sample):
        if allowed is not None:
            kept = allowed(left, right)
            left, right = left[kept], right[kept]
        values = overlap(boxes[left], others[right])
        order = np.lexsort((right, -values, left))
        order = order[values[order] > 0]
        found, place = np.unique(left[order], return_index=True)
        best.other[found], best.overlap[found] = right[order][place], values[order][place]
    return best


def _none(count: int) -> Matches:
    return Matches(np.full(count, -1, dtype=np.int64), np.zeros(count))


def _settle(left: Ints, right: Ints, iou: Floats, matches: Matches) -> tuple[Ints, Ints, Floats]:
    """Writes the pairs that some best matching must hold into `matches`, and returns those still in question.

    A pair may be taken when its IoU is at least the largest other IoU of its one box plus that of its other box: a
    matching without it loses nothing by taking it in place of the two pairs that its boxes may be in.
    """
    while len(left):
        sure = np.flatnonzero(iou >= _largest_other(left, iou) + _largest_other(right, iou))
        # Of equal pairs the first; one box can only be taken once.
        sure = sure[np.sort(np.unique(left[sure], return_index=True)[1])]
        sure = sure[np.unique(right[sure], return_index=True)[1]]
        if not len(sure):
            break
        matches.true[left[sure]], matches.overlap[left[sure]] = right[sure], iou[sure]
        open_pairs = (matches.true[left] < 0) & ~np.isin(right, right[sure])
        left, right, iou = left[open_pairs], right[open_pairs], iou[open_pairs]
    return left, right, iou


def _largest_other(box: Ints, iou: Floats) -> Floats:
    """For each pair the largest IoU among the other pairs of the same box, 0 where there is none."""
    place = box - box.min()
    largest, second = np.zeros((2, int(place.max()) + 1))
    np.maximum.at(largest, place, iou)
    at_top = iou == largest[place]
    np.maximum.at(second, place[~at_top], iou[~at_top])
    alone_at_top = at_top & (np.bincount(place[at_top])[place] == 1)
    return np.where(alone_at_top, second[place], largest[place])


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
    matches.overlap[rows[chosen_rows]] = table[chosen_rows, chosen_columns]


def pairs(left_sample: Ints, right_sample: Ints) -> Iterator[tuple[Ints, Ints]]:
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
