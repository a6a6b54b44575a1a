"""Which evaluation is the best, and when enough have passed without a better one.

Knows numbers only: `grec_50` decides, a tie goes to the lower loss, a tie of both to the earlier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SCORE = "eval_score"


def checkpoint_score(grec_50: float, loss: float) -> float:
    """One number that orders checkpoints by `grec_50` (0..1, higher is better), then by loss (>= 0, lower is better).

    The loss moves it by less than a millionth, and `grec_50` has steps of one over the number of samples: the order is
    exact for up to a million evaluation samples.
    """
    return grec_50 + 1e-6 / (1.0 + loss)


def scores_by_step(history: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """Step to score, in order, out of the trainer's log."""
    return {int(entry["step"]): float(entry[SCORE]) for entry in history if SCORE in entry}


def best_step(history: Sequence[Mapping[str, Any]]) -> int | None:
    """The step of the best evaluation so far, the first of equals; None before any."""
    scores = scores_by_step(history)
    return max(scores, key=lambda step: scores[step]) if scores else None


def evaluations_since_best(history: Sequence[Mapping[str, Any]]) -> int:
    """How many evaluations came after the best one."""
    steps = list(scores_by_step(history))
    best = best_step(history)
    return len(steps) - 1 - steps.index(best) if best is not None else 0
