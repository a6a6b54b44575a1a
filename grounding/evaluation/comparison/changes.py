"""Which samples became better or worse from one run to another, and how: outcomes, unreadable answers, texts.

Knows measured runs; does not know intervals or pages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grounding.evaluation.comparison.numbers import Answered

DIGITS = 4  # decimals of a change of IoU


@dataclass(frozen=True)
class Changes:
    """What became of each sample in another run. N samples that ask for boxes.

    Attributes:
        gained, lost: bool[N], fully right only in the other run, only in the base.
        worth: float64[N], change of the answer's quality, -1 to 1: the F1 of its boxes with IoU in place of hits;
            for an absent sample right or wrong.
        reworded: bool[N], whether the two texts differ.
    """

    gained: NDArray[np.bool_]
    lost: NDArray[np.bool_]
    worth: NDArray[np.float64]
    reworded: NDArray[np.bool_]

    @property
    def better(self) -> list[int]:
        """The samples gained, the largest change first."""
        return _ordered(np.flatnonzero(self.gained), -self.worth)

    @property
    def worse(self) -> list[int]:
        """The samples lost, the largest change first."""
        return _ordered(np.flatnonzero(self.lost), self.worth)

    @property
    def most_changed(self) -> list[int]:
        """All samples whose text changed: those gained and lost by turns, then the others by how much they changed."""
        by_turns = [number for pair in zip_longest(self.worse, self.better) for number in pair if number is not None]
        others = np.flatnonzero(self.reworded & ~self.gained & ~self.lost)
        return [*by_turns, *_ordered(others, -np.abs(self.worth))]


def changes_of(base: Answered, other: Answered) -> Changes:
    """What became of each sample."""
    was, now = base.scored, other.scored
    texts = [[_text(one, place) for place in one.scored.truth.asked.tolist()] for one in (base, other)]
    return Changes(
        gained=now.right & ~was.right,
        lost=was.right & ~now.right,
        worth=np.round(now.quality - was.quality, DIGITS),
        reworded=np.array([one != two for one, two in zip(*texts, strict=True)], dtype=bool),
    )


def told(base: Answered, other: Answered, changes: Changes) -> dict[str, Any]:
    """The changes as they stand in compare.json.

    Returns:
        `counts` {both, gained, lost, neither, reworded}; `outcomes`, how many went from which to which, zeros left out;
        `better` and `worse`, each `{"id", "from", "to", "change"}`; `unparsable`, by reason, before and after.
    """
    was, now = base.scored.right, other.scored.right
    moves = Counter(zip(base.outcome, other.outcome, strict=True))
    table: dict[str, dict[str, int]] = {}
    for (start, end), n in sorted(moves.items()):
        table.setdefault(start, {})[end] = n
    return {
        "counts": {
            "both": int((was & now).sum()),
            "gained": int(changes.gained.sum()),
            "lost": int(changes.lost.sum()),
            "neither": int((~was & ~now).sum()),
            "reworded": int(changes.reworded.sum()),
        },
        "outcomes": table,
        "better": [_one(base, other, changes, number) for number in changes.better],
        "worse": [_one(base, other, changes, number) for number in changes.worse],
        "unparsable": unparsable(base, other),
    }


def unparsable(base: Answered, other: Answered) -> dict[str, dict[str, int]]:
    """For each reason how many answers could not be read `before` and `after`."""
    counts = [Counter(one.scored.answers.reason.values()) for one in (base, other)]
    return {
        reason: {"before": counts[0][reason], "after": counts[1][reason]} for reason in sorted(counts[0] | counts[1])
    }


def _one(base: Answered, other: Answered, changes: Changes, number: int) -> dict[str, Any]:
    return {
        "id": base.scored.truth.samples[number].id,
        "from": base.outcome[number],
        "to": other.outcome[number],
        "change": float(changes.worth[number]),
    }


def _text(one: Answered, place: int) -> str | None:
    prediction = one.run.predictions[place]
    return None if prediction is None else prediction.text


def _ordered(numbers: NDArray[np.int64], by: NDArray[np.float64]) -> list[int]:
    order: Sequence[int] = numbers[np.argsort(by[numbers], kind="stable")].tolist()
    return list(order)
