"""Lines made without samples are those that the writer makes of samples, and all that is told of them is the same."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_tools import compose, plain_lines
from data_tools.records import Finding, Record
from data_tools.selection import Question
from data_tools.stats import Numbers
from data_tools.wording import Language, Voice, load_languages
from grounding.errors import InputError
from grounding.samples import write_samples
from grounding.text import NOT_FOUND, Wording
from tests.data_tools.annotated import box, record

CLASSES = ("red_car", "细胞", 'the "best" \\ one', "[[1,2,3,4]]", "no matching object was found.", "{boxes}", "a\tb")
OWN = (Wording("Find {phrase}, {phrase}.", '{phrase} is at {boxes}, said \\ "I"'), Wording("Wo ist {phrase}?"))
BOTH = load_languages(("en", "zh"), NOT_FOUND, {})
OWN_WORDS = (Language("en", OWN, tuple((wording, None) for wording in OWN), NOT_FOUND["en"]),)
NAMED = {"red_car": {"en": ("red car", 'a "car"'), "zh": ("红车",)}}

names = st.sampled_from(["a.png", "b/c d.jpg", "图.png", 'q"\\.png', "@.png"])
boxes = st.builds(
    lambda name, x, y, w, h, ignore: box(name, x, y, x + w, y + h, ignore=ignore),
    st.sampled_from(CLASSES[:4]),
    st.floats(0, 20),
    st.integers(0, 20),
    st.sampled_from([0.001, 3.3, 10]),
    st.floats(0.01, 9),
    st.sampled_from([None, None, None, "crowd"]),
)


@st.composite
def asked(draw: st.DrawFn) -> list[Question]:
    """Questions about different classes of different images, found and not found."""
    questions = []
    for name in draw(st.lists(names, unique=True, max_size=4)):
        image = record(name, *draw(st.lists(boxes, max_size=6)), upright=draw(st.booleans()))
        there = {annotation.category for annotation in image.annotations if annotation.ignore is None}
        for category in draw(st.lists(st.sampled_from(CLASSES), unique=True)):
            questions.append(Question(image, category, category in there))
    return questions


def by_samples(questions: list[Question], voice: Voice) -> tuple[bytes, dict[str, object], list[Finding]]:
    numbers, findings = Numbers(), list[Finding]()
    samples = list(numbers.count(compose.stream(questions, {"phrase_to_boxes": voice}, findings)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines.jsonl"
        write_samples(path, samples)
        return path.read_bytes(), numbers.described(), findings


def by_lines(questions: list[Question], voice: Voice) -> tuple[bytes, dict[str, object], list[Finding]]:
    numbers, findings, done = Numbers(), list[Finding](), list[int]()
    made = b"".join(plain_lines.lines(questions, voice, numbers, findings, done.append))
    assert sum(done) == len(questions)
    return made, numbers.described(), findings


@pytest.mark.parametrize("languages", [BOTH, OWN_WORDS], ids=["both", "own"])
@pytest.mark.parametrize("called", [{}, NAMED], ids=["plain", "named"])
@settings(max_examples=60, deadline=None)
@given(questions=asked(), seed=st.integers(0, 99))
def test_lines_are_those_of_samples(
    languages: tuple[Language, ...], called: dict[str, dict[str, tuple[str, ...]]], questions: list[Question], seed: int
) -> None:
    voice = Voice(languages, NOT_FOUND, seed, called)
    assert by_lines(questions, voice) == by_samples(questions, voice)


def test_more_questions_than_are_made_at_once() -> None:
    def image(number: int) -> Record:
        return record(f"{number}.png", box("red_car", 1, 2, 3 + number % 7, 9), box("细胞", 0, 0, 5, 5))

    questions = [
        Question(one, category, category != "x")
        for one in map(image, range(plain_lines.TOGETHER))
        for category in ("red_car", "细胞", "x")
    ]
    voice = Voice(BOTH, NOT_FOUND, 0, {})
    made = by_lines(questions, voice)
    assert made == by_samples(questions, voice)
    assert made[0].count(b"\n") == len(questions)


def test_half_a_surrogate_pair_is_refused() -> None:
    half = {"cat": {"en": ("c\ud83d",), "zh": ("c\ud83d",)}}
    with pytest.raises(InputError, match="Unicode"):
        by_lines([Question(record("a.png", box("cat")), "cat", True)], Voice(BOTH, NOT_FOUND, 0, half))
