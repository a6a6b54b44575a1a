"""What the page of a report says, in the language asked for. Knows words only.

The English of what the code itself names (outcomes, mistakes, reasons, protocols) stays with that code.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from grounding.evaluation.breakdowns import ASPECTS, TARGETS
from grounding.evaluation.metrics import OUTCOMES
from grounding.evaluation.mistakes import KINDS
from grounding.evaluation.parse import MISSING
from grounding.evaluation.protocols import PROTOCOLS
from grounding.evaluation.ranking import NO_SCORES
from grounding.page.words import Words, load_words
from grounding.text import REASONS


@lru_cache
def words_in(lang: str) -> Words:
    """The table of a language; see `load_words`."""
    return load_words(__package__, lang, _of_the_code())


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
