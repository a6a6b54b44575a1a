"""How many boxes an answer gives: counting errors, duplicates, answers that run away. Measures as in `metrics`.

Knows the flat arrays of `scored`; does not know texts, intervals or pages.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from grounding.evaluation.intervals import Measure
from grounding.evaluation.match import best_overlap
from grounding.evaluation.protocols import HIT
from grounding.evaluation.scored import Scored

RUNAWAY = 20  # boxes beyond the true ones from which an answer has run away


def conduct(scored: Scored) -> dict[str, Measure]:
    """Rates over samples, but `duplicates.rate` and `duplicates.repeated`, which are over answered boxes.

    - `counting.exact`: as many boxes answered as there are true ones, 0 answered only by "not found".
    - `counting.mean_error` = mean |answered - true|, `counting.bias` = mean (answered - true): over samples whose
      answer can be read (boxes or not found), since gibberish is no number.
    - `duplicates.rate`: boxes that hit nothing but overlap by 0.5 or more a true box which another one found (the
      duplicates of TIDE: D. Bolya et al., ECCV 2020). `duplicates.repeated`: the very box stands in the answer before.
    - `runaway.rate`: answers with more than 20 boxes beyond the true ones.
    - `runaway.cut`: answers that the token budget ended, be there boxes before or not.
    """
    truth, rows = scored.truth, len(scored.status)
    answered = scored.counts["answered"]
    readable = (scored.status == "boxes") | (scored.status == "not_found")
    error = (answered - truth.count).astype(np.float64)
    everywhere = np.ones(rows)
    exact = readable & (error == 0) & ((answered > 0) | (scored.status == "not_found"))
    duplicates = scored.per_sample(duplicated(scored), scored.answered_sample)
    repeated = scored.per_sample(_repeated(scored) & ~scored.left_out, scored.answered_sample)
    return {
        "counting.exact": Measure(exact.astype(np.float64), everywhere),
        "counting.mean_error": Measure(np.abs(error) * readable, readable.astype(np.float64), high=math.inf),
        "counting.bias": Measure(error * readable, readable.astype(np.float64), low=-math.inf, high=math.inf),
        "duplicates.rate": Measure(duplicates.astype(np.float64), answered.astype(np.float64)),
        "duplicates.repeated": Measure(repeated.astype(np.float64), answered.astype(np.float64)),
        "runaway.rate": Measure((error > RUNAWAY).astype(np.float64), everywhere),
        "runaway.cut": Measure(scored.answers.cut.astype(np.float64), everywhere),
    }


def duplicated(scored: Scored) -> NDArray[np.bool_]:
    """bool[P]: counted boxes without a hit on a true box that another one found."""
    open_boxes = np.flatnonzero(~scored.hit & ~scored.left_out)
    found = np.flatnonzero(scored.found)
    truth = scored.truth
    overlap = best_overlap(
        scored.answered[open_boxes], scored.answered_sample[open_boxes], truth.boxes[found], truth.box_sample[found]
    ).overlap
    table = np.zeros(len(scored.answered), dtype=bool)
    table[open_boxes] = overlap >= HIT
    return table


def _repeated(scored: Scored) -> NDArray[np.bool_]:
    """bool[P]: boxes that stand in the same answer before, number by number."""
    boxes = scored.answered
    order = np.lexsort((*boxes.T, scored.answered_sample))  # stable: of equals, the first in the text comes first
    alike = np.zeros(len(boxes), dtype=bool)
    same = (boxes[order[1:]] == boxes[order[:-1]]).all(axis=1)
    same &= scored.answered_sample[order[1:]] == scored.answered_sample[order[:-1]]
    alike[order[1:]] = same
    return alike
