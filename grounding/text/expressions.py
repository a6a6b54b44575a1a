"""Phrases that single one object out of its class by geometry: which there are, and what they are called. Knows no box.

The file `templates/geometry.LANG.txt` holds `geometry => phrase` lines; the phrase holds `{phrase}` once, which stands
for the class. Every language has at least one phrase for every geometry.
"""

from __future__ import annotations

from functools import cache

from grounding.text.prompts import lines_of, read_template

SIDES = ("left", "right", "top", "bottom")
ORDINALS = (2, 3)
GEOMETRIES: tuple[str, ...] = (
    *(f"{side}most" for side in SIDES),
    *(f"{side}_{number}" for side in SIDES for number in ORDINALS),
    "largest",
    "smallest",
)
"""What can be true of just one object: `leftmost` ..., `left_2` = the second from the left ..., largest, smallest."""


@cache
def expressions(geometry: str, lang: str) -> tuple[str, ...]:
    """The phrases for a geometry in a language, each with `{phrase}` once, in the order of their file."""
    _, text = read_template(f"geometry.{lang}.txt", None)
    pairs = (line.split(" => ") for _, line in lines_of(text))
    return tuple(phrase for name, phrase in pairs if name == geometry)


def fill_expression(expression: str, phrase: str) -> str:
    """The referring phrase: `the leftmost {phrase}` with the class put in."""
    return expression.replace("{phrase}", phrase, 1)
