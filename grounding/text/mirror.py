"""What a text says of a picture, said of the same picture mirrored left to right: its words and its boxes.

Knows English and Chinese side words and the box text; it does not know which picture, nor what of it is true.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from grounding.text.grammar import Box, reading_order
from grounding.text.grid import DIGITS, mirror_cells

# Side words that speak of the corners of a box text, or of both sides alike: true of the mirrored picture too.
_NEUTRAL = (
    r"left, top, right,? and bottom",
    r"(?:top|upper)[- ]left(?: corner)? and (?:the )?(?:bottom|lower)[- ]right(?: corner)?s?",
    r"左上角?[和与、]?右下角?",
    r"左、?上、?右、?下",
    r"左右",
)
# Words that look like a side and mean something else, or turn with the picture in a way that no swap of words can say.
_OTHER = (
    r"\b(?:is|are|was|were|be|been|has|have|had|nothing|anything|something|none|ones?|any|few|much|many|more|still) "
    r"left\b(?! (?:of|side|half|hand|corner|edge)\b)",
    r"\b(?:he|she|they|who|and) left the\b",
    r"\bleft (?:over|behind|out|alone|unattended|open|unfinished)\b|\bleftovers?\b",
    r"\bright (?:now|away|after|before|next|above|below|under|behind|beside|in front)\b",
    r"\bright (?:angle|answer|order|format|way|place|time|size)\b",
    r"\b(?:all|exactly|that is|that's|you are|you're) right\b|\bright[- ]of[- ]way\b|\brights\b|\bcopyright\b",
    r"\b(?:left|right)[- ](?:click\w*|handed|hander|wing\w*|angled?)\b|\b(?:turn|keep|no) (?:left|right)\b",
    r"\b(?:counter-?|anti-?)?clockwise\b|[顺逆]时针",
    r"[左右](?:轮手枪|撇子|派|倾|翼|键|转|拐)|座右铭",
)
_SIDE = r"\b(?:left|right)(?=(?:most|wards?|hand)?\b)|左|右"
_WORDS = re.compile(f"(?P<neutral>{'|'.join(_NEUTRAL)})|(?P<other>{'|'.join(_OTHER)})|(?P<side>{_SIDE})", re.IGNORECASE)
_SWAPPED = {"left": "right", "right": "left", "左": "右", "右": "左"}

_GROUP = re.compile(r"\[\[(?P<inside>.*?)\]\]")
_WRITTEN = re.compile(rf"\d{{{DIGITS}}}(?:[,;]\d{{{DIGITS}}})*")
_FORMAT = "x0,y0,x1,y1"  # what prompts show of the form of an answer


def mirror_words(text: str) -> str | None:
    """The text with left and right swapped, in English and in Chinese; None where that cannot be done by swapping.

    That is so where a word for a side means something else ("what is left", "右键") or a turn ("clockwise"). Words for
    the corners of a box text stay: they tell how to write, not where to look.
    """
    found = list(_WORDS.finditer(text))
    if any(match["other"] for match in found):
        return None
    return _WORDS.sub(lambda match: _swapped(match[0]) if match["side"] else match[0], text)


def _swapped(word: str) -> str:
    swapped = _SWAPPED[word.lower()]
    return swapped.upper() if word.isupper() else swapped.capitalize() if word[0].isupper() else swapped


def mirror_boxes(text: str, exact: Mapping[Box, Box]) -> str | None:
    """The text with every group of boxes mirrored and put in order again; None where a group is not as written.

    Args:
        text: groups in it are of the form that `write_boxes` writes, or the bare `[[x0,y0,x1,y1]]` of a prompt.
        exact: cells of a box -> cells of its mirror image, where the pixels are known; others are computed from cells.
    """
    groups = list(_GROUP.finditer(text))
    if any(group["inside"] != _FORMAT and not _WRITTEN.fullmatch(group["inside"]) for group in groups):
        return None
    return _GROUP.sub(lambda group: group[0] if group["inside"] == _FORMAT else _mirrored(group["inside"], exact), text)


def _mirrored(inside: str, exact: Mapping[Box, Box]) -> str:
    cells = np.array([part.split(",") for part in inside.split(";")], dtype=np.int64)
    mirrored = mirror_cells(cells)
    for row, (x0, y0, x1, y1) in enumerate(cells.tolist()):
        mirrored[row] = exact.get((x0, y0, x1, y1), mirrored[row])
    ordered = mirrored[reading_order(mirrored)].tolist()
    return f"[[{';'.join(','.join(f'{cell:0{DIGITS}d}' for cell in box) for box in ordered)}]]"
