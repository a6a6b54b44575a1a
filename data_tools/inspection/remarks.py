"""A remark: something about a dataset that is worth a word, how bad it is, and a few examples. Knows no dataset.

What it says stands in the words of each language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from grounding.page.words import Words, say

Level = Literal["fault", "warning", "note"]
LEVELS: tuple[Level, ...] = ("fault", "warning", "note")
"""What spoils training or makes its numbers false; what makes the result worse than it could be; what to know."""
EXAMPLES = 5


class Remark(NamedTuple):
    """One thing found.

    Attributes:
        name: short and fixed, for programs; also the name of its sentence among the words of a language.
        level: how bad it is.
        n: how many things it is about.
        examples: the first few of them.
        values: what else its sentence tells.
    """

    name: str
    level: Level
    n: int
    examples: tuple[str, ...] = ()
    values: Mapping[str, Any] = {}


def remark(name: str, level: Level, found: Sequence[object], **values: Any) -> Remark:
    """A remark about the things found, with the first few as examples."""
    return Remark(name, level, len(found), tuple(str(one) for one in found[:EXAMPLES]), values)


def is_cut(finding: Mapping[str, Any]) -> bool:
    """Whether a remark, as JSON has it, is about more than its examples say."""
    return finding["n"] > len(finding["examples"]) == EXAMPLES


def worst_first(remarks: Sequence[Remark]) -> list[Remark]:
    """Faults, then warnings, then notes; in the given order otherwise."""
    return sorted(remarks, key=lambda one: LEVELS.index(one.level))


def plain(remarks: Sequence[Remark], words: Words) -> list[dict[str, Any]]:
    """As JSON has them: `text` is one or two sentences, what was found and what it means or what to do."""
    return [
        {
            "name": one.name,
            "level": one.level,
            "text": say(words, "findings", one.name, **{"n": one.n, **one.values}),
            "n": one.n,
            "examples": list(one.examples),
        }
        for one in remarks
    ]


def share(part: int, whole: int) -> str:
    """A part in percent."""
    percent = 100 * part / whole if whole else 0.0
    return f"{percent:.0f} %" if percent >= 1 or not part else f"{percent:.1g} %"
