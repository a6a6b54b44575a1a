"""Breakdowns, baselines and the tasks that ask for words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from grounding.evaluation.baselines import baselines, best_constant_box, perfect_answers
from grounding.evaluation.breakdowns import aspect_classes, place_map, places, size_classes
from grounding.evaluation.breakdowns import breakdowns as breakdowns_of
from grounding.evaluation.metrics import metrics
from grounding.evaluation.neighbours import NO_CLASS, gather_classes
from grounding.evaluation.other_tasks import class_named, is_exact, normalised, polarity, score_texts, token_f1
from grounding.evaluation.protocols import DEFAULT
from grounding.evaluation.scored import Scored, gather_truth
from tests.evaluation.making import NOT_FOUND_TEXT, boxes_text, random_set, sample, scored


def breakdowns(held: Scored) -> dict[str, dict[str, Any]]:
    return breakdowns_of(held, gather_classes(held.truth.samples))


def test_size_classes_are_cocos() -> None:
    sides = [31.9, 32.0, 95.9, 96.0, 500.0]
    boxes = np.array([[0, 0, side, side] for side in sides])
    assert size_classes(boxes).tolist() == [0, 1, 1, 2, 2]


def test_the_parts_of_a_kind_add_up_to_the_whole() -> None:
    samples, texts = random_set(0, 120)
    held = scored(samples, texts)
    parts, whole = breakdowns(held), metrics(held)
    for kind in ("class", "lang", "task", "targets"):
        assert sum(part["n"] for part in parts[kind].values()) == whole["n"]
        assert sum(part["absent"] for part in parts[kind].values()) == whole["not_found"]["n"]
    for kind, of_kind in parts.items():
        rates = [part["recall_50"] for part in of_kind.values() if part["recall_50"]["n"]]
        n = sum(rate["n"] for rate in rates)
        assert n == whole["recall_50"]["n"], kind
        assert sum(rate["value"] * rate["n"] for rate in rates) / n == pytest.approx(whole["recall_50"]["value"])


def test_a_class_is_measured_as_a_set_of_its_own() -> None:
    samples, texts = random_set(6, 90)
    part = breakdowns(scored(samples, texts))["class"]["c1"]
    chosen = [number for number, one in enumerate(samples) if one.category == "c1"]
    alone = metrics(scored([samples[number] for number in chosen], [texts[number] for number in chosen]))
    for name in ("acc_50", "grec_50", "precision_50", "recall_50", "f1_50", "mean_iou", "miss_rate"):
        assert part[name]["value"] == pytest.approx(alone[name]["value"])
        assert part[name]["n"] == alone[name]["n"]


def test_boxes_of_several_classes_count_for_their_own() -> None:
    cat, dog = [10.0, 10.0, 40.0, 40.0], [60.0, 10.0, 99.0, 60.0]
    several = sample(0, [cat, dog], categories=["cat", "dog"], category=None, task="all_to_boxes")
    parts = breakdowns(scored([several, sample(1, [], category=None)], [boxes_text(dog), NOT_FOUND_TEXT]))["class"]
    assert parts["cat"]["recall_50"]["value"] == 0.0
    assert parts["dog"]["recall_50"]["value"] == 1.0
    assert parts["cat"]["n"] == 0 and parts["cat"]["boxes"] == 1
    assert parts[NO_CLASS]["n"] == 2


def test_the_constant_box_is_at_least_as_good_as_any_true_box_and_the_whole_frame() -> None:
    samples, _ = random_set(1, 150)
    truth = gather_truth(samples)
    table = baselines(truth, DEFAULT)["constant_best_box"]
    candidates = [boxes_text(one.boxes[0]) for one in samples if one.boxes] + ["[[000,000,999,999]]"]
    for text in candidates[:40] + candidates[-1:]:
        assert metrics(scored(samples, [text] * len(samples)))["acc_50"]["value"] <= table["acc_50"]["value"]
    assert metrics(scored(samples, [table["answer"]] * len(samples)))["acc_50"] == table["acc_50"]


def test_the_constant_box_finds_what_is_always_at_the_same_place() -> None:
    truth = gather_truth([sample(number, [[50.0, 20.0, 110.0, 70.0]]) for number in range(5)])
    assert best_constant_box(truth).tolist() == [250, 200, 550, 700]
    assert best_constant_box(gather_truth([sample(0, [])])) is None


def test_always_not_found_is_right_about_what_is_absent_only() -> None:
    truth = gather_truth([sample(0, []), sample(1, [[10, 10, 20, 20]])])
    table = baselines(truth, DEFAULT)["always_not_found"]
    assert table["grec_50"]["value"] == table["not_found"]["precision"]["value"] == 0.5
    assert table["not_found"]["recall"]["value"] == table["miss_rate"]["value"] == 1.0


def test_perfect_answers_are_what_writing_the_truth_gives() -> None:
    samples, _ = random_set(9, 40)
    texts = [boxes_text(*one.boxes) if one.boxes else NOT_FOUND_TEXT for one in samples]
    assert perfect_answers(gather_truth(samples), DEFAULT) == metrics(scored(samples, texts))


@pytest.mark.parametrize(
    ("answer", "label", "exact"),
    [
        ("Yes!", "yes", True),
        (" a  RED\ncircle.", "a red circle", True),
        ("ｙｅｓ", "yes", True),
        ("有。", "有", True),
        ("1.5", "15", False),
        ("not red", "red", False),
        ("", "yes", False),
        (None, "yes", False),
    ],
)
def test_words_are_compared_after_normalisation(answer: str | None, label: str, exact: bool) -> None:
    assert is_exact(sample(0, None, label=label), answer) is exact


def test_other_tasks_are_counted_by_task() -> None:
    samples = [
        sample(0, None, task="presence", label="yes"),
        sample(1, None, task="presence", label="no"),
        sample(2, None, task="text", label="four", image=None, width=None, height=None),
        sample(3, [[1, 1, 9, 9]]),
    ]
    table = score_texts(zip(samples[:3], ["Yes.", None, "four"], strict=True))
    assert {task: entry["n"] for task, entry in table.items()} == {"presence": 2, "text": 1}
    assert table["presence"]["exact_match"]["value"] == 0.5
    assert table["text"]["exact_match"]["value"] == 1.0
    assert normalised("a-b") == "a b"


def test_a_presence_answer_is_judged_by_its_first_word() -> None:
    samples = [
        sample(number, None, task="presence", label=label) for number, label in enumerate(["Yes", "no", "yes", "No."])
    ]
    table = score_texts(zip(samples, ["Yes, there is one.", "No, none.", "no", "maybe"], strict=True))["presence"]
    assert table["presence_accuracy"] == {**table["presence_accuracy"], "value": 0.5, "n": 4}
    assert table["exact_match"]["value"] == 0.0
    unclear = [sample(0, None, task="presence", label="a cat")]
    assert "presence_accuracy" not in score_texts([(unclear[0], "yes")])["presence"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Yes!", True),
        ("no.", False),
        ("Nothing", None),
        ("There is one", True),
        ("没有狗", False),
        ("有一只狗", True),
        ("不存在", False),
        ("", None),
        (None, None),
    ],
)
def test_yes_and_no(text: str | None, says: bool | None) -> None:
    assert polarity(text) is says


@pytest.mark.parametrize(
    ("label", "text", "f1"),
    [
        ("a red car", "a red car", 1.0),
        ("a red car", "red car car", 2 / 3),
        ("红色的车", "红车", 2 / 3),
        ("x", None, 0.0),
        ("x", "", 0.0),
    ],
)
def test_token_f1_by_hand(label: str, text: str | None, f1: float) -> None:
    assert token_f1(label, text) == pytest.approx(f1)


def test_the_class_named_is_the_longest_that_stands_in_the_answer() -> None:
    classes = ["cell", "red_blood_cell", "狗"]
    assert class_named("A red blood cell.", classes) == "red_blood_cell"
    assert class_named("One cell", classes) == "cell"
    assert class_named("a cellar", classes) is None
    assert class_named("一只狗", classes) == "狗"
    samples = [sample(0, None, task="box_to_phrase", category=name) for name in ("cell", "red_blood_cell")]
    table = score_texts(zip(samples, ["a cell", "a cell"], strict=True))["box_to_phrase"]
    assert table["class_named"]["value"] == 0.5


def test_shapes_and_places_of_boxes() -> None:
    wide_to_narrow = np.array([[0, 0, width, 10.0] for width in (4, 6, 10, 15, 30)])
    assert aspect_classes(wide_to_narrow).tolist() == [0, 1, 2, 3, 4]
    corners = [[0.0, 0.0, 2.0, 2.0], [198.0, 98.0, 200.0, 100.0], [90.0, 40.0, 110.0, 60.0]]
    held = scored([sample(0, corners)], [boxes_text(*corners[:2])])
    assert places(held.truth).tolist() == [0, 24, 12]
    table = place_map(held)
    assert table["recall_50"][0][0]["value"] == table["recall_50"][4][4]["value"] == 1.0
    assert table["recall_50"][2][2] == {**table["recall_50"][2][2], "value": 0.0, "n": 1}
    assert table["recall_50"][0][1] == {"value": None, "ci95": None, "n": 0}


def test_parts_by_box_and_by_number_of_targets() -> None:
    tall, flat = [10.0, 10.0, 20.0, 90.0], [10.0, 10.0, 190.0, 30.0]
    samples = [sample(0, [tall]), sample(1, [flat]), sample(2, [tall, flat]), sample(3, [])]
    parts = breakdowns(scored(samples, [boxes_text(tall), "no idea", boxes_text(tall, flat), NOT_FOUND_TEXT]))
    assert parts["aspect"]["below 1:2"]["recall_50"] == {
        **parts["aspect"]["below 1:2"]["recall_50"],
        "value": 1.0,
        "n": 2,
    }
    assert parts["aspect"]["above 2:1"]["recall_50"]["value"] == 0.5
    assert parts["aspect"]["above 2:1"]["acc_50"]["value"] == 0.0
    assert {name: part["n"] for name, part in parts["targets"].items()} == {"0": 1, "1": 2, "2": 1}
    assert parts["targets"]["1"]["grec_50"]["value"] == 0.5
