"""Answers that fool other evaluators: each gets the score that it deserves."""

from __future__ import annotations

import pytest

from grounding.evaluation.metrics import metrics
from grounding.samples import Sample
from tests.evaluation.making import NOT_FOUND_TEXT, boxes_text, sample, scored

TRUE = [20.0, 10.0, 60.0, 50.0]
LARGE = [5.0, 2.0, 198.0, 97.0]
PRESENT = [sample(number, [TRUE]) for number in range(4)]
ABSENT = [sample(number, []) for number in range(4, 8)]

# attack: (answer, accuracy, grec, recall of not found, precision, hallucinations, unparsable)
ATTACKS = {
    "gibberish": ("asdf !! qwer", 0, 0, 0, None, 0, 1),
    "empty": ("", 0, 0, 0, None, 0, 1),
    "four stray numbers": ("There are 3 dogs, 2 cats, 1 bird and 4 cars", 0, 0, 0, None, 0, 1),
    "null": ('{"bbox_2d": null}', 0, 0, 0, None, 0, 1),
    "refusal to answer": ("I cannot help with that.", 0, 0, 0, None, 0, 1),
    "the full image": ("[[000,000,999,999]]", 0, 0, 0, 0, 1, 0),
    "the right box 200 times": (boxes_text(*[TRUE] * 200), 1, 0, 0, 4 / 1600, 1, 0),
    "not found always": (NOT_FOUND_TEXT, 0, 0.5, 1, None, 0, 0),
    "boxes and not found": (f"{boxes_text(TRUE)} {NOT_FOUND_TEXT}", 0, 0, 0, None, 0, 1),
    "the box of another scale": ("[[20,10,60,50]]", 0, 0, 0, 0, 1, 0),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_each_attack_gets_what_it_deserves(attack: str) -> None:
    text, accuracy, grec, rejected, precision, hallucinated, unparsable = ATTACKS[attack]
    samples: list[Sample] = [*PRESENT, *ABSENT]
    table = metrics(scored(samples, [text] * 8))
    assert table["acc_50"]["value"] == accuracy
    assert table["grec_50"]["value"] == grec
    assert table["not_found"]["recall"]["value"] == rejected
    assert table["precision_50"]["value"] == (None if precision is None else pytest.approx(precision))
    assert table["hallucination_rate"]["value"] == hallucinated
    assert table["unparsable"]["rate"]["value"] == unparsable


def test_boxes_for_everything_do_not_buy_grec() -> None:
    everywhere = boxes_text(*([x, y, x + 20.0, y + 20.0] for x in range(0, 180, 20) for y in range(0, 80, 20)))
    table = metrics(scored([*PRESENT, *ABSENT], [everywhere] * 8))
    assert table["grec_50"]["value"] == 0
    assert table["hallucination_rate"]["value"] == 1


def test_a_full_image_is_right_where_the_object_fills_it() -> None:
    assert metrics(scored([sample(0, [LARGE])], ["[[000,000,999,999]]"]))["acc_50"]["value"] == 1
