"""Tables of words: what a room says to users, one YAML a language, and sentences with their places filled.

Knows words only: neither which rooms have a table nor what is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from grounding.errors import InputError
from grounding.page.layout import packaged
from grounding.samples import LANGUAGES

Words = Mapping[str, Any]
"""Groups of sentences by key; `{name}` in a sentence stands for what it is given."""


def load_words(room: str, lang: str, owned: Mapping[str, Any]) -> Words:
    """The table `words.LANG.yaml` among the templates of a room.

    Args:
        room: name of the package whose table is meant.
        owned: the English groups that code owns (reasons, protocols, ...): they stay with what they name and are put
            into the English table here; the other languages have them in their file.

    Raises:
        InputError: there is no table for that language.
    """
    if lang not in LANGUAGES:
        raise InputError(f"there are no words in {lang!r}; there are {', '.join(LANGUAGES)}.", where="--lang")
    table: dict[str, Any] = yaml.safe_load(packaged(room, f"words.{lang}.yaml"))
    return {**table, **owned} if lang == "en" else table


def say(words: Words, group: str, key: str, **values: object) -> str:
    """A sentence of the table with its places filled.

    Of two sentences the first is for one of `n`, which may be given as a number or as it is shown.
    """
    sentence: str | list[str] = words[group][key]
    if isinstance(sentence, list):
        sentence = sentence[str(values["n"]) != "1"]
    return sentence.format(**values)
