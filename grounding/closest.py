"""What someone may have meant who wrote a name that there is not. Knows neither names nor commands."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """A question that names the choice most like `word`, whatever the case; empty where none is like it.

    Likeness is difflib's: at least 0.6 of the letters of both, in their order.
    """
    lowered = {choice.casefold(): choice for choice in choices}
    closest = get_close_matches(word.strip().casefold(), lowered, n=1)
    return f"Did you mean {lowered[closest[0]]!r}?" if closest else ""
