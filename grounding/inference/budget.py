"""How many tokens an answer may have. Knows how a box is written in tokens; without torch, so that help can say it."""

from __future__ import annotations

TOKENS_PER_BOX = 16  # 12 digits, 3 commas and what parts it from the next
BOXES = 60
WORDS = 64  # tokens for the words around the boxes, and the end


def token_limit(boxes: int) -> int:
    """The tokens that an answer with so many boxes, and words around them, may have."""
    return TOKENS_PER_BOX * boxes + WORDS


MAX_NEW_TOKENS = token_limit(BOXES)  # 1024, as long as the longest label that is trained by default


def tokens_for(max_new_tokens: int | None, max_boxes: int) -> int:
    """The budget that is named, else the one that follows from the boxes an answer may have."""
    return token_limit(max_boxes) if max_new_tokens is None else max_new_tokens
