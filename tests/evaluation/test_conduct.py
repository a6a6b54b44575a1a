"""How many boxes an answer gives: counts, duplicates, answers that run away."""

from __future__ import annotations

import pytest

from grounding.evaluation.conduct import RUNAWAY
from grounding.evaluation.evaluate import score
from grounding.evaluation.metrics import metrics
from tests.evaluation.making import NOT_FOUND_TEXT, boxes_text, predictions, sample, scored

TRUE, FAR = [20.0, 10.0, 60.0, 50.0], [120.0, 60.0, 180.0, 90.0]


def test_counting_by_hand() -> None:
    samples = [sample(0, [TRUE, FAR]), sample(1, [TRUE]), sample(2, []), sample(3, []), sample(4, [TRUE])]
    texts = [boxes_text(TRUE), boxes_text(FAR), NOT_FOUND_TEXT, boxes_text(TRUE, FAR), "gibberish"]
    table = metrics(scored(samples, texts))["counting"]
    assert table["exact"]["value"] == 2 / 5, "one for one, though misplaced; none for none; gibberish is no number"
    assert table["mean_error"]["value"] == 3 / 4 and table["mean_error"]["n"] == 4
    assert table["bias"]["value"] == (2 - 1) / 4


def test_duplicates_by_hand() -> None:
    nearly = [21.0, 10.0, 61.0, 50.0]
    table = metrics(scored([sample(0, [TRUE])], [boxes_text(TRUE, nearly, TRUE, FAR)]))["duplicates"]
    assert table["rate"] == {**table["rate"], "value": 0.5, "n": 4}
    assert table["repeated"]["value"] == 0.25
    absent = metrics(scored([sample(0, [])], [boxes_text(FAR, FAR, FAR)]))["duplicates"]
    assert absent["rate"]["value"] == 0.0 and absent["repeated"]["value"] == pytest.approx(2 / 3)


def test_an_answer_that_runs_away() -> None:
    samples = [sample(0, [TRUE]), sample(1, [TRUE])]
    texts = [boxes_text(*[TRUE] * (RUNAWAY + 2)), boxes_text(*[TRUE] * (RUNAWAY + 1))]
    table = metrics(scored(samples, texts))["runaway"]
    assert table["rate"]["value"] == 0.5 and table["more_than"] == RUNAWAY and table["cut"]["value"] == 0.0
    table = score(samples, predictions(boxes_text(TRUE), "[[1,2", finish="length"))
    assert table["runaway"]["cut"]["value"] == 1.0 and table["cut_off"]["n"] == 1


def test_generalised_iou_and_the_ceiling() -> None:
    samples = [sample(0, [[10.0, 10.0, 50.0, 50.0]]), sample(1, [[10.0, 10.0, 50.0, 50.0]])]
    table = metrics(scored(samples, ["[[050,100,250,500]]", NOT_FOUND_TEXT]))
    assert table["mean_giou"]["value"] == pytest.approx((1.0 - 1.0) / 2)
    assert table["mean_iou"]["value"] == table["median_iou"]["value"] == pytest.approx(0.5)
    assert table["of_ceiling"]["value"] == pytest.approx(0.5) and table["of_ceiling"]["n"] == 2
    assert table["gap_of_grid"]["value"] == pytest.approx(0.0)
    coarse = metrics(scored([sample(0, [[10.3, 10.3, 12.9, 12.9]])], ["[[052,103,065,129]]"]))
    assert coarse["gap_of_grid"]["value"] == pytest.approx(1.0), "all that is missing, the grid costs"
