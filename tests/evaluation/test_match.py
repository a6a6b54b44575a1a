"""Matching: one to one, of the largest total IoU, as trying every matching finds it."""

from __future__ import annotations

import random

import numpy as np
import pytest

from grounding.evaluation import match as module
from grounding.evaluation.match import largest_iou, match
from grounding.geometry import as_boxes, iou_matrix
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
        assert found.iou[inside].sum() == pytest.approx(
            sum(iou(some_answered[left], some_true[right]) for left, right in best.items())
        )
    for left in np.flatnonzero(found.true >= 0):
        assert found.iou[left] == pytest.approx(iou_matrix(answered[left : left + 1], true)[0, found.true[left]])
        assert found.iou[left] > 0


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


def test_largest_iou_is_the_row_maximum() -> None:
    rng = random.Random(1)
    answered = as_boxes([random_box(rng) for _ in range(6)])
    other = as_boxes([random_box(rng) for _ in range(9)])
    found = largest_iou(answered, np.zeros(6, dtype=int), other, np.zeros(9, dtype=int))
    assert found == pytest.approx(iou_matrix(answered, other).max(axis=1))
