"""How a question is put: language, wording, clause and name, drawn before it is looked at what is true.

Knows wordings and names of classes; it does not know what is in an image. Everything is drawn from (seed, image, what
is asked) alone: a prompt never tells the answer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import NamedTuple, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from data_tools.draws import digests_of, number_of, pick_by, remainders
from data_tools.entries import lang_of, phrase_of
from data_tools.names import ClassNames, names_in
from grounding.errors import InputError
from grounding.samples import LANGUAGES, Lang, Task
from grounding.text import (
    FORMS,
    Wording,
    fill_answer,
    fill_clause,
    is_not_found,
    load_wordings,
    not_found_clauses,
    read_boxes,
    write_boxes,
)

TASK: Task = "phrase_to_boxes"
_ONE_BOX = write_boxes([[0, 0, 1, 1]], (1, 1)).text


class Language(NamedTuple):
    """What there is to say in a language; `ways` are each wording with each clause, and as often without one.

    A clause says what to answer when there is nothing, which half of all prompts do, found and not found alike; the
    not-found sentence is filled in.
    """

    lang: Lang
    wordings: tuple[Wording, ...]
    ways: tuple[tuple[Wording, str | None], ...]
    not_found: str


class Voice(NamedTuple):
    """All that wordings of a task are drawn from, and all that an answer may be read with."""

    languages: tuple[Language, ...]
    not_found: Mapping[str, str]
    seed: int
    names: ClassNames


class Drawn(msgspec.Struct, frozen=True, gc=False):
    """How one question is put; `name` is what its class is called."""

    language: Language
    wording: Wording
    clause: str | None
    name: str


def load_languages(
    langs: Sequence[str], not_found: Mapping[str, str], templates: Mapping[str, Path], task: Task = TASK
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
    return tuple(
        _load_language(cast(Lang, lang), not_found, task, templates.get(lang)) for lang in dict.fromkeys(langs)
    )


def _load_language(lang: Lang, not_found: Mapping[str, str], task: Task, file: Path | None) -> Language:
    wordings = load_wordings(task, lang, file)
    for wording in wordings:
        if "{boxes}" in wording.answer and not _reads_back(wording.answer, "object", tuple(not_found.items())):
            raise InputError(
                f"the answer {wording.answer!r} holds a not-found sentence ({', '.join(not_found.values())})",
                where=f"--not-found-{lang}",
                fix="Choose a sentence that no answer holds.",
            )
    ends = [end for clause in not_found_clauses(lang) for end in (fill_clause(clause, not_found[lang]), None)]
    return Language(lang, wordings, tuple(product(wordings, ends)), not_found[lang])


def templates_of(templates: Mapping[str, Path], task: Task) -> dict[str, Path]:
    """Language -> file, of the templates for a task: those named TASK:LANG; LANG alone is for `phrase_to_boxes`."""
    named = [(key if ":" in key else f"{TASK}:{key}", file) for key, file in templates.items()]
    return {key.removeprefix(f"{task}:"): file for key, file in named if key.startswith(f"{task}:")}


def check_templates(templates: Mapping[str, Path], tasks: Collection[str]) -> None:
    """Raises InputError where a file of wordings is for a task that is not asked for."""
    for key in templates:
        task = key.rpartition(":")[0] or TASK
        if task not in tasks:
            raise InputError(f"these wordings are for {task}, which is not asked for", where="--templates")


def answer_templates(voices: Mapping[Task, Voice], templates: Mapping[str, Path]) -> dict[str, list[str]]:
    """What labels with one group of boxes may be made from, each template once: what a constrained answer may be.

    By language for `phrase_to_boxes`; by TASK:LANG for other tasks, where their wordings are the user's own.
    """
    answers: dict[str, list[str]] = {}
    for task, voice in voices.items():
        own = templates_of(templates, task)
        for one in voice.languages:
            if task == TASK or (one.lang in own and FORMS[task].answer == FORMS[TASK].answer):
                key = one.lang if task == TASK else f"{task}:{one.lang}"
                answers[key] = list(dict.fromkeys(wording.answer for wording in one.wordings))
    return answers


def draw(voice: Voice, image: str, category: str, task: Task = TASK, detail: str | int = "") -> Drawn:
    """How a question about a class in an image is put."""
    phrase = phrase_of(category)
    about = phrase if task == TASK else f"{phrase}|{task}|{detail}"
    language, wording, clause = draw_wording(voice.languages, voice.seed, image, about)
    named = draw_name(category, language.lang, voice.names, voice.seed, image) if voice.names else phrase
    return Drawn(language, wording, clause, named)


def draw_for_phrase(voice: Voice, image: str, phrase: str) -> Drawn:
    """How a phrase of the annotations is put: in its own language, where that is one of those to draw from."""
    own = lang_of(phrase)
    languages = [language for language in voice.languages if language.lang == own] or voice.languages
    return Drawn(*draw_wording(languages, voice.seed, image, phrase), phrase)


def draw_wording(
    languages: Sequence[Language], seed: int, image: str, phrase: str
) -> tuple[Language, Wording, str | None]:
    """Language, wording and clause (or None) of a prompt: a function of (seed, image, phrase) and nothing else."""
    left, place = divmod(number_of(f"{seed}|{image}|{phrase}"), len(languages))
    language = languages[place]
    wording, clause = language.ways[left % len(language.ways)]
    return language, wording, clause


def draw_ways(
    voice: Voice, images: Sequence[str], phrases: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What `draw_wording` draws of many (image, phrase): the place of the language among those of the voice, int64[N],
    and the place of wording and clause among its ways, int64[N].
    """
    languages, seed = voice.languages, voice.seed
    numbers = digests_of([f"{seed}|{image}|{phrase}" for image, phrase in zip(images, phrases, strict=True)])
    which = remainders(numbers, len(languages))
    ways = np.zeros_like(which)
    for place, language in enumerate(languages):
        own = remainders(numbers, len(languages) * len(language.ways)) // len(languages)
        ways = np.where(which == place, own, ways)
    return which, ways


def draw_name(category: str, lang: Lang, names: ClassNames, seed: int, image: str | None) -> str:
    """What the class is called in a prompt: a function of (seed, image, class, language); its first name without image.

    The first name is for answers, which have one right form.
    """
    choices = names_in(category, lang, names)
    return choices[0] if image is None else pick_by(f"{seed}|{image}|{category}|name", choices)


def reads_back(wording: Wording, phrase: str, not_found: Mapping[str, str]) -> bool:
    """Whether an answer with this phrase in it reads back as its one box: a phrase may itself look like boxes."""
    if "{phrase}" not in wording.answer:
        return True  # that was seen when it was loaded
    return _reads_back(wording.answer, phrase, tuple(not_found.items()))


@lru_cache(maxsize=1 << 16)
def _reads_back(answer: str, phrase: str, not_found: tuple[tuple[str, str], ...]) -> bool:
    reading = read_boxes(fill_answer(Wording("", answer), phrase, _ONE_BOX), dict(not_found))
    return len(reading.xyxy_grid) == 1 and not reading.refusals
