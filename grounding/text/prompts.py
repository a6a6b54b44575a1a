"""Wordings from template files: pick one with the caller's generator and fill it. Knows no image, no truth, no tokens.

A template file is UTF-8 text with one wording a line, `prompt => answer`; the answer is `{boxes}` where it is left out.
The prompt holds `{phrase}` once or more; the answer holds `{boxes}` once, and may hold `{phrase}`. Blank lines and
lines that start with `#` are passed over. The answer belongs to its prompt, so a prompt never leaves the style of its
answer to chance. What is filled in is never read as a template again.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple, TypeVar

from grounding.errors import InputError
from grounding.text.grammar import read_boxes, write_boxes

LANGUAGES = ("en", "zh")
PLAIN_ANSWER = "{boxes}"

_CLAUSE = "not_found_clause"
_PLACEHOLDER = re.compile(r"\{(phrase|boxes|not_found)\}")
# Latin sentences are parted by a space, Chinese ones by nothing.
_JOINT = {"en": " ", "zh": ""}

T = TypeVar("T")


class Wording(NamedTuple):
    """One way to ask, and the way to answer that it asks for."""

    prompt: str
    answer: str = PLAIN_ANSWER


def tasks() -> tuple[str, ...]:
    """The tasks that have wordings in this package, sorted."""
    names = {item.name.split(".")[0] for item in (resources.files(__package__) / "templates").iterdir()}
    return tuple(sorted(names - {_CLAUSE}))


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
    name, text = _read(f"{task}.{lang}.txt", file)
    wordings = tuple(_parse(line, f"{name}:{number}") for number, line in _lines(text))
    if not wordings:
        raise InputError("there is no wording in this file; one a line, `prompt => answer`, is needed", where=name)
    return wordings


def not_found_clauses(lang: str) -> tuple[str, ...]:
    """Sentences to put behind a prompt, each saying what to answer when the object is absent.

    Each holds `{not_found}` once and starts with the space that its language needs.

    Raises:
        InputError: there is no such language.
    """
    _check(lang, LANGUAGES, "language")
    _, text = _read(f"{_CLAUSE}.{lang}.txt", None)
    return tuple(_JOINT[lang] + line for _, line in _lines(text))


def pick(choices: Sequence[T], rng: random.Random) -> T:
    """One of the wordings or clauses, drawn evenly by the caller's generator."""
    return choices[rng.randrange(len(choices))]


def fill_prompt(wording: Wording, phrase: str, clause: str | None = None, not_found: str | None = None) -> str:
    """The bare query for a phrase.

    Args:
        wording: out of `load_wordings`.
        phrase: what is asked for, put in as it is, braces and all.
        clause: a sentence out of `not_found_clauses` to put behind it.
        not_found: the sentence that the clause's `{not_found}` stands for; may be left out when it is filled already.

    Raises:
        ValueError: the clause holds `{not_found}` and no sentence is given for it.
    """
    prompt = _fill(wording.prompt, phrase=phrase)
    if clause is None:
        return prompt
    if not_found is None and "{not_found}" in clause:
        raise ValueError("the clause holds {not_found}; give the sentence that it stands for")
    return prompt + (clause if not_found is None else _fill(clause, not_found=not_found))


def fill_answer(wording: Wording, phrase: str, boxes_text: str) -> str:
    """The label for a phrase that is there; `boxes_text` is what `write_boxes` wrote."""
    return _fill(wording.answer, phrase=phrase, boxes=boxes_text)


def _fill(template: str, **values: str) -> str:
    """The template with its placeholders replaced in one pass, so that no value is looked through for placeholders."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), template)


def _check(value: str, allowed: Sequence[str], kind: str) -> None:
    if value not in allowed:
        raise InputError(f"there are no wordings for the {kind} {value!r}; there are for {', '.join(allowed)}.")


def _read(packaged: str, file: Path | None) -> tuple[str, str]:
    """Name and text of a template file."""
    source = file if file is not None else resources.files(__package__) / "templates" / packaged
    name = str(file) if file is not None else packaged
    try:
        return name, source.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"this file is not UTF-8 text ({error}).", where=name, fix="Save it as UTF-8.") from error
    except OSError as error:
        raise InputError(f"the template file cannot be read: {error.strerror or error}.", where=name) from error


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Number and text of each line that says something."""
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield number, stripped


def _parse(line: str, where: str) -> Wording:
    """The wording that a line holds.

    Raises:
        InputError: a placeholder is missing, repeated or unknown, or an answer would not read back as its boxes.
    """
    prompt, *rest = (side.strip() for side in line.split("=>"))
    if len(rest) > 1:
        raise InputError("`=>` stands more than once in this line; one parts the prompt from the answer.", where=where)
    wording = Wording(prompt, *rest)
    if "{phrase}" not in wording.prompt:
        raise InputError(f"the prompt {wording.prompt!r} has no {{phrase}}.", where=where)
    if wording.answer.count("{boxes}") != 1:
        raise InputError(f"the answer {wording.answer!r} must have {{boxes}} exactly once.", where=where)
    for side, allowed in (("prompt", {"phrase"}), ("answer", {"phrase", "boxes"})):
        template = getattr(wording, side)
        left_over = re.search(r"\{[^{}]*\}?|\}", _fill(template, **dict.fromkeys(allowed, "")))
        if left_over:
            names = " and ".join(f"{{{name}}}" for name in sorted(allowed))
            raise InputError(f"the {side} holds {left_over[0]!r}; the placeholders there are {names}.", where=where)
    # The truth of an answer is read back from its text: words that look like boxes or like "not found" would spoil it.
    boxes_text = write_boxes([[0, 0, 1, 1]], (2, 2)).text
    reading = read_boxes(fill_answer(wording, "object", boxes_text))
    if len(reading.xyxy_grid) != 1 or reading.refusals:
        raise InputError(f"the answer {wording.answer!r} does not read back as the boxes put into it.", where=where)
    return wording
