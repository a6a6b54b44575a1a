"""A remark: something about a dataset that is worth a word, how bad it is, and a few examples. Knows no dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

Level = Literal["fault", "warning", "note"]
LEVELS: tuple[Level, ...] = ("fault", "warning", "note")
"""What spoils training or makes its numbers false; what makes the result worse than it could be; what to know."""
EXAMPLES = 5


class Remark(NamedTuple):
    """One thing found.

    Attributes:
        name: short and fixed, for programs.
        level: how bad it is.
        text: one or two sentences: what was found, and what it means or what to do.
        n: how many things it is about.
        examples: the first few of them.
    """

    name: str
    level: Level
    text: str
    n: int
    examples: tuple[str, ...] = ()


def remark(name: str, level: Level, text: str, found: Sequence[object]) -> Remark:
    """A remark about the things found, with the first few as examples."""
    return Remark(name, level, text, len(found), tuple(str(one) for one in found[:EXAMPLES]))


def is_cut(finding: Mapping[str, Any]) -> bool:
    """Whether a remark, as JSON has it, is about more than its examples say."""
    return finding["n"] > len(finding["examples"]) == EXAMPLES


def worst_first(remarks: Sequence[Remark]) -> list[Remark]:
    """Faults, then warnings, then notes; in the given order otherwise."""
    return sorted(remarks, key=lambda one: LEVELS.index(one.level))


def plain(remarks: Sequence[Remark]) -> list[dict[str, Any]]:
    """As JSON has them."""
    return [{**one._asdict(), "examples": list(one.examples)} for one in remarks]


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 image`, `1,234 images`; `many` where the plural is not `one` with an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def share(part: int, whole: int) -> str:
    """A part in percent."""
    percent = 100 * part / whole if whole else 0.0
    return f"{percent:.0f} %" if percent >= 1 or not part else f"{percent:.1g} %"
