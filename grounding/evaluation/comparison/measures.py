"""Which measures are compared, what they are called, and which of them can be gated. Knows no numbers.

They are those of a report's headline, under the same names.
"""

from __future__ import annotations

from typing import NamedTuple

from grounding.evaluation.ranking import STATISTICS
from grounding.evaluation.report.headline import HEADLINE
from grounding.evaluation.report.words import words_in


class Compared(NamedTuple):
    """A measure: its key in the metrics, its name, what it means, and whether less of it is better."""

    key: str
    name: str
    meaning: str
    less_is_better: bool


_WORDS = words_in("en")


def _compared(key: str, less_is_better: bool) -> Compared:
    name, meaning = _WORDS["measures"][key]
    return Compared(key, name, meaning, less_is_better)


GROUPS: tuple[tuple[str, tuple[Compared, ...]], ...] = tuple(
    (_WORDS["groups"][group], tuple(_compared(*entry) for entry in entries)) for group, entries in HEADLINE
)
COMPARED: dict[str, Compared] = {one.key: one for _, some in GROUPS for one in some}

TESTED = (
    *("grec_50", "acc_50"),
    *("not_found.recall", "hallucination_rate", "miss_rate"),
    *("unparsable.rate", "cut_off.rate"),
)
"""What each sample is right or wrong about, so that an exact test can be made of it: these alone are called better or
worse. A few, since each further test makes all of them less sure."""
MEDIAN = "median_iou"

# What a report has besides the headline that a gate may be about, and whether less of it is better.
_FURTHER = {
    "n_acc": False,
    "mean_giou": False,
    "counting.mean_error": True,
    "duplicates.repeated": True,
    "runaway.cut": True,
    **{f"average_precision.{name}": False for name in STATISTICS},
}
GATED: dict[str, bool] = {**{key: one.less_is_better for key, one in COMPARED.items()}, **_FURTHER}
"""What a gate may be about, and whether less of it is better."""
