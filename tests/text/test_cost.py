"""What texts cost in tokens, counted by hand."""

from __future__ import annotations

import pytest

from grounding.text import TOKENS_PER_BOX, text_tokens, write_boxes

BOX = [1.0, 1.0, 9.0, 9.0]


@pytest.mark.parametrize(
    ("boxes", "words", "tokens"),
    [
        (1, "{}", TOKENS_PER_BOX + 1),
        (70, "{}", 70 * TOKENS_PER_BOX + 1),
        (1, "It is at {}", TOKENS_PER_BOX + 1 + 3),  # nine Latin characters
        (1, "\u5728{}", TOKENS_PER_BOX + 1 + 3),
        (2, "cat: {}; dog: {}", 2 * (2 * TOKENS_PER_BOX + 1) + 4),  # two groups and twelve Latin characters
        (1, "Where?", 2),
        (1, "", 0),
    ],
)
def test_cost(boxes: int, words: str, tokens: int) -> None:
    assert text_tokens(words.replace("{}", write_boxes([BOX] * boxes, (1000, 1000)).text)) == tokens
