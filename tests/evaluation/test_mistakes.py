"""Kinds of mistakes by hand, what mending them gains, and which classes are mixed up."""

from __future__ import annotations

from typing import Any

import pytest

from grounding.evaluation.metrics import metrics
from grounding.evaluation.mistakes import KINDS, NOTHING, confusion, kinds_of_mistakes, mistakes
from grounding.evaluation.neighbours import find_neighbours, gather_classes
from grounding.evaluation.scored import Scored
from grounding.samples import Sample
from tests.evaluation.making import NOT_FOUND_TEXT, boxes_text, random_set, sample, scored

CAT, DOG, ELSEWHERE = [20.0, 10.0, 60.0, 50.0], [100.0, 40.0, 160.0, 90.0], [170.0, 5.0, 195.0, 25.0]
OFF = [20.0, 10.0, 60.0, 26.0]  # IoU 0.4 with CAT


def table_of(held: Scored) -> dict[str, Any]:
    return mistakes(held, find_neighbours(held))


def pair(cat_text: str, dog_text: str = boxes_text(DOG)) -> Scored:
    """A cat and a dog in one image, each asked for."""
    place = {"image": "a.png"}
    samples = [sample(0, [CAT], category="cat", **place), sample(1, [DOG], category="dog", **place)]
    return scored(samples, [cat_text, dog_text])


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (boxes_text(CAT), {}),
        (boxes_text(OFF), {"localisation": 1}),
        (boxes_text(DOG), {"wrong_object": 1, "missed": 1}),
        (boxes_text(CAT, CAT), {"duplicate": 1}),
        (boxes_text(ELSEWHERE), {"invented": 1, "missed": 1}),
        (boxes_text(CAT, ELSEWHERE), {"invented": 1}),
        (boxes_text(CAT, DOG), {"wrong_object": 1}),
        (NOT_FOUND_TEXT, {"missed": 1}),
        ("gibberish", {"unreadable": 1}),
    ],
)
def test_one_answer_has_these_mistakes(text: str, kinds: dict[str, int]) -> None:
    table = table_of(pair(text))
    assert {kind: entry["n"] for kind, entry in table.items() if entry["n"]} == kinds
    assert list(table) == list(KINDS)


def test_what_mending_gains_by_hand() -> None:
    table = table_of(pair(boxes_text(OFF)))
    # Of four boxes two match: F1 0.5; the badly placed one put right gives 1.
    assert table["localisation"]["f1_50_gain"] == pytest.approx(0.5)
    assert table["localisation"]["grec_50_gain"] == pytest.approx(0.5)
    assert table["missed"]["f1_50_gain"] == table["duplicate"]["grec_50_gain"] == 0.0
    table = table_of(pair(boxes_text(CAT, ELSEWHERE)))
    assert table["invented"]["f1_50_gain"] == pytest.approx(1 - 4 / 5)
    assert table["invented"]["grec_50_gain"] == pytest.approx(0.5)
    table = table_of(pair("gibberish"))
    assert table["unreadable"]["f1_50_gain"] == pytest.approx(1 - 2 / 3)


def test_an_absent_object_answered_with_boxes_is_mended_into_not_found() -> None:
    held = scored([sample(0, [])], [boxes_text(CAT)])
    table = table_of(held)
    assert table["invented"]["n"] == 1 and table["invented"]["grec_50_gain"] == 1.0
    assert table["invented"]["f1_50_gain"] is None, "no box would be left to count"


@pytest.mark.parametrize("seed", range(5))
def test_every_wrong_box_is_one_kind_and_no_mending_hurts(seed: int) -> None:
    samples, texts = random_set(seed, 120)
    held = scored(samples, texts)
    kinds = kinds_of_mistakes(held, find_neighbours(held))
    of_boxes = sum(kinds[kind].astype(int) for kind in ("localisation", "wrong_object", "duplicate", "invented"))
    assert (of_boxes == (~held.hit & ~held.left_out)).all()
    assert not (kinds["missed"] & held.found).any()
    for entry in table_of(held).values():
        assert entry["f1_50_gain"] >= 0 and entry["grec_50_gain"] >= 0


def test_perfect_answers_have_no_mistakes() -> None:
    samples, _ = random_set(2, 60)
    held = scored(samples, [boxes_text(*one.boxes) if one.boxes else NOT_FOUND_TEXT for one in samples])
    assert not any(entry["n"] for entry in table_of(held).values())
    mixed = confusion(held, find_neighbours(held), gather_classes(held.truth.samples))
    assert mixed["pairs"] == []
    assert sum(sum(row.values()) for row in mixed["table"].values()) == metrics(held)["precision_50"]["n"]


def test_which_class_is_taken_for_which() -> None:
    held = pair(boxes_text(DOG), boxes_text(DOG, ELSEWHERE))
    mixed = confusion(held, find_neighbours(held), gather_classes(held.truth.samples))
    assert mixed["table"] == {"cat": {"dog": 1}, "dog": {"dog": 1, NOTHING: 1}}
    assert mixed["pairs"] == [{"asked": "cat", "found": "dog", "n": 1, "of": 1}] and mixed["pairs_in_all"] == 1


def test_another_picture_is_no_neighbour() -> None:
    samples: list[Sample] = [sample(0, [CAT], category="cat"), sample(1, [DOG], category="dog")]
    assert table_of(scored(samples, [boxes_text(DOG), boxes_text(DOG)]))["wrong_object"]["n"] == 0
