"""What `inspect` and `validate` say, in one table per language; numbers are put into the places of its sentences.

Knows words only. The rules of `convert` stay with its table of reasons, which is English; the other languages have them
in their file.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

import yaml

from data_tools.reasons import REASONS
from grounding.closest import did_you_mean
from grounding.errors import InputError
from grounding.samples import LANGUAGES

Words = Mapping[str, Any]


@lru_cache
def words_in(lang: str) -> Words:
    """The table of a language: groups of sentences by key; `{name}` stands for what a sentence is given.

    Raises:
        InputError: there is no table for that language.
    """
    if lang not in LANGUAGES:
        problem = f"there are no words in {lang!r}; there are {', '.join(LANGUAGES)}"
        raise InputError(problem, where="--lang", fix=did_you_mean(lang, LANGUAGES))
    file = resources.files(__package__) / "templates" / f"words.{lang}.yaml"
    table: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {**table, "rules": {name: rule.meaning for name, rule in REASONS.items()}} if lang == "en" else table


def say(words: Words, group: str, key: str, **values: Any) -> str:
    """A sentence of the table with its places filled; of two sentences the first is for one of `n`."""
    sentence = words[group][key]
    if isinstance(sentence, list):
        sentence = sentence[values["n"] != 1]
    return str(sentence.format(**values))
