"""What a text costs in tokens, estimated where no tokenizer is at hand. Knows the box text, and no tokenizer.

A box costs 16 tokens in CogVLM's tokenizer: twelve digits, three commas, one separator; brackets make it 16 n + 1 for n
boxes. Words around them are estimated: a token for three Latin characters, three for any other (the tokenizer falls
back to bytes), which is on the high side.
"""

from __future__ import annotations

import re
from functools import lru_cache

TOKENS_PER_BOX = 16
_GROUP = re.compile(r"\[\[.*?\]\]", re.DOTALL)


def text_tokens(text: str) -> int:
    """Estimated tokens of a text, groups of boxes in it included; without begin and end."""
    start = text.find("[[")
    end = text.find("]]", start) + 2
    if start >= 0 and end > 1 and text.find("[[", end) < 0:  # one group, as in nearly all
        boxes, groups, words = text.count(";", start, end) + 1, 1, len(text) - (end - start)
        other = 0 if text.isascii() else _not_latin(text[:start] + text[end:])
    else:
        every = _GROUP.findall(text)
        boxes, groups = sum(group.count(";") + 1 for group in every), len(every)
        said = _GROUP.sub("", text)
        words, other = len(said), _not_latin(said)
    return TOKENS_PER_BOX * boxes + groups + -(-(words - other) // 3) + 3 * other  # rounded up


@lru_cache(maxsize=1 << 12)
def _not_latin(words: str) -> int:
    return 0 if words.isascii() else sum(not character.isascii() for character in words)
