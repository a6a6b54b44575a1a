"""Matching: one to one, of the largest total IoU, as trying every matching finds it."""

from __future__ import annotations

import random

import numpy as np
import pytest

from grounding.evaluation import match as module
from grounding.evaluation.match import best_overlap, match, match_greedily
from grounding.geometry import as_boxes, covered_pairs, giou_pairs, iou_matrix, iou_pairs
from tests.evaluation.making import random_box, shaken
from tests.evaluation.plain_reference import best_matching, iou


def crowded(rng: random.Random) -> tuple[list[list[float]], list[list[float]]]:
    """Few boxes that overlap a lot."""
    true = [random_box(rng, (60, 40)) for _ in range(rng.randint(0, 4))]
    answered = [shaken(rng, rng.choice(true), 8, (60, 40)) for _ in range(rng.randint(0, 4)) if true]
    return answered, true


@pytest.mark.parametrize("pairs_at_once", [1, 7, 10**6])
def test_the_total_is_that_of_trying_everything(monkeypatch: pytest.MonkeyPatch, pairs_at_once: int) -> None:
    monkeypatch.setattr(module, "PAIRS_AT_ONCE", pairs_at_once)
    rng = random.Random(0)
    cases = [crowded(rng) for _ in range(300)]
    answered = as_boxes([box for boxes, _ in cases for box in boxes])
    true = as_boxes([box for _, boxes in cases for box in boxes])
    answered_sample = np.repeat(np.arange(len(cases)), [len(boxes) for boxes, _ in cases])
    true_sample = np.repeat(np.arange(len(cases)), [len(boxes) for _, boxes in cases])
    found = match(answered, answered_sample, true, true_sample)
    matched = found.true[found.true >= 0]
    assert len(set(matched.tolist())) == len(matched), "a true box is matched once"
    for number, (some_answered, some_true) in enumerate(cases):
        inside = answered_sample == number
        assert np.all(true_sample[found.true[inside & (found.true >= 0)]] == number)
        best = best_matching(some_answered, some_true)
        assert found.overlap[inside].sum() == pytest.approx(
            sum(iou(some_answered[left], some_true[right]) for left, right in best.items())
        )
    for left in np.flatnonzero(found.true >= 0):
        assert found.overlap[left] == pytest.approx(iou_matrix(answered[left : left + 1], true)[0, found.true[left]])
        assert found.overlap[left] > 0


def test_greed_would_be_wrong() -> None:
    # The first answered box overlaps both; giving it its best partner leaves the second one with nothing.
    true = as_boxes([[0, 0, 10, 10], [8, 0, 18, 10]])
    answered = as_boxes([[3, 0, 13, 10], [0, 0, 9, 10]])
    found = match(answered, np.zeros(2, dtype=int), true, np.zeros(2, dtype=int))
    assert found.true.tolist() == [1, 0]


def test_nothing_to_match() -> None:
    none, few = as_boxes([]), as_boxes([[0, 0, 1, 1]])
    empty, one = np.zeros(0, dtype=int), np.zeros(1, dtype=int)
    assert match(none, empty, none, empty).true.tolist() == []
    assert match(few, one, none, empty).true.tolist() == [-1]
    assert match(none, empty, few, one).true.tolist() == []
    assert match(few, one, few + 5, one).true.tolist() == [-1], "boxes that do not overlap are never matched"


def test_of_equal_boxes_the_first_is_matched() -> None:
    true = as_boxes([[0, 0, 10, 10]])
    found = match(as_boxes([[0, 0, 10, 10]] * 5), np.zeros(5, dtype=int), true, np.zeros(1, dtype=int))
    assert found.true.tolist() == [0, -1, -1, -1, -1]


def test_the_best_overlap_is_the_row_maximum() -> None:
    rng = random.Random(1)
    answered = as_boxes([random_box(rng) for _ in range(6)])
    other = as_boxes([random_box(rng) for _ in range(9)])
    table = iou_matrix(answered, other)
    found = best_overlap(answered, np.zeros(6, dtype=int), other, np.zeros(9, dtype=int))
    assert found.overlap == pytest.approx(table.max(axis=1))
    assert np.array_equal(found.other[found.overlap > 0], table.argmax(axis=1)[found.overlap > 0])
    assert (found.other[found.overlap == 0] == -1).all()
    none = best_overlap(
        answered,
        np.zeros(6, dtype=int),
        other,
        np.zeros(9, dtype=int),
        allowed=lambda left, _: np.zeros(len(left), dtype=bool),
    )
    assert (none.other == -1).all() and not none.overlap.any()


def test_greed_takes_the_largest_overlap_or_the_best_score_first() -> None:
    true = as_boxes([[0, 0, 10, 10], [6, 0, 16, 10]])
    answered = as_boxes([[2, 0, 12, 10], [0, 0, 10, 10], [40, 40, 50, 50]])
    zeros = np.zeros(3, dtype=int), np.zeros(2, dtype=int)
    by_overlap = match_greedily(answered, zeros[0], true, zeros[1], overlap=iou_pairs, least=0.3)
    assert by_overlap.true.tolist() == [1, 0, -1]
    scores = np.array([0.9, 0.1, 0.5])
    by_score = match_greedily(answered, zeros[0], true, zeros[1], overlap=iou_pairs, least=0.3, first=scores)
    assert by_score.true.tolist() == [0, -1, -1], "its own true box is taken, and the other one is too far"


def test_generalised_iou_by_hand() -> None:
    a, b = [[0, 0, 2, 2], [0, 0, 1, 1], [0, 0, 2, 2]], [[0, 0, 2, 2], [3, 0, 4, 1], [1, 1, 3, 3]]
    assert giou_pairs(a, b) == pytest.approx([1.0, -0.5, 1 / 7 - 2 / 9])
    assert covered_pairs([[0, 0, 2, 2], [0, 0, 2, 2]], [[1, 0, 9, 9], [5, 5, 6, 6]]) == pytest.approx([0.5, 0.0])
