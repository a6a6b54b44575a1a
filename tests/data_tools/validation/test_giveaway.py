"""A prompt that tells its answer is found, by what it holds or by how it is worded; an honest one is not accused."""

from __future__ import annotations

from random import Random

import pytest

from data_tools.validation.giveaway import Wordings, holds_its_answer
from grounding.samples import Sample
from grounding.text import NOT_FOUND
from tests.data_tools.inspection.making import ONE_BOX, sample

CLAUSE = f" If there is none, answer: {NOT_FOUND['en']}"


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({}, False),
        ({"prompt": "Where is cat? [[x0,y0,x1,y1]]"}, False),
        ({"prompt": "Is it at [[104,139,417,417]]?"}, True),
        ({"prompt": "Is it at [[001,002,003,004]]?"}, False),
        ({"prompt": "After [[104,139,417,417]], what is next?", "task": "next_box"}, False),
        ({"boxes": None, "task": "box_to_phrase", "prompt": "What is at [[1,2,3,4]]?", "label": "cat"}, False),
        ({"boxes": None, "task": "box_to_phrase", "prompt": "Name the cat.", "label": "cat"}, True),
        ({"boxes": None, "task": "box_to_phrase", "prompt": "Locate it.", "label": "cat"}, False),
        ({"boxes": None, "task": "box_to_phrase", "prompt": "这是猫吗", "label": "猫", "phrase": "猫"}, True),
    ],
)
def test_prompts_that_hold_their_answer(changes: dict[str, object], holds: bool) -> None:
    assert holds_its_answer(sample("a.png", **changes)) == holds  # type: ignore[arg-type]


def asked(number: int, prompt: str, *, present: bool, lang: str = "en") -> Sample:
    category = ("cat", "dog", "steam engine")[number % 3]
    return sample(f"{number}.png", ONE_BOX if present else [], category, prompt=prompt.format(category), lang=lang)


def verdicts(samples: list[Sample]) -> list[tuple[str, str]]:
    wordings = Wordings({})
    for one in samples:
        wordings.add("train", one)
    return [(verdict.where, verdict.feature) for verdict in wordings.verdicts()]


@pytest.mark.parametrize("seed", range(8))
def test_honest_prompts_are_not_accused(seed: int) -> None:
    rng = Random(seed)
    prompts = [
        f"{verb} {{}}{end}" for verb in ("Find", "Where is", "Point out", "Show me") for end in ("", "?", CLAUSE)
    ]
    assert verdicts([asked(n, rng.choice(prompts), present=rng.random() < 0.8) for n in range(600)]) == []


def test_a_clause_for_the_absent_only_is_found() -> None:
    samples = [asked(n, "Find {}." + (CLAUSE if n % 4 == 0 else ""), present=n % 4 != 0) for n in range(200)]
    assert ("train, phrase_to_boxes, en", "the not-found sentence") in verdicts(samples)


def test_a_wording_that_leans_is_found_and_told() -> None:
    rng = Random(0)
    wordings = Wordings({})
    for n in range(600):
        present = rng.random() < 0.7
        wordings.add(
            "val",
            asked(n, rng.choice(["Find {}.", "Spot {}."] if present else ["Find {}.", "Seek {}."]), present=present),
        )
    (worst, *_) = wordings.verdicts()
    assert worst.feature == "the wording" and worst.p < 1e-6
    assert "of the found" in str(worst) and "val, phrase_to_boxes, en" in str(worst)


def test_a_word_that_tells_is_found_where_no_wording_is_frequent() -> None:
    rng = Random(0)
    verbs = [f"verb{n}" for n in range(40)]
    samples = [asked(n, f"{rng.choice(verbs)} {{}}", present=n % 5 != 0) for n in range(150)]
    assert verdicts(samples) == []
    samples += [asked(n, f"{rng.choice(verbs)} {{}}, if at all", present=False) for n in range(30)]
    assert ("train, phrase_to_boxes, en", "the word") in verdicts(samples)


def test_what_cannot_be_parted_from_its_phrase_is_no_wording() -> None:
    """Else a class that is always there would be taken for a way to ask."""
    unnamed = {"phrase": None, "category": None}
    samples = [sample(f"{n}.png", prompt="Find cat.", **unnamed) for n in range(50)]  # type: ignore[arg-type]
    samples += [sample(f"{n}.png", [], prompt="Find dog.", **unnamed) for n in range(50)]  # type: ignore[arg-type]
    assert verdicts(samples) == []


def test_a_language_that_tells_is_found() -> None:
    samples = [asked(n, "{}", present=n % 2 == 0, lang="en" if n % 2 == 0 else "zh") for n in range(100)]
    assert ("train, phrase_to_boxes", "the language") in verdicts(samples)


def test_what_is_too_rare_to_judge_is_left() -> None:
    assert verdicts([asked(n, f"Number {n}: {{}}", present=n % 2 == 0) for n in range(8)]) == []
    assert verdicts([asked(n, "Find {}.", present=True) for n in range(100)]) == []


def test_phrases_of_their_own_for_the_absent_are_no_wording() -> None:
    """That some classes are mostly absent is the data's business, and not the prompt's."""
    samples = [asked(3 * (n % 50) + (n % 2), "Find {}.", present=n % 2 == 0) for n in range(300)]
    assert verdicts(samples) == []
