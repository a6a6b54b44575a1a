"""Answers that fool other evaluators: each gets the score that it deserves, in every protocol, and the docs say so."""

from __future__ import annotations

import pytest

from benchmarks.attacks import ATTACKS, PAGE, attack_table, page
from grounding.evaluation.metrics import metrics
from grounding.evaluation.protocols import PROTOCOLS
from grounding.samples import Sample
from tests.evaluation.making import NOT_FOUND_TEXT, boxes_text, sample, scored

TRUE = [20.0, 10.0, 60.0, 50.0]
LARGE = [5.0, 2.0, 198.0, 97.0]
PRESENT = [sample(number, [TRUE]) for number in range(4)]
ABSENT = [sample(number, []) for number in range(4, 8)]

# attack: (accuracy, grec, recall of not found, precision, hallucinations, unparsable)
DESERVED = {
    "gibberish": (0, 0, 0, None, 0, 1),
    "empty text": (0, 0, 0, None, 0, 1),
    "refusal to answer": (0, 0, 0, None, 0, 1),
    "null": (0, 0, 0, None, 0, 1),
    "four stray numbers": (0, 0, 0, None, 0, 1),
    "another scale": (0, 0, 0, None, 0, 1),
    "pixels as cells": (0, 0, 0, 0, 1, 0),
    "boxes for everything": (0, 0, 0, 1 / 74, 1, 0),
    "one box 200 times": (1, 0, 0, 1 / 400, 1, 0),
    "the full image": (0, 0, 0, 0, 1, 0),
    "always not found": (0, 0.5, 1, None, 0, 0),
    "boxes and not found": (0, 0, 0, None, 0, 1),
}


@pytest.mark.parametrize("protocol", ["default", "grec", "coco"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_each_attack_gets_what_it_deserves(attack: str, protocol: str) -> None:
    accuracy, grec, rejected, precision, hallucinated, unparsable = DESERVED[attack]
    samples: list[Sample] = [*PRESENT, *ABSENT]
    table = metrics(scored(samples, [ATTACKS[attack].text] * 8, PROTOCOLS[protocol]))
    assert table["acc_50"]["value"] == accuracy
    assert table["grec_50"]["value"] == grec
    assert table["not_found"]["recall"]["value"] == table["n_acc"]["value"] == rejected
    assert table["precision_50"]["value"] == (None if precision is None else pytest.approx(precision))
    assert table["hallucination_rate"]["value"] == hallucinated
    assert table["unparsable"]["rate"]["value"] == unparsable


def test_the_table_of_the_docs_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m benchmarks.attacks"


def test_copies_and_floods_of_boxes_are_named() -> None:
    table = attack_table()
    assert table["one box 200 times"]["duplicates"] == pytest.approx(199 / 400)
    assert table["one box 200 times"]["ran away"] == table["boxes for everything"]["ran away"] == 1
    assert table["always not found"]["recall"] == 0


def test_boxes_on_every_place_do_not_buy_grec() -> None:
    everywhere = boxes_text(*([x, y, x + 20.0, y + 20.0] for x in range(0, 180, 20) for y in range(0, 80, 20)))
    table = metrics(scored([*PRESENT, *ABSENT], [everywhere] * 8))
    assert table["grec_50"]["value"] == 0
    assert table["hallucination_rate"]["value"] == 1


def test_a_full_image_is_right_where_the_object_fills_it() -> None:
    assert metrics(scored([sample(0, [LARGE])], ["[[000,000,999,999]]"]))["acc_50"]["value"] == 1


def test_the_sentence_beside_words_is_no_rejection() -> None:
    table = metrics(scored(ABSENT, [f"I think: {NOT_FOUND_TEXT}"] * 4))
    assert table["not_found"]["recall"]["value"] == 0 and table["unparsable"]["n"] == 4
