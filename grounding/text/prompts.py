"""Wordings from template files: pick one with the caller's generator and fill it. Knows no image, no truth, no tokens.

A template file is UTF-8 text with one wording a line, `prompt => answer`. Which placeholders the two hold depends on
the task (`FORMS`): a `phrase_to_boxes` prompt holds `{phrase}` once or more; its answer holds `{boxes}` once, may hold
`{phrase}`, and is `{boxes}` where it is left out. Blank lines and lines that start with `#` are passed over. The answer
belongs to its prompt, so a prompt never leaves the style of its answer to chance. What is filled in is never read as a
template again.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple, TypeVar

from grounding.errors import InputError
from grounding.text.grammar import read_boxes, write_boxes

LANGUAGES = ("en", "zh")
PLAIN_ANSWER = "{boxes}"
EITHER = " | "  # parts the answer for present from that for absent in a `presence` wording


class Form(NamedTuple):
    """Which placeholders the wordings of a task hold.

    Attributes:
        prompt: each stands in the prompt, once or more.
        answer: each stands in the answer exactly once.
        may: allowed in the answer.
        plain: the answer of a line that has none; None where each line needs one.
    """

    prompt: tuple[str, ...] = ("phrase",)
    answer: tuple[str, ...] = ("boxes",)
    may: tuple[str, ...] = ("phrase",)
    plain: str | None = PLAIN_ANSWER


FORMS: dict[str, Form] = {
    "phrase_to_boxes": Form(),
    "phrase_to_box": Form(),
    "all_to_boxes": Form(prompt=(), answer=("phrase", "boxes"), may=(), plain=None),  # the answer is that of a class
    "next_box": Form(prompt=("phrase", "boxes")),
    "box_to_phrase": Form(prompt=("boxes",), answer=("phrase",), may=(), plain="{phrase}"),
    "presence": Form(answer=(), plain=None),
}
NO_MORE: dict[str, str] = {"en": "There are no more.", "zh": "没有更多了。"}  # ends the steps of `next_box`
NONE_YET: dict[str, str] = {"en": "none", "zh": "无"}  # stands for the boxes given, before the first is

_CLAUSE = "not_found_clause"
_PLACEHOLDER = re.compile(r"\{(phrase|boxes|not_found)\}")
# Latin sentences are parted by a space, Chinese ones by nothing.
_JOINT = {"en": " ", "zh": ""}
_BETWEEN_CLASSES = {"en": "; ", "zh": "；"}

T = TypeVar("T")


class Wording(NamedTuple):
    """One way to ask, and the way to answer that it asks for."""

    prompt: str
    answer: str = PLAIN_ANSWER


def tasks() -> tuple[str, ...]:
    """The tasks that have wordings in this package, sorted."""
    return tuple(sorted(FORMS))


def load_wordings(task: str, lang: str, file: Path | None = None) -> tuple[Wording, ...]:
    """The wordings of a task in a language, in the order of their file.

    Args:
        task: a name out of `tasks()`.
        lang: "en" or "zh".
        file: a template file of the user's own, read in place of the packaged one.

    Raises:
        InputError: there is no such task or language; the file cannot be read; a line is wrong, told with its number.
    """
    _check(task, tasks(), "task")
    _check(lang, LANGUAGES, "language")
    name, text = read_template(f"{task}.{lang}.txt", file)
    wordings = tuple(_parse(line, f"{name}:{number}", task) for number, line in lines_of(text))
    if not wordings:
        raise InputError("there is no wording in this file; one a line, `prompt => answer`, is needed", where=name)
    return wordings


def not_found_clauses(lang: str) -> tuple[str, ...]:
    """Sentences to put behind a prompt, each saying what to answer when the object is absent.

    Each holds `{not_found}` once, for `fill_clause`, and starts with the space that its language needs.

    Raises:
        InputError: there is no such language.
    """
    _check(lang, LANGUAGES, "language")
    _, text = read_template(f"{_CLAUSE}.{lang}.txt", None)
    return tuple(_JOINT[lang] + line for _, line in lines_of(text))


def pick(choices: Sequence[T], rng: random.Random) -> T:
    """One of the wordings or clauses, drawn evenly by the caller's generator."""
    return rng.choice(choices)


def fill_clause(clause: str, not_found: str) -> str:
    """The sentence of a clause out of `not_found_clauses` that says to answer with this not-found sentence."""
    return clause.replace("{not_found}", not_found)


def fill_prompt(
    wording: Wording,
    phrase: str,
    clause: str | None = None,
    boxes_text: str | None = None,
) -> str:
    """The bare query for a phrase.

    Args:
        wording: out of `load_wordings`.
        phrase: what is asked for, put in as it is, braces and all.
        clause: what `fill_clause` made, to put behind it.
        boxes_text: what the prompt's `{boxes}` stands for, in tasks that ask about boxes.
    """
    if boxes_text is None:
        prompt = wording.prompt.replace("{phrase}", phrase)  # one value: quicker, and in one pass as well
    else:
        prompt = _fill(wording.prompt, phrase=phrase, boxes=boxes_text)
    return prompt if clause is None else prompt + clause


