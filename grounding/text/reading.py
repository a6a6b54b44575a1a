"""What an answer says, whatever form its boxes have: the boxes, the sentence "not found", or why it says neither.

Knows the parts of an answer that a form hands over, numbers and sentences; does not know how any form is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from grounding.text.characters import contains, is_blank, plain, squeeze

Box: TypeAlias = tuple[int, int, int, int]

NOT_FOUND: dict[str, str] = {"en": "No matching object was found.", "zh": "未找到指定目标"}

REASONS: dict[str, str] = {
    "count": "not exactly four numbers, parted as the form demands",
    "range": "a number beyond the last cell, or of too many digits",
    "inverted": "the end lies before the start",
    "empty_box": "start and end are the same cell",
    "sign": "a number with a sign",
    "decimal": "a number with a decimal point",
    "unclosed": "the last part of a group that never closes",
    "boxes_and_not_found": "valid boxes and a not-found sentence in one answer",
    "no_box": "neither a group of boxes nor a not-found sentence",
    "empty_text": "nothing but spaces",
}


class Refusal(NamedTuple):
    """A part of an answer that was left out: why (a key of `REASONS`), and its place text[start:end]."""

    reason: str
    start: int
    end: int


class Part(NamedTuple):
    """Where one box should stand: the number of its group, its place text[start:end], whether something closes it."""

    group: int
    start: int
    end: int
    closed: bool


@dataclass(frozen=True, eq=False)
class Reading:
    """What an answer says.

    Attributes:
        xyxy_grid: int64[N, 4], the good boxes in text order, doubles kept, each 0 <= x0 < x1 and y0 < y1 <= the last
            cell. Empty where the answer contradicts itself (`boxes_and_not_found`): such an answer is unparsable.
        not_found: the whole answer is a not-found sentence; then there are no boxes and no refusals.
        refusals: what was left out, in text order. Never empty when there is no box and `not_found` is false.
        groups: int64[N], for each box the number of its group, counting every group opened from 0.
        spans: int64[N, 2], the place text[start:end] of each box.
    """

    xyxy_grid: NDArray[np.int64]
    not_found: bool
    refusals: list[Refusal]
    groups: NDArray[np.int64]
    spans: NDArray[np.int64]


def read_answer(
    text: str,
    parts: Callable[[str], Iterable[Part]],
    read_part: Callable[[str], Box | str],
    not_found: Mapping[str, str] | None = None,
    says_none: re.Pattern[str] | None = None,
) -> Reading:
    """What an answer says. Never raises; in time linear in the text where `parts` is.

    Each part is read or refused alone. An answer with valid boxes that also contains a not-found sentence keeps no box:
    it is refused as a whole, before any part.

    Args:
        text: the answer, exactly as generated.
        parts: finds the places where boxes should stand, in the text in plain characters.
        read_part: the box that a part says, or the reason why it says none.
        not_found: sentence by language, as `not_found_sentences` takes it.
        says_none: what the form itself has for "no box"; it must be the whole answer but for spaces around it.
    """
    if is_not_found(text, not_found) or (says_none is not None and says_none.fullmatch(text.strip())):
        return _reading([], True, [])
    boxes: list[tuple[int, tuple[int, int], Box]] = []
    refusals: list[Refusal] = []
    source = plain(text)
    for group, start, end, closed in parts(source.text):
        read = read_part(source.text[start:end]) if closed else "unclosed"
        if isinstance(read, str):
            refusals.append(Refusal(read, *source.span(start, end)))
        else:
            boxes.append((group, source.span(start, end), read))
    if boxes and any(contains(text, sentence) for sentence in _squeezed(not_found)):
        return _reading([], False, [Refusal("boxes_and_not_found", 0, len(text)), *refusals])
    if not boxes and not refusals:
        refusals.append(Refusal("empty_text" if is_blank(text) else "no_box", 0, len(text)))
    return _reading(boxes, False, refusals)


def not_found_sentences(chosen: Mapping[str, str] | None = None) -> dict[str, str]:
    """The not-found sentence by language: the chosen one (a dataset's own), else that of `NOT_FOUND`."""
    return {**NOT_FOUND, **(chosen or {})}


def is_not_found(text: str, not_found: Mapping[str, str] | None = None) -> bool:
    """Whether the whole text, after NFKC, casefolding and removing punctuation and spaces, is a not-found sentence.

    Args:
        text: an answer.
        not_found: sentence by language, as `not_found_sentences` takes it.
    """
    said = squeeze(text)
    return bool(said) and said in _squeezed(not_found)


def _squeezed(not_found: Mapping[str, str] | None) -> tuple[str, ...]:
    """The sentences as they are compared; one without a letter says nothing and is passed over."""
    return _squeeze_all(tuple(not_found_sentences(not_found).values()))


@lru_cache(maxsize=64)
def _squeeze_all(sentences: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(squeezed for squeezed in map(squeeze, sentences) if squeezed)


def _reading(boxes: list[tuple[int, tuple[int, int], Box]], not_found: bool, refusals: list[Refusal]) -> Reading:
    return Reading(
        xyxy_grid=np.array([box for _, _, box in boxes], dtype=np.int64).reshape(-1, 4),
        not_found=not_found,
        refusals=refusals,
        groups=np.array([group for group, _, _ in boxes], dtype=np.int64),
        spans=np.array([span for _, span, _ in boxes], dtype=np.int64).reshape(-1, 2),
    )


def split_groups(text: str, mark: re.Pattern[str]) -> list[Part]:
    """The parts of every group, trimmed.

    Args:
        mark: finds what opens a group (named `open`), what closes it (`close`), and what parts the boxes in it. A group
            in which a new one starts, or the text ends, never closes; its last part is not closed.
    """
    parts: list[Part] = []
    group, start = -1, None
    for found in mark.finditer(text):
        opens, closes = found["open"] is not None, found["close"] is not None
        if start is not None:
            parts.append(Part(group, *trimmed(text, start, found.start()), not opens))
        if opens:
            group += 1
        if opens or start is not None:
            start = None if closes else found.end()
    if start is not None:
        parts.append(Part(group, *trimmed(text, start, len(text)), False))
    return parts


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """The place without the spaces at its two ends."""
    part = text[start:end]
    start += len(part) - len(part.lstrip())
    return start, start + len(part.strip())


# Hyphen, plus, and the minus and dash characters that models write for a minus.
_NUMBER = re.compile(r"(?P<sign>[-+−–—]\s*)?(?P<digits>[0-9]+(?P<point>\.[0-9]*)?|(?P<bare>\.[0-9]+))")


def read_corners(fields: list[str], greatest: tuple[int, int], digits: int) -> Box | str:
    """The box that four fields say as x0, y0, x1, y1, or the reason why they say none.

    Args:
        greatest: the greatest x and y that there is.
        digits: how many a number may have.
    """
    numbers = [_NUMBER.fullmatch(field.strip()) for field in fields]
    whole = [number for number in numbers if number is not None]
    if not len(numbers) == len(whole) == 4:
        return "count"
    if any(number["sign"] for number in whole):
        return "sign"
    if any(number["point"] or number["bare"] for number in whole):
        return "decimal"
    # The length is asked first: int() refuses thousands of digits.
    if any(len(number["digits"]) > digits for number in whole):
        return "range"
    x0, y0, x1, y1 = (int(number["digits"]) for number in whole)
    if max(x0, x1) > greatest[0] or max(y0, y1) > greatest[1]:
        return "range"
    if x1 < x0 or y1 < y0:
        return "inverted"
    return "empty_box" if x0 == x1 or y0 == y1 else (x0, y0, x1, y1)
