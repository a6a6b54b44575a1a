"""Text from a model brought to one form, character by character. Knows no boxes and no sentences.

Models trained on Chinese text write digits, commas and brackets in full width; `plain` brings them to ASCII and
remembers where each character came from, so that a place in the plain text can be told as a place in the original.
"""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

# Compatibility normalisation leaves these CJK marks alone, and they stand where a bracket or comma is meant.
_MEANT = {"【": "[", "】": "]", "、": ","}


class Plain(NamedTuple):
    """A text in plain characters, and for each of them the index in the original it came from."""

    text: str
    origin: Sequence[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The place text[start:end] in the original, as (start, end) offsets there."""
        if start == end:
            after_last = self.origin[start - 1] + 1 if start else 0
            return after_last, after_last
        return self.origin[start], self.origin[end - 1] + 1


@lru_cache(maxsize=4096)
def _plain_character(character: str) -> str:
    if character in _MEANT:
        return _MEANT[character]
    # Format characters (zero-width space, byte order mark, ...) show nothing: they count as spaces.
    return " " if unicodedata.category(character) == "Cf" else unicodedata.normalize("NFKC", character)


def plain(text: str) -> Plain:
    """The text with every character NFKC-normalised on its own and CJK brackets and commas as ASCII ones."""
    if text.isascii():
        return Plain(text, range(len(text)))
    pieces = [_plain_character(character) for character in text]
    origin = [index for index, piece in enumerate(pieces) for _ in piece]
    return Plain("".join(pieces), origin)


@lru_cache(maxsize=4096)
def _is_space(character: str) -> bool:
    """Whether a character is a space, or a control or format character, which show nothing."""
    return unicodedata.category(character) in ("Zs", "Zl", "Zp", "Cc", "Cf")


@lru_cache(maxsize=4096)
def _is_gap(character: str) -> bool:
    """Whether a character is a space or punctuation, Unicode's or what ASCII counts as such (` ^ ~ ...)."""
    return _is_space(character) or character in string.punctuation or unicodedata.category(character).startswith("P")


def fold(text: str) -> str:
    """The whole text after NFKC and casefolding."""
    return unicodedata.normalize("NFKC", text).casefold()


def squeeze(text: str) -> str:
    """What is left of a text after NFKC, casefolding and removing punctuation and spaces."""
    return "".join(character for character in fold(text) if not _is_gap(character))


def is_blank(text: str) -> bool:
    """Whether there is nothing in the text but spaces and characters that show nothing."""
    return all(_is_space(character) for character in text)


def contains(text: str, squeezed: str) -> bool:
    """Whether the squeezed form of a sentence stands in the text, not as a piece of a longer Latin word or number."""
    folded = fold(text)
    if not set(squeezed) <= set(folded):
        return False  # nearly always so, and far quicker than to look at every character
    kept = [index for index, character in enumerate(folded) if not _is_gap(character)]
    letters = "".join(folded[index] for index in kept)
    at = letters.find(squeezed)
    while at >= 0:
        first, last = kept[at], kept[at + len(squeezed) - 1]
        if not _is_inside_word(folded, first) and not _is_inside_word(folded, last + 1):
            return True
        at = letters.find(squeezed, at + 1)
    return False


def _is_inside_word(text: str, boundary: int) -> bool:
    """Whether the characters on both sides of a boundary are ASCII letters or digits. CJK text has no gaps to go by."""
    around = text[max(boundary - 1, 0) : boundary + 1]
    return 0 < boundary < len(text) and around.isascii() and around.isalnum()
