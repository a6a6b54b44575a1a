"""How many tokens an answer may have. Knows how a box is written in tokens; without torch, so that help can say it."""

from __future__ import annotations

from grounding.errors import InputError
from grounding.text import TOKENS_PER_BOX

BOXES = 60
WORDS = 64  # tokens for the words around the boxes, and the end


def token_limit(boxes: int) -> int:
    """The tokens that an answer with so many boxes, and words around them, may have."""
    return TOKENS_PER_BOX * boxes + WORDS


MAX_NEW_TOKENS = token_limit(BOXES)  # 1024, as long as the longest label that is trained by default


def tokens_for(max_new_tokens: int | None, max_boxes: int) -> int:
    """The budget that is named, else the one that follows from the boxes an answer may have."""
    return token_limit(max_boxes) if max_new_tokens is None else max_new_tokens


def room_behind(prompt: int, max_new_tokens: int, max_positions: int) -> int:
    """The tokens that an answer may have: its budget, but no more than the positions that the prompt leaves it.

    Args:
        prompt: positions that image and prompt take. max_positions: those of the model.

    Raises:
        InputError: none are left.
    """
    if prompt >= max_positions:
        raise InputError(
            f"a prompt takes {prompt:,} positions, and the model has {max_positions:,}: none is left for an answer.",
            where="max_position_embeddings",
            fix="Shorten the prompt and its earlier turns, or take a checkpoint with more positions.",
        )
    return min(max_new_tokens, max_positions - prompt)
