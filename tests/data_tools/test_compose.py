"""Questions become samples: wordings drawn before the truth is looked at, labels that read back, truth in pixels."""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from data_tools.absence import Absent
from data_tools.compose import compose
from data_tools.records import Record
from data_tools.selection import Question, select
from data_tools.stats import BUDGET
from data_tools.wording import Language, Voice, draw_ways, draw_wording, load_languages
from grounding.errors import InputError
from grounding.samples import Sample, Task
from grounding.text import NOT_FOUND, read_boxes, to_pixels
from tests.data_tools.annotated import SIZE, box, record

BOTH = load_languages(("en", "zh"), NOT_FOUND, {})


def spoken(languages: tuple[Language, ...] = BOTH, not_found: dict[str, str] = NOT_FOUND) -> dict[Task, Voice]:
    return {"phrase_to_boxes": Voice(languages, not_found, 0, {})}


def one(image: Record, category: str, present: bool = True, **more: dict[str, str]) -> Sample:
    (sample,), _ = compose([Question(image, category, present)], spoken(BOTH, more.get("not_found", NOT_FOUND)))
    return sample


def test_a_found_sample() -> None:
    image = record(
        "a/b.png",
        box("red_car", 1, 2, 9.5, 8),
        box("dog"),
        box("red_car", 0, 0, 4, 4),
        box("red_car", 5, 5, 6, 6, ignore="crowd"),
        upright=True,
    )
    sample = one(image, "red_car")
    assert (sample.id, sample.image, sample.width, sample.height) == ("a/b.png#red_car", "a/b.png", *SIZE)
    assert (sample.phrase, sample.category, sample.task, sample.upright) == (
        "red car",
        "red_car",
        "phrase_to_boxes",
        True,
    )
    assert sample.boxes == [[1, 2, 9.5, 8], [0, 0, 4, 4]]
    assert sample.ignore == [[5, 5, 6, 6]]
    assert "red car" in sample.prompt
    reading = read_boxes(sample.label)
    assert not reading.refusals
    assert np.allclose(np.sort(to_pixels(reading.xyxy_grid, SIZE), axis=0), np.sort(sample.boxes, axis=0), atol=0.05)


def test_a_not_found_sample() -> None:
    sample = one(record("a.png"), "cat", present=False)
    assert sample.boxes == [] == sample.ignore
    assert sample.label == NOT_FOUND[sample.lang]
    assert read_boxes(sample.label).not_found


def test_the_wording_is_a_function_of_seed_image_and_phrase() -> None:
    draws = {draw_wording(BOTH, 0, "a.png", "cat") for _ in range(5)}
    assert len(draws) == 1
    many = [draw_wording(BOTH, 0, f"{number}.png", "cat") for number in range(2000)]
    assert len({wording for _, wording, _ in many}) == sum(len(language.wordings) for language in BOTH)
    assert 900 < sum(clause is not None for _, _, clause in many) < 1100
    assert 900 < sum(language.lang == "zh" for language, _, _ in many) < 1100
    assert all(wording in language.wordings for language, wording, _ in many)
    names = [f"{number}.png" for number in range(2000)]
    places, ways = draw_ways(Voice(BOTH, NOT_FOUND, 0, {}), names, ["cat"] * len(names))
    assert many == [(BOTH[place], *BOTH[place].ways[way]) for place, way in zip(places, ways, strict=True)]
    image = record("a.png", box("cat"))
    found, absent = one(image, "cat"), one(image, "cat", present=False)
    assert (found.prompt, found.lang) == (absent.prompt, absent.lang)


