"""Boxes as the text `[[x0,y0,x1,y1;...]]` and back, and the sentences that say "not found". Knows no image, no model.

The writer emits one group of three-digit cells. The reader is for text from a model: it finds every group in whatever
words stand around it, keeps each good box, and refuses every other part alone, with a reason and its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grounding.text.characters import contains, is_blank, plain, squeeze
from grounding.text.grid import DIGITS, to_grid

Box: TypeAlias = tuple[int, int, int, int]

NOT_FOUND: dict[str, str] = {"en": "No matching object was found.", "zh": "未找到指定目标"}

REASONS: dict[str, str] = {
    "count": "not exactly four numbers separated by commas",
    "range": "a number beyond the last cell, or of more than three digits",
    "inverted": "the end lies before the start",
    "empty_box": "start and end are the same cell",
    "sign": "a number with a sign",
    "decimal": "a number with a decimal point",
    "unclosed": "the last part of a group that never closes",
    "boxes_and_not_found": "valid boxes and a not-found sentence in one answer",
    "no_box": "neither a group of boxes nor a not-found sentence",
    "empty_text": "nothing but spaces",
}


class Written(NamedTuple):
    """The text of some boxes, and how many of them were widened because an extent was zero cells."""

    text: str
    widened: int


class Refusal(NamedTuple):
    """A part of an answer that was left out: why (a key of `REASONS`), and its place text[start:end]."""

    reason: str
    start: int
    end: int


@dataclass(frozen=True, eq=False)
class Reading:
    """What an answer says.

    Attributes:
        xyxy_grid: int64[N, 4], the good boxes in text order, doubles kept, each 0 <= x0 < x1 and y0 < y1 <= last cell.
            Empty where the answer contradicts itself (`boxes_and_not_found`): such an answer is unparsable.
        not_found: the whole answer is a not-found sentence; then there are no boxes and no refusals.
        refusals: what was left out, in text order. Never empty when there is no box and `not_found` is false.
        groups: int64[N], for each box the number of its `[[...]]` group, counting every group opened from 0.
    """

    xyxy_grid: NDArray[np.int64]
    not_found: bool
    refusals: list[Refusal]
    groups: NDArray[np.int64]
    spans: NDArray[np.int64]


def write_boxes(xyxy_px: ArrayLike, size_wh: tuple[float, float]) -> Written:
    """Boxes in pixels as one group of text.

    The order is (y0, x0, y1, x1) of the cells as written, after widening, so that equal texts mean equal boxes;
    doubles are kept.

    Args:
        xyxy_px: float[N, 4], N >= 1, x0 <= x1 and y0 <= y1; values outside the frame are clamped.
        size_wh: width and height of the frame in pixels.

    Raises:
        ValueError: there is no box (an absent object is a sentence, not an empty group), a value is not finite, a box
            is inverted, or the size is not positive.
    """
    cells, widened = to_grid(xyxy_px, size_wh)
    if not len(cells):
        raise ValueError("there is no box to write; an absent object is answered with a not-found sentence")
    ordered = cells[reading_order(cells)]
    parts = (",".join(f"{cell:0{DIGITS}d}" for cell in box) for box in ordered.tolist())
    return Written(f"[[{';'.join(parts)}]]", widened)


def reading_order(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64[N], the order in which boxes int64[N, 4] in cells are written: by y0, then x0, y1, x1."""
    x0, y0, x1, y1 = cells.T
    return np.lexsort((x1, y1, x0, y0))


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


