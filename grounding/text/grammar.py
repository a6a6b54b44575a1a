"""CogVLM's boxes as the text `[[x0,y0,x1,y1;...]]` and back. Knows no image, no model.

The writer emits one group of three-digit cells. The reader is for text from a model: it finds every group in whatever
words stand around it, keeps each good box, and refuses every other part alone, with a reason and its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grounding.text.characters import contains, plain, squeeze
from grounding.text.grid import CELLS, DIGITS, GRID, LAST_CELL, to_grid
from grounding.text.reading import (
    Box,
    Part,
    Reading,
    not_found_sentences,
    read_answer,
    read_corners,
    split_groups,
)

NUMBERS = 4
OPEN, CLOSE, NEXT_BOX, NEXT_NUMBER = "[[", "]]", ";", ","
_MARK = re.compile(r"(?P<open>\[\s*\[(?!\s*\[))|(?P<close>\]\s*\])|;")
_WITH_MARK = {
    mark: np.array([f"{cell:0{DIGITS}d}{mark}" for cell in range(CELLS)], dtype=f"S{DIGITS + 1}")
    for mark in (NEXT_NUMBER, NEXT_BOX)
}
_RANKS = CELLS**NUMBERS
_BOX_LENGTH = NUMBERS * (DIGITS + 1)  # with the mark behind it


class Written(NamedTuple):
    """The text of some boxes, and how many of them were widened because an extent was zero cells."""

    text: str
    widened: int


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
    return Written(write_group(in_order(cells)), widened)


def write_many(xyxy_px: ArrayLike, counts: ArrayLike, sizes_wh: ArrayLike) -> list[tuple[str, int]]:
    """What `write_boxes` writes for each of many groups, text and number of boxes widened, many times faster.

    Args:
        xyxy_px: float[N, 4], the boxes of one group after the other.
        counts: int[groups], how many are of each group, 1 at least.
        sizes_wh: float[groups, 2], width and height of the frame of each group.

    Raises:
        ValueError: as `write_boxes`; or there are more than nine million groups, whose numbers with those of their
            boxes are no int64 any more.
    """
    counts = np.asarray(counts, dtype=np.int64)
    if len(counts) > np.iinfo(np.int64).max // _RANKS:
        raise ValueError(f"{len(counts)} groups are too many to be written together")
    if not counts.all():
        raise ValueError("there is no box to write; an absent object is answered with a not-found sentence")
    if not len(counts):
        return []
    group = np.repeat(np.arange(len(counts)), counts)
    cells, widened = GRID.cells_of(xyxy_px, np.asarray(sizes_wh, dtype=np.float64)[group])
    text = _text_of(cells[np.argsort(group * _RANKS + _rank(cells))])
    ends = np.cumsum(counts * _BOX_LENGTH).tolist()
    changed = np.bincount(group, widened, minlength=len(counts)).astype(np.int64).tolist()
    texts = [f"{OPEN}{text[start : end - 1]}{CLOSE}" for start, end in pairwise([0, *ends])]
    return list(zip(texts, changed, strict=True))


def _rank(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64[N], numbers below `_RANKS` that rise as `reading_order` goes: one key is sorted much quicker than four."""
    x0, y0, x1, y1 = cells.T
    return ((y0 * CELLS + x0) * CELLS + y1) * CELLS + x1


def _text_of(cells: NDArray[np.int64]) -> str:
    """Each box as `_BOX_LENGTH` characters, with the mark that parts it from the next one."""
    numbers = _WITH_MARK[NEXT_NUMBER][cells]
    numbers[:, -1] = _WITH_MARK[NEXT_BOX][cells[:, -1]]
    return numbers.tobytes().decode("ascii")


def in_order(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """The boxes in the order in which they are written.

    Raises:
        ValueError: there is no box.
    """
    if not len(cells):
        raise ValueError("there is no box to write; an absent object is answered with a not-found sentence")
    return cells[reading_order(cells)]


def reading_order(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64[N], the order in which boxes int64[N, 4] in cells are written: by y0, then x0, y1, x1."""
    x0, y0, x1, y1 = cells.T
    return np.lexsort((x1, y1, x0, y0))


def write_group(cells: NDArray[np.int64]) -> str:
    """One group with the boxes in the order given."""
    boxes = (NEXT_NUMBER.join(f"{cell:0{DIGITS}d}" for cell in box) for box in cells.tolist())
    return f"{OPEN}{NEXT_BOX.join(boxes)}{CLOSE}"


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
    return read_answer(text, group_parts, _read_part, not_found)


def group_parts(text: str) -> list[Part]:
    """Each part of each group: the place of one box, and whether `;` or `]]` closes it."""
    return split_groups(text, _MARK)


def _read_part(part: str) -> Box | str:
    """The box that a part says, or the reason why it says none."""
    return read_corners(part.split(NEXT_NUMBER), (LAST_CELL, LAST_CELL), DIGITS)


def read_written(
    texts: Sequence[str], not_found: Mapping[str, str] | None = None
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    """Reads many answers at once, those with one group as the writer writes it and words around it that say nothing.

    What it reads, `read_boxes` reads alike, a hundred times slower.

    Returns:
        bool[N]: which texts are so; int64[M, 4]: their boxes, one text after another; int64[N]: how many of each text.
    """
    sentences = tuple(not_found_sentences(not_found).values())
    numbers, groups = [], []
    for number, text in enumerate(texts):
        start, end = text.find(OPEN), text.rfind(CLOSE)
        inside = text[start + len(OPEN) : end]
        if (
            start >= 0
            and end - start - len(OPEN) > 0
            and (len(inside) + len(NEXT_BOX)) % _BOX_LENGTH == 0
            and inside.isascii()
            and _says_nothing(text[:start], text[end + len(CLOSE) :], sentences)
        ):
            numbers.append(number)
            groups.append(inside + NEXT_BOX)
    characters = np.frombuffer("".join(groups).encode("ascii"), dtype=np.uint8).reshape(-1, NUMBERS, DIGITS + 1)
    digits = characters[:, :, :DIGITS].astype(np.int64) - ord("0")
    cells = digits @ 10 ** np.arange(DIGITS - 1, -1, -1)
    good = ((digits >= 0) & (digits <= 9)).all(axis=(1, 2)) & (cells[:, :2] < cells[:, 2:]).all(axis=1)
    good &= (characters[:, :-1, DIGITS] == ord(NEXT_NUMBER)).all(axis=1) & (characters[:, -1, DIGITS] == ord(NEXT_BOX))
    sizes = np.array([len(group) for group in groups], dtype=np.int64) // _BOX_LENGTH
    whole = np.bincount(np.repeat(np.arange(len(sizes)), sizes), ~good, minlength=len(sizes)) == 0
    fits, count = np.zeros(len(texts), dtype=bool), np.zeros(len(texts), dtype=np.int64)
    chosen = np.array(numbers, dtype=np.int64)[whole]
    fits[chosen], count[chosen] = True, sizes[whole]
    return fits, cells[np.repeat(whole, sizes)], count


@lru_cache(maxsize=4096)
def _says_nothing(before: str, after: str, sentences: tuple[str, ...]) -> bool:
    """Whether words before and behind a group hold no bracket, and with it no not-found sentence."""
    squeezed = [squeeze(sentence) for sentence in sentences]
    if any(character.isdigit() for sentence in squeezed for character in sentence):
        return False  # it may stand across the group, or be the group's own digits
    words = (plain(before).text, plain(after).text)
    return not any(bracket in part for part in words for bracket in "[]") and not any(
        sentence and contains(part, sentence) for part in (before, after) for sentence in squeezed
    )
