"""What `inspect` and `validate` say, in the language asked for. Knows words only.

The rules of `convert` stay with its table of reasons, which is English.
"""

from __future__ import annotations

from functools import lru_cache

from data_tools.reasons import REASONS
from grounding.page.words import Words, load_words


@lru_cache
def words_in(lang: str) -> Words:
    """The table of a language; see `load_words`."""
    return load_words(__package__, lang, {"rules": {name: rule.meaning for name, rule in REASONS.items()}})
