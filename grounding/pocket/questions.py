"""Drawn scenes to samples: what is asked about each, in English and Chinese, and the true answer.

A generalist's questions: the classes that are there, and as many that are not, most of them near misses. Knows no
model and no file but its own list of nouns.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

from grounding.pocket.scenes import CATEGORIES, COLOURS, SHAPES, Drawn
from grounding.samples import LANGUAGES, Lang, Sample
from grounding.text import (
    NOT_FOUND,
    Wording,
    fill_answer,
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
    """A class asked for in a language; `foreign` is a noun that no scene shows."""

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
    """

    present: int | None = None
    absent: int | None = None
    bare: bool = False


def phrase_of(question: Question) -> str:
    """What the class is called in the question's language."""
    if question.foreign:
        return dict(nouns())[question.category] if question.lang == "zh" else question.category
    colour, shape = question.category.split(" ")
    return CHINESE_COLOURS[colour] + CHINESE_SHAPES[shape] if question.lang == "zh" else question.category


def present_questions(objects: Sequence[Drawn], rng: random.Random, count: int) -> list[Question]:
    """`count` questions for classes that are there, each class as often as any other, its language alternating."""
    classes = sorted({drawn.category for drawn in objects})
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


def samples_of(
    objects: Sequence[Drawn], size_wh: tuple[int, int], image: str, rng: random.Random, way: Asking
) -> Iterator[Sample]:
    """The samples about a scene of these objects, `image` being its file."""
    classes = len({drawn.category for drawn in objects})
    questions = present_questions(objects, rng, classes if way.present is None else way.present)
    questions += absent_questions(objects, rng, len(questions) if way.absent is None else way.absent)
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
    boxes = [list(map(float, drawn.xyxy_px)) for drawn in objects if drawn.category == question.category]
    label = NOT_FOUND[question.lang]
    if boxes:
        label = fill_answer(wording, phrase, write_boxes(boxes, size_wh).text)
    return Sample(
        id=name,
        image=image,
        width=size_wh[0],
        height=size_wh[1],
        prompt=fill_prompt(wording, phrase, clause, NOT_FOUND[question.lang]),
        label=label,
        phrase=phrase,
        category=question.category,
        boxes=boxes,
        lang=question.lang,
    )