def test_sentences_of_the_users_own(tmp_path: Path) -> None:
    sentences = {"en": "Nothing here.", "zh": "没有"}
    languages = load_languages(("zh",), sentences, {})
    samples, _ = compose([Question(record(f"{n}.png"), "cat", False) for n in range(60)], spoken(languages, sentences))
    assert {sample.label for sample in samples} == {"没有"}
    clauses = [sample.prompt for sample in samples if "没有" in sample.prompt]
    assert clauses
    file = tmp_path / "mine.txt"
    file.write_text("Box every {phrase}. => Here: {boxes}\n", encoding="utf-8")
    languages = load_languages(("en",), NOT_FOUND, {"en": file})
    (sample,), _ = compose([Question(record("a", box("cat")), "cat", True)], spoken(languages))
    assert sample.prompt.startswith("Box every cat.")
    assert sample.label.startswith("Here: [[")


@pytest.mark.parametrize(
    ("langs", "not_found", "templates", "told"),
    [
        (("de",), NOT_FOUND, {}, "there are en, zh"),
        ((), NOT_FOUND, {}, "no language"),
        (("en",), NOT_FOUND, {"zh": Path("x")}, "a file for zh"),
        (("en",), {"en": "[[000,000,001,001]]", "zh": "无"}, {}, "has boxes in it"),
        (("en",), {"en": "...", "zh": "无"}, {}, "no letter"),
        (("en",), {"en": "the image", "zh": "无"}, {}, "holds a not-found sentence"),
        (("en",), NOT_FOUND, {"en": Path("nowhere.txt")}, "nowhere.txt"),
    ],
)
def test_what_cannot_be_said_is_told(
    langs: tuple[str, ...], not_found: dict[str, str], templates: dict[str, Path], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        load_languages(langs, not_found, templates)


def test_a_class_that_looks_like_boxes_is_refused_found_or_not() -> None:
    names = ["[[000,000,001,001]]", "say No matching object was found"]
    questions = [
        Question(record(f"{n}.png", box(name)), name, present)
        for n in range(60)
        for name in names
        for present in (True, False)
    ]
    samples, tally = compose(questions, spoken())
    assert len(samples) + tally.counts["class_unwritable"] == len(questions)
    assert 0 < tally.counts["class_unwritable"] < len(questions)
    assert sum(bool(sample.boxes) for sample in samples) * 2 == len(samples)
    assert all(not read_boxes(sample.label).refusals for sample in samples)


def test_widened_boxes_are_counted() -> None:
    image = record("a.png", box("cat", 1, 1, 1.001, 9), box("cat", 1, 1, 9, 9), size_wh=(4000, 3000))
    (sample,), tally = compose([Question(image, "cat", True)], spoken())
    assert dict(tally.counts) == {"widened": 1}
    assert sample.boxes is not None
    assert sample.boxes[0] == [1, 1, 1.001, 9]


def words(sample: Sample) -> set[str]:
    """What a reader of the prompt sees with the phrase masked: words and pairs of them, language, length."""
    masked = sample.prompt.replace(sample.phrase or "", "PHRASE")
    tokens = re.findall(r"[A-Za-z]+|\S", masked)
    pairs = (f"{a} {b}" for a, b in itertools.pairwise(tokens))
    return {*tokens, *pairs, sample.lang, f"length {len(masked)}"}


def test_presence_cannot_be_told_from_the_prompt() -> None:
    """A naive Bayes classifier over the masked prompt, trained on one half, is at chance on the other."""
    rng = random.Random(3)
    names = [f"thing_{number}" for number in range(20)]
    records = [
        record(
            f"{number}.png",
            *(box(name, 1, 1, 5 + rng.random() * 30, 20) for name in names if rng.random() < 0.3),
            looked_for=frozenset(names),
        )
        for number in range(1000)
    ]
    absent = Absent(records)
    selected, _ = select(records, absent, 1.0, "0|train")
    samples, _ = compose(selected.questions, spoken())
    rng.shuffle(samples)
    truth = np.array([bool(sample.boxes) for sample in samples])
    seen = [words(sample) for sample in samples]
    half = len(samples) // 2
    assert half > 5000
    counts = {
        side: Counter(w for s, t in zip(seen[:half], truth[:half], strict=True) if t == side for w in s)
        for side in (True, False)
    }
    totals = {side: int((truth[:half] == side).sum()) for side in (True, False)}

    def score(features: set[str]) -> float:
        return sum(
            np.log((counts[True][w] + 1) / (totals[True] + 2)) - np.log((counts[False][w] + 1) / (totals[False] + 2))
            for w in features
        )

    def area_under_curve(scores: np.ndarray, labels: np.ndarray) -> float:
        ranks = scores.argsort().argsort() + 1
        positive = labels.sum()
        return float((ranks[labels].sum() - positive * (positive + 1) / 2) / (positive * (~labels).sum()))

    scores = np.array([score(features) for features in seen[half:]])
    assert abs(area_under_curve(scores, truth[half:]) - 0.5) < 0.025  # 4 standard errors of 6000 against 6000
    # The same classifier does find a prompt that tells: it is not blind.
    told = [s | {"TOLD"} if t and rng.random() < 0.3 else s for s, t in zip(seen, truth, strict=True)]
    counts = {
        side: Counter(w for s, t in zip(told[:half], truth[:half], strict=True) if t == side for w in s)
        for side in (True, False)
    }
    assert area_under_curve(np.array([score(features) for features in told[half:]]), truth[half:]) > 0.6


def crowded(boxes: int) -> Record:
    return record("a.png", *(box("cat", n, n % 7, n + 1.5, n % 7 + 2) for n in range(boxes)), size_wh=(100, 30))


STEPS: dict[Task, Voice] = {
    task: Voice(load_languages(("en",), NOT_FOUND, {}, task), NOT_FOUND, 0, {})
    for task in ("phrase_to_boxes", "all_to_boxes", "next_box")
}


def test_an_answer_beyond_the_budget_is_refused_and_counted_never_cut() -> None:
    questions = [Question(crowded(10), "cat", True), Question(record("b.png", box("cat")), "cat", True)]
    samples, tally = compose(questions, spoken(), 100)
    assert [sample.image for sample in samples] == ["b.png"]
    assert dict(tally.counts) == {"answer_too_long": 1}
    samples, tally = compose(questions, spoken(), 1000)
    assert len(samples) == 2 and not tally.counts


@pytest.mark.parametrize("task", ["phrase_to_boxes", "all_to_boxes"])
def test_with_steps_it_is_split_into_them(task: Task) -> None:
    image = crowded(5)
    first = Question(image, "cat", True, "next_box", 0)
    asked = Question(image, "cat" if task == "phrase_to_boxes" else "", True, task)
    samples, tally = compose([asked, first], STEPS, 80)
    assert [sample.id for sample in samples] == [f"a.png#next_box#cat#{n}" for n in range(6)]
    assert [box for sample in samples for box in sample.boxes or []] != []
    assert sum(len(sample.boxes or []) for sample in samples) == 5
    assert dict(tally.counts) == {"answer_split": 1}


def test_steps_whose_prompt_would_be_too_long_are_counted() -> None:
    samples, tally = compose([Question(crowded(10), "cat", True)], STEPS, 80)
    assert [sample.id for sample in samples] == [f"a.png#next_box#cat#{n}" for n in range(6)]
    assert dict(tally.counts) == {"answer_split": 1, "given_too_long": 5}


def test_without_a_budget_steps_still_end_where_a_prompt_would_be_too_long() -> None:
    step = Question(crowded(70), "cat", True, "next_box", BUDGET // 16)
    samples, tally = compose([step, replace(step, detail=BUDGET // 16 + 1)], STEPS)
    assert len(samples) == 1
    assert dict(tally.counts) == {"given_too_long": 1}


def test_what_cannot_be_asked_in_steps_is_refused() -> None:
    image = record("a.png", *crowded(10).annotations, box("cat", 50, 20, 60, 29, ignore="crowd"), size_wh=(100, 30))
    samples, tally = compose([Question(image, "cat", True)], STEPS, 80)
    assert not samples
    assert dict(tally.counts) == {"answer_too_long": 1}
