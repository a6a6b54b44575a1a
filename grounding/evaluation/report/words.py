"""What the page says, in one table per language; a page is made of one of them, whatever its numbers are.

Knows words only. The English of what the code itself names (outcomes, mistakes, reasons, protocols) stays with that
code and is put into the English table here; the other languages have it in their file.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

import yaml

from grounding.errors import InputError
from grounding.evaluation.breakdowns import ASPECTS, TARGETS
from grounding.evaluation.metrics import OUTCOMES
from grounding.evaluation.mistakes import KINDS
from grounding.evaluation.parse import MISSING
from grounding.evaluation.protocols import PROTOCOLS
from grounding.evaluation.ranking import NO_SCORES
from grounding.samples import LANGUAGES
from grounding.text import REASONS

Words = Mapping[str, Any]


@lru_cache
def words_in(lang: str) -> Words:
    """The table of a language: groups of words by key; `{name}` in a sentence stands for what it is given.

    Raises:
        InputError: there is no table for that language.
    """
    if lang not in LANGUAGES:
        raise InputError(f"there are no words in {lang!r}; there are {', '.join(LANGUAGES)}.", where="--lang")
    file = resources.files(__package__) / "templates" / f"words.{lang}.yaml"
    table: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {**table, **_of_the_code()} if lang == "en" else table


def _of_the_code() -> dict[str, Any]:
    """What the code says in English about what it names."""
    return {
        "outcomes": OUTCOMES,
        "mistake_words": KINDS,
        "reasons": {**REASONS, MISSING: "the predictions file has no answer for it"},
        "protocols": {name: list(protocol.changes) for name, protocol in PROTOCOLS.items()},
        "no_scores": NO_SCORES,
        "part_names": {name: name for name in (*ASPECTS, *TARGETS)},
    }


def say(words: Words, group: str, key: str, **values: object) -> str:
    """A sentence of the table with its places filled."""
    sentence: str = words[group][key]
    return sentence.format(**values)
