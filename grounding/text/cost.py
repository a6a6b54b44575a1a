"""What a text costs in tokens, estimated where no tokenizer is at hand. Knows the box text, and no tokenizer.

A box costs 16 tokens in CogVLM's tokenizer: twelve digits, three commas, one separator; brackets make it 16 n + 1 for n
boxes. Words around them are estimated: a token for three Latin characters, three for any other (the tokenizer falls
back to bytes), which is on the high side.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache

TOKENS_PER_BOX = 16
_GROUP = re.compile(r"\[\[.*?\]\]", re.DOTALL)


def text_tokens(text: str) -> int:
    """Estimated tokens of a text, groups of boxes in it included; without begin and end."""
    before, _, rest = text.partition("[[")
    group, closed, after = rest.partition("]]")
    if closed and "[[" not in after:  # one group, as in nearly all
        return 1 + TOKENS_PER_BOX * (group.count(";") + 1) + _word_tokens(before + after)
    groups = _GROUP.findall(text)
    boxes = sum(group.count(";") + 1 for group in groups)
    return TOKENS_PER_BOX * boxes + len(groups) + _word_tokens(_GROUP.sub("", text))


@lru_cache(maxsize=1 << 12)
def _word_tokens(words: str) -> int:
    latin = len(words) if words.isascii() else sum(character.isascii() for character in words)
    return math.ceil(latin / 3) + 3 * (len(words) - latin)