def fill_answer(wording: Wording, phrase: str, boxes_text: str) -> str:
    """The label for a phrase that is there; `boxes_text` is what `write_boxes` wrote."""
    before, behind = around_boxes(wording, phrase)
    return f"{before}{boxes_text}{behind}"


def around_boxes(wording: Wording, phrase: str) -> tuple[str, str]:
    """The words of that label before and behind the boxes."""
    before, behind = _around_boxes(wording.answer)
    return phrase.join(before), phrase.join(behind)


@lru_cache(maxsize=1 << 12)
def _around_boxes(answer: str) -> tuple[list[str], list[str]]:
    """The words before and behind the boxes, each cut where the phrase stands."""
    before, _, after = answer.partition(PLAIN_ANSWER)
    return before.split("{phrase}"), after.split("{phrase}")


def fill_all(wording: Wording, boxes_texts: Mapping[str, str], lang: str) -> str:
    """The `all_to_boxes` label: the answer once for each phrase with its boxes, in the order given."""
    return _BETWEEN_CLASSES[lang].join(fill_answer(wording, phrase, text) for phrase, text in boxes_texts.items())


def fill_presence(wording: Wording, phrase: str, present: bool) -> str:
    """The `presence` label: the one of the wording's two answers that is true."""
    yes, no = wording.answer.split(EITHER)
    return _fill(yes if present else no, phrase=phrase)


def _fill(template: str, **values: str) -> str:
    """The template with its placeholders replaced in one pass, so that no value is looked through for placeholders."""
    parts = list(_split(template))
    parts[1::2] = [values.get(name, f"{{{name}}}") for name in parts[1::2]]
    return "".join(parts)


@lru_cache(maxsize=1 << 12)
def _split(template: str) -> tuple[str, ...]:
    """The words between placeholders and the names of these, in turn; the first and the last are words."""
    return tuple(_PLACEHOLDER.split(template))


def _check(value: str, allowed: Sequence[str], kind: str) -> None:
    if value not in allowed:
        raise InputError(f"there are no wordings for the {kind} {value!r}; there are for {', '.join(allowed)}.")


def read_template(packaged: str, file: Path | None) -> tuple[str, str]:
    """Name and text of a template file: one of this package, or the user's own in its place. Raises InputError."""
    source = file if file is not None else resources.files(__package__) / "templates" / packaged
    name = str(file) if file is not None else packaged
    try:
        return name, source.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"this file is not UTF-8 text ({error}).", where=name, fix="Save it as UTF-8.") from error
    except OSError as error:
        raise InputError(f"the template file cannot be read: {error.strerror or error}.", where=name) from error


def lines_of(text: str) -> Iterator[tuple[int, str]]:
    """Number and text of each line that says something."""
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield number, stripped


def _parse(line: str, where: str, task: str) -> Wording:
    """The wording that a line holds.

    Raises:
        InputError: a placeholder is missing, repeated or unknown, or an answer would not read back as its boxes.
    """
    form = FORMS[task]
    prompt, *rest = (side.strip() for side in line.split("=>"))
    if len(rest) > 1:
        raise InputError("`=>` stands more than once in this line; one parts the prompt from the answer.", where=where)
    if not rest and form.plain is None:
        raise InputError(f"there is no answer; one is needed for {task}, behind `=>`.", where=where)
    wording = Wording(prompt, *(rest or [form.plain or ""]))
    for name in form.prompt:
        if f"{{{name}}}" not in wording.prompt:
            raise InputError(f"the prompt {wording.prompt!r} has no {{{name}}}.", where=where)
    for name in form.answer:
        if wording.answer.count(f"{{{name}}}") != 1:
            raise InputError(f"the answer {wording.answer!r} must have {{{name}}} exactly once.", where=where)
    if task == "presence" and len([side for side in wording.answer.split(EITHER) if side.strip()]) != 2:
        raise InputError(f"the answer {wording.answer!r} must be two, `if present{EITHER}if absent`.", where=where)
    for side, allowed in (("prompt", {*form.prompt}), ("answer", {*form.answer, *form.may})):
        template = getattr(wording, side)
        left_over = re.search(r"\{[^{}]*\}?|\}", _fill(template, **dict.fromkeys(allowed, "")))
        if left_over:
            names = " and ".join(f"{{{name}}}" for name in sorted(allowed)) or "none"
            raise InputError(f"the {side} holds {left_over[0]!r}; the placeholders there are {names}.", where=where)
    if "boxes" in form.answer:
        _check_reads_back(wording, where)
    return wording


def _check_reads_back(wording: Wording, where: str) -> None:
    """The truth of an answer is read back from its text: words that look like boxes or "not found" would spoil it."""
    boxes_text = write_boxes([[0, 0, 1, 1]], (2, 2)).text
    reading = read_boxes(fill_answer(wording, "object", boxes_text))
    if len(reading.xyxy_grid) != 1 or reading.refusals:
        raise InputError(f"the answer {wording.answer!r} does not read back as the boxes put into it.", where=where)