def read_boxes(text: str, not_found: Mapping[str, str] | None = None) -> Reading:
    """What a model's answer says. Never raises, in time linear in the text.

    A group starts at `[[` and ends at `]]`; of three or more brackets in a row the inner two count. Boxes in it are
    parted by `;`, numbers by `,`. Spaces, full-width characters, 【】 and 、 are taken for what they stand for; numbers
    may have one to three digits. Anything else in a part refuses that part alone; a part with several faults is refused
    for the first of count, sign, decimal, range, inverted, empty_box. A group in which a new one starts, or the text
    ends, never closes: its parts closed by `;` are read, the last is refused. An answer with valid boxes that also
    contains a not-found sentence keeps no box: it is refused as a whole, before any part.

    Args:
        text: the answer, exactly as generated.
        not_found: sentence by language, as `not_found_sentences` takes it.
    """
    if is_not_found(text, not_found):
        return _reading([], True, [])
    boxes: list[tuple[int, tuple[int, int], Box]] = []
    refusals: list[Refusal] = []
    source = plain(text)
    for group, start, end, closed in _parts(source.text):
        read = _read_part(source.text[start:end]) if closed else "unclosed"
        if isinstance(read, str):
            refusals.append(Refusal(read, *source.span(start, end)))
        else:
            boxes.append((group, source.span(start, end), read))
    if boxes and any(contains(text, sentence) for sentence in _squeezed(not_found)):
        return _reading([], False, [Refusal("boxes_and_not_found", 0, len(text)), *refusals])
    if not boxes and not refusals:
        refusals.append(Refusal("empty_text" if is_blank(text) else "no_box", 0, len(text)))
    return _reading(boxes, False, refusals)


def _squeezed(not_found: Mapping[str, str] | None) -> list[str]:
    """The sentences as they are compared; one without a letter says nothing and is passed over."""
    return [squeezed for squeezed in map(squeeze, not_found_sentences(not_found).values()) if squeezed]


def _reading(boxes: list[tuple[int, tuple[int, int], Box]], not_found: bool, refusals: list[Refusal]) -> Reading:
    return Reading(
        xyxy_grid=np.array([box for _, _, box in boxes], dtype=np.int64).reshape(-1, 4),
        not_found=not_found,
        refusals=refusals,
        groups=np.array([group for group, _, _ in boxes], dtype=np.int64),
        spans=np.array([span for _, span, _ in boxes], dtype=np.int64).reshape(-1, 2),
    )


_MARK = re.compile(r"(?P<open>\[\s*\[(?!\s*\[))|(?P<close>\]\s*\])|;")


def _parts(text: str) -> Iterator[tuple[int, int, int, bool]]:
    """Each part of each group: the group's number, the trimmed place text[start:end], whether `;` or `]]` closes it."""
    group, start = -1, None
    for mark in _MARK.finditer(text):
        opens, closes = mark["open"] is not None, mark["close"] is not None
        if start is not None:
            yield group, *_trimmed(text, start, mark.start()), not opens
        if opens:
            group += 1
        if opens or start is not None:
            start = None if closes else mark.end()
    if start is not None:
        yield group, *_trimmed(text, start, len(text)), False


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """The place without the spaces at its two ends."""
    part = text[start:end]
    start += len(part) - len(part.lstrip())
    return start, start + len(part.strip())


# Hyphen, plus, and the minus and dash characters that models write for a minus.
_NUMBER = re.compile(r"(?P<sign>[-+−–—]\s*)?(?P<digits>[0-9]+(?P<point>\.[0-9]*)?|(?P<bare>\.[0-9]+))")


def _read_part(part: str) -> Box | str:
    """The box that a part says, or the reason why it says none."""
    numbers = [_NUMBER.fullmatch(field.strip()) for field in part.split(",")]
    whole = [number for number in numbers if number is not None]
    if not len(numbers) == len(whole) == 4:
        return "count"
    if any(number["sign"] for number in whole):
        return "sign"
    if any(number["point"] or number["bare"] for number in whole):
        return "decimal"
    # Three digits cannot pass the last cell, and the length is asked first: int() refuses thousands of digits.
    if any(len(number["digits"]) > DIGITS for number in whole):
        return "range"
    x0, y0, x1, y1 = (int(number["digits"]) for number in whole)
    if x1 < x0 or y1 < y0:
        return "inverted"
    return "empty_box" if x0 == x1 or y0 == y1 else (x0, y0, x1, y1)
