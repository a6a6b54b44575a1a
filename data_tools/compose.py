"""Questions -> samples: the wording, the label, the truth in pixels. Knows no file but template files.

Language, wording, name and whether the prompt carries the not-found clause are drawn from (seed, image, class) alone,
before it is looked at whether the class is there: a prompt never tells the answer.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple, cast

from data_tools.entries import phrase_of
from data_tools.names import ClassNames, names_in
from data_tools.records import Finding, Record, Tally
from data_tools.selection import Question
from grounding.errors import InputError
from grounding.samples import LANGUAGES, Lang, Sample, Task
from grounding.text import (
    Wording,
    fill_answer,
    fill_prompt,
    is_not_found,
    load_wordings,
    not_found_clauses,
    pick,
    read_boxes,
    write_boxes,
)

TASK: Task = "phrase_to_boxes"
CLAUSE_SHARE = 0.5  # of the prompts, found and not found alike, that say what to answer when there is nothing


class Language(NamedTuple):
    """What there is to say in a language."""

    lang: Lang
    wordings: tuple[Wording, ...]
    clauses: tuple[str, ...]
    not_found: str


def load_languages(
    langs: Sequence[str], not_found: Mapping[str, str], templates: Mapping[str, Path]
) -> tuple[Language, ...]:
    """The languages to draw from, in the order given, with the user's template files where there are some.

    Raises InputError for an unknown language, a bad template file, or a not-found sentence that is not one.
    """
    unknown = [lang for lang in (*langs, *templates) if lang not in LANGUAGES]
    if unknown or not langs:
        raise InputError(
            f"{', '.join(unknown) or 'no language'} given; there are {', '.join(LANGUAGES)}", where="--lang"
        )
    unused = sorted(set(templates) - set(langs))
    if unused:
        raise InputError(
            f"a file for {', '.join(unused)} is given, but --lang is {','.join(langs)}", where="--templates"
        )
    for lang, sentence in not_found.items():
        # With a word behind it, it is not read as the sentence, so that what else is in it shows.
        found = [refusal.reason for refusal in read_boxes(f"{sentence} x").refusals]
        if found != ["no_box"] or not is_not_found(sentence, {lang: sentence}):
            raise InputError(
                f"{sentence!r} is no sentence to say that nothing was found: it has boxes in it, or no letter",
                where=f"--not-found-{lang}",
            )
    return tuple(_load_language(cast(Lang, lang), not_found, templates.get(lang)) for lang in dict.fromkeys(langs))


def _load_language(lang: Lang, not_found: Mapping[str, str], file: Path | None) -> Language:
    wordings = load_wordings(TASK, lang, file)
    for wording in wordings:
        if not _reads_back(wording, "object", tuple(sorted(not_found.items()))):
            raise InputError(
                f"the answer {wording.answer!r} holds a not-found sentence ({', '.join(not_found.values())})",
                where=f"--not-found-{lang}",
                fix="Choose a sentence that no answer holds.",
            )
    return Language(lang, wordings, not_found_clauses(lang), not_found[lang])


def compose(
    questions: Iterable[Question],
    languages: Sequence[Language],
    not_found: Mapping[str, str],
    seed: int,
    names: ClassNames | None = None,
    advance: Callable[[], None] = lambda: None,
) -> tuple[list[Sample], Tally]:
    """One sample for each question, in order; one whose label would not read back is refused.

    Args:
        questions: found and not found.
        languages: to draw from, out of `load_languages`.
        not_found: sentence by language, all that an answer may be read with.
        seed: of the wordings.
        names: what classes are called; the class name itself where it says nothing.
        advance: called for each question.
    """
    samples: list[Sample] = []
    findings: list[Finding] = []
    for record, category, present in questions:
        advance()
        language, wording, clause = draw_wording(languages, seed, record.name, phrase_of(category))
        phrase = draw_name(category, language.lang, names or {}, seed, record.name)
        if not _reads_back(wording, phrase, tuple(sorted(not_found.items()))):
            findings.append(Finding("class_unwritable", record.place, f"{category} in {wording.answer!r}"))
            continue
        boxes = _boxes(record, category, ignored=False) if present else []
        label = language.not_found
        if present:
            assert record.size_wh is not None  # settled by the check of the images
            written = write_boxes(boxes, record.size_wh)
            label = fill_answer(wording, phrase, written.text)
            findings += [Finding("widened", record.place, f"{category} in {record.name}")] * written.widened
        samples.append(
            _sample(
                record,
                category,
                phrase,
                language.lang,
                fill_prompt(wording, phrase, clause, language.not_found),
                label,
                boxes,
            )
        )
    return samples, Tally.of(findings)


def draw_wording(
    languages: Sequence[Language], seed: int, image: str, phrase: str
) -> tuple[Language, Wording, str | None]:
    """Language, wording and clause (or None) of a prompt: a function of (seed, image, phrase) and nothing else."""
    rng = random.Random(f"{seed}|{image}|{phrase}")
    language = pick(languages, rng)
    wording = pick(language.wordings, rng)
    clause = pick(language.clauses, rng)
    return language, wording, clause if rng.random() < CLAUSE_SHARE else None


def draw_name(category: str, lang: Lang, names: ClassNames, seed: int, image: str) -> str:
    """What the class is called in a prompt: a function of (seed, image, class, language) and nothing else."""
    choices = names_in(category, lang, names)
    return choices[0] if len(choices) == 1 else pick(choices, random.Random(f"{seed}|{image}|{category}|name"))


@cache
def _reads_back(wording: Wording, phrase: str, not_found: tuple[tuple[str, str], ...]) -> bool:
    """Whether an answer with this phrase in it reads back as its one box: a phrase may itself look like boxes."""
    box = write_boxes([[0, 0, 1, 1]], (1, 1)).text
    reading = read_boxes(fill_answer(wording, phrase, box), dict(not_found))
    return len(reading.xyxy_grid) == 1 and not reading.refusals


def _boxes(record: Record, category: str, *, ignored: bool) -> list[list[float]]:
    """The boxes of a class in an image, in the order of the annotations: those asked for, or those to ignore."""
    return [
        list(annotation.xyxy_px)
        for annotation in record.annotations
        if annotation.category == category and (annotation.ignore is not None) == ignored
    ]


def _sample(
    record: Record, category: str, phrase: str, lang: Lang, prompt: str, label: str, boxes: list[list[float]]
) -> Sample:
    assert record.size_wh is not None  # settled by the check of the images
    return Sample(
        id=f"{record.name}#{category}",
        image=record.name,
        width=record.size_wh[0],
        height=record.size_wh[1],
        prompt=prompt,
        label=label,
        phrase=phrase,
        category=category,
        boxes=boxes,
        ignore=_boxes(record, category, ignored=True),
        task=TASK,
        lang=lang,
        upright=record.upright,
    )
