"""Numbers of a split, counted by hand."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from data_tools.stats import describe, label_tokens
from grounding.samples import Sample
from grounding.text import write_boxes


def sample(number: int, boxes: list[list[float]], words: str = "{}", **more: str) -> Sample:
    label = words.format(write_boxes(boxes, (1000, 1000)).text) if boxes else "No."
    return Sample(
        id=str(number),
        image=f"{number % 2}.png",
        width=1000,
        height=1000,
        prompt="?",
        label=label,
        boxes=boxes,
        **more,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("boxes", "words", "tokens"),
    [
        (1, "{}", 16 + 1 + 1),
        (2, "{}", 32 + 1 + 1),
        (70, "{}", 70 * 16 + 1 + 1),
        (1, "It is at {}", 16 + 1 + 1 + 3),  # nine Latin characters
        (1, "在{}", 16 + 1 + 1 + 3),
        (0, "", 1 + 1),
    ],
)
def test_token_cost(boxes: int, words: str, tokens: int) -> None:
    assert label_tokens(sample(0, [[1.0, 1.0, 9.0, 9.0]] * boxes, words)) == tokens


def test_a_split() -> None:
    samples = [
        sample(0, [[0.0, 0.0, 100.0, 100.0]], category="cat"),
        sample(1, [[0.0, 0.0, 100.0, 100.0]] * 64, category="cat"),
        sample(2, [], category="dog", lang="zh"),
    ]
    numbers = describe(samples)
    assert {key: numbers[key] for key in ("images", "samples", "found", "not_found", "boxes")} == {
        "images": 2,
        "samples": 3,
        "found": 2,
        "not_found": 1,
        "boxes": 65,
    }
    assert numbers["label_tokens"] == {
        "total": 18 + 1026 + 2,
        "max": 1026,
        "over_budget": 1,
        "histogram": {"<=16": 1, "<=32": 1, ">1024": 1},
    }
    assert numbers["grid_ceiling"] == pytest.approx(1.0)
    assert numbers["languages"] == {"en": 2, "zh": 1}
    assert numbers["classes"] == {
        "cat": {"found": 2, "not_found": 0, "boxes": 65},
        "dog": {"found": 0, "not_found": 1, "boxes": 0},
    }


def test_groups_and_the_words_between_them_count() -> None:
    two = sample(0, [[1.0, 1.0, 9.0, 9.0]] * 2, category="cat")
    text = write_boxes([[1.0, 1.0, 9.0, 9.0]], (1000, 1000)).text
    assert label_tokens(replace(two, label=f"cat: {text}; dog: {text}")) == 2 * 17 + 1 + 4  # twelve Latin characters


def test_samples_that_ask_for_no_box_are_neither_found_nor_not_found() -> None:
    numbers = describe([replace(sample(0, [], category="cat"), boxes=None, label="Yes.", task="presence")])
    assert (numbers["found"], numbers["not_found"], numbers["classes"]) == (0, 0, {})
    assert numbers["tasks"] == {"presence": 1}


def test_an_empty_split() -> None:
    numbers = describe([])
    assert numbers["grid_ceiling"] is None
    assert numbers["label_tokens"]["max"] == 0
