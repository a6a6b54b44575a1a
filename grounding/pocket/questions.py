"""Drawn scenes to samples: what is asked about each, in English and Chinese, and the true answer.

A generalist's questions: the classes that are there, and as many that are not, most of them near misses. Knows no
model and no file but its own list of nouns.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

from grounding.pocket.scenes import CATEGORIES, COLOURS, SHAPES, Drawn
from grounding.samples import LANGUAGES, Lang, Sample
from grounding.text import (
    NOT_FOUND,
    Wording,
    fill_answer,
    fill_clause,
    fill_prompt,
    load_wordings,
    not_found_clauses,
    pick,
    write_boxes,
)

CHINESE_COLOURS = {
    "red": "红色",
    "orange": "橙色",
    "yellow": "黄色",
    "green": "绿色",
    "blue": "蓝色",
    "purple": "紫色",
    "black": "黑色",
    "white": "白色",
}
CHINESE_SHAPES = {
    "circle": "圆形",
    "ring": "圆环",
    "square": "方块",
    "triangle": "三角形",
    "diamond": "菱形",
    "star": "星星",
    "cross": "十字",
    "heart": "爱心",
}
CLAUSE_SHARE = 0.5
"""Of the prompts that say what to answer when there is nothing."""
BARE: dict[Lang, tuple[Wording, ...]] = {
    "en": (Wording("{phrase}"), Wording("Where is {phrase}?"), Wording("Find {phrase}.")),
    "zh": (Wording("{phrase}"), Wording("{phrase}在哪里？"), Wording("查找{phrase}。")),
}
"""Hardly more than the phrase: most of what a short prompt costs is its answer."""


class Question(NamedTuple):
    """A class, or a colour or shape alone, asked for in a language; `foreign` is a noun that no scene shows."""

    category: str
    lang: Lang
    foreign: bool = False


@cache
def nouns() -> tuple[tuple[str, str], ...]:
    """Things that no scene shows, as (English, Chinese)."""
    text = (resources.files(__package__) / "nouns.txt").read_text(encoding="utf-8")
    pairs = (line.split("\t") for line in text.splitlines() if line and not line.startswith("#"))
    return tuple((english, chinese) for english, chinese in pairs)


class Asking(NamedTuple):
    """How scenes are asked about.

    Attributes:
        present: questions a scene about what is there; None: every class once.
        absent: about what is not there; None: as many as about what is there.
        bare: in few and short wordings only, instead of all that `grounding convert` draws from.
        one_word: ask for a colour or a shape alone, instead of classes and nouns.
    """

    present: int | None = None
    absent: int | None = None
    bare: bool = False
    one_word: bool = False


def phrase_of(question: Question) -> str:
    """What the class is called in the question's language."""
    if question.foreign:
        return dict(nouns())[question.category] if question.lang == "zh" else question.category
    if question.lang == "en":
        return question.category
    return "".join((CHINESE_COLOURS | CHINESE_SHAPES)[word] for word in question.category.split(" "))


def is_one(drawn: Drawn, category: str) -> bool:
    """Whether an object is of a class, or has the colour or shape."""
    return set(category.split(" ")) <= set(drawn.category.split(" "))


def present_questions(there: Iterable[str], rng: random.Random, count: int) -> list[Question]:
    """`count` questions for what is there, each class (or word) as often as any other, its language alternating."""
    classes = sorted(there)
    rng.shuffle(classes)
    first = {category: rng.randrange(len(LANGUAGES)) for category in classes}
    return [
        Question(category, LANGUAGES[(first[category] + number // len(classes)) % len(LANGUAGES)])
        for number, category in ((number, classes[number % len(classes)]) for number in range(count))
    ]


def absent_questions(objects: Sequence[Drawn], rng: random.Random, count: int) -> list[Question]:
    """`count` different questions for what is not there: of four, two are near misses (the colour or the shape of an
    object, not both), one is any class, one a noun from outside."""
    there = {drawn.category for drawn in objects}
    asked: dict[Question, None] = {}
    while len(asked) < count:
        lang = LANGUAGES[rng.randrange(len(LANGUAGES))]
        kind = len(asked) % 4
        if kind == 3:
            asked[Question(rng.choice(nouns())[0], lang, foreign=True)] = None
            continue
        colour, shape = (rng.choice(sorted(there)) if kind < 2 else rng.choice(CATEGORIES)).split(" ")
        if kind == 0:
            colour = rng.choice(sorted(COLOURS))
        elif kind == 1:
            shape = rng.choice(sorted(SHAPES))
        if f"{colour} {shape}" not in there:
            asked[Question(f"{colour} {shape}", lang)] = None
    return list(asked)


def absent_words(there: set[str], rng: random.Random, count: int) -> list[Question]:
    """`count` questions for colours and shapes that nothing has."""
    absent = sorted({*COLOURS, *SHAPES} - there)
    return [Question(word, LANGUAGES[rng.randrange(len(LANGUAGES))]) for word in rng.sample(absent, count)]


def samples_of(
    objects: Sequence[Drawn], size_wh: tuple[int, int], image: str, rng: random.Random, way: Asking
) -> Iterator[Sample]:
    """The samples about a scene of these objects, `image` being its file."""
    there = {drawn.category for drawn in objects}
    if way.one_word:
        there = {word for category in there for word in category.split(" ")}
    questions = present_questions(there, rng, len(there) if way.present is None else way.present)
    absent = len(questions) if way.absent is None else way.absent
    questions += absent_words(there, rng, absent) if way.one_word else absent_questions(objects, rng, absent)
    for number, question in enumerate(questions):
        wordings, clauses = _wordings(question.lang)
        wording = pick(BARE[question.lang] if way.bare else wordings, rng)
        clause = pick(clauses, rng) if rng.random() < CLAUSE_SHARE and not way.bare else None
        yield _sample(f"{image}#{number}", objects, size_wh, image, question, wording, clause)


@cache
def _wordings(lang: Lang) -> tuple[tuple[Wording, ...], tuple[str, ...]]:
    return load_wordings("phrase_to_boxes", lang), not_found_clauses(lang)


def _sample(
    name: str,
    objects: Sequence[Drawn],
    size_wh: tuple[int, int],
    image: str,
    question: Question,
    wording: Wording,
    clause: str | None,
) -> Sample:
    phrase = phrase_of(question)
    boxes = [list(map(float, drawn.xyxy_px)) for drawn in objects if is_one(drawn, question.category)]
    label = NOT_FOUND[question.lang]
    if boxes:
        label = fill_answer(wording, phrase, write_boxes(boxes, size_wh).text)
    return Sample(
        id=name,
        image=image,
        width=size_wh[0],
        height=size_wh[1],
        prompt=fill_prompt(wording, phrase, clause and fill_clause(clause, NOT_FOUND[question.lang])),
        label=label,
        phrase=phrase,
        category=question.category,
        boxes=boxes,
        lang=question.lang,
    )
