"""The embedded model's tokenizer: trained on the wordings, the names of what is drawn and words from outside.

Wordings are cut where something is filled in, so that no piece joins a name to the words around it. Knows no scene and
no sample.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources

from transformers import PreTrainedTokenizerFast

from grounding.models.tokenizers import train_tokenizer
from grounding.pocket.questions import CHINESE_COLOURS, CHINESE_SHAPES, nouns
from grounding.pocket.scenes import COLOURS, SHAPES
from grounding.text import NOT_FOUND, load_wordings, not_found_clauses

NAME_WEIGHT = 20
"""How many times a name counts beside a wording: each becomes a piece of its own."""


def make_tokenizer(size: int) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `size` ids, digits single; the same for the same package."""
    return train_tokenizer(_texts(), size)


def _texts() -> Iterator[str]:
    for lang, sentence in NOT_FOUND.items():
        wordings = [*load_wordings("phrase_to_boxes", lang), *((clause, "") for clause in not_found_clauses(lang))]
        yield from [sentence] * NAME_WEIGHT
        for text in (side for wording in wordings for side in wording):
            yield from (part for part in re.split(r"\{\w+\}|\"|“|”", text) for _ in range(2) if part)
    for name in (*COLOURS, *SHAPES, *CHINESE_COLOURS.values(), *CHINESE_SHAPES.values()):
        yield from [name] * NAME_WEIGHT
    for english, chinese in nouns():
        yield from (english, chinese)
    text = (resources.files(__package__) / "words.txt").read_text(encoding="utf-8")
    yield from (word for line in text.splitlines() if not line.startswith("#") for word in line.split(" "))
