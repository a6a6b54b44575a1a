"""How many tokens an answer may have. Knows how a box is written in tokens; without torch, so that help can say it."""

from __future__ import annotations

TOKENS_PER_BOX = 16  # 12 digits, 3 commas and what parts it from the next
BOXES = 60
WORDS = 64  # tokens for the words around the boxes, and the end
MAX_NEW_TOKENS = TOKENS_PER_BOX * BOXES + WORDS  # 1024, as long as the longest label that is trained by default
