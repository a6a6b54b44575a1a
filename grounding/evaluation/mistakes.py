"""Kinds of mistakes, how much each would gain if it were mended, and which classes are taken for which.

After TIDE (D. Bolya et al., A General Toolbox for Identifying Object Detection Errors, ECCV 2020), for boxes without
scores: in place of average precision, F1 over boxes and `grec_50` say what mending gains. Knows the flat arrays of
`scored` and which true boxes are near; does not know texts or pages.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grounding.evaluation.match import Ints
from grounding.evaluation.neighbours import Classes, Neighbours
from grounding.evaluation.protocols import HIT
from grounding.evaluation.scored import Scored

NEAR = 0.1  # IoU from which a box that hits nothing is a badly placed one (TIDE's background threshold)
NOTHING = "(nothing)"
PAIRS_NAMED = 30  # confusions in the report's list of the most frequent ones

KINDS = {
    "localisation": "a box near a true one, IoU from 0.1 to below 0.5",
    "wrong_object": "a box on something else that the data asks for in this image",
    "duplicate": "a box on a true one that another box has found",
    "invented": "a box on nothing that is known",
    "missed": "a true box that no box of the answer is near",
    "unreadable": "an answer that is unparsable or cut off",
}


def kinds_of_mistakes(scored: Scored, near: Neighbours) -> dict[str, NDArray[np.bool_]]:
    """Each mistake as one kind: bool[P] of answered boxes, but `missed` bool[T] of true ones, `unreadable` bool[N].

    A counted box without a hit is a duplicate, else on a wrong object, else badly placed, else invented: the first that
    fits. A true box that was not found is missed unless a badly placed box is near it or the answer is unreadable.
    """
    wrong = ~scored.hit & ~scored.left_out
    duplicate = wrong & (near.own.overlap >= HIT)
    wrong_object = wrong & ~duplicate & (near.other.overlap >= HIT)
    localisation = wrong & ~duplicate & ~wrong_object & (near.own.overlap >= NEAR)
    unreadable = (scored.status == "unparsable") | (scored.status == "cut_off")
    approached = np.zeros(len(scored.found), dtype=bool)
    approached[near.own.other[localisation]] = True
    return {
        "localisation": localisation,
        "wrong_object": wrong_object,
        "duplicate": duplicate,
        "invented": wrong & ~duplicate & ~wrong_object & ~localisation,
        "missed": ~scored.found & ~approached & ~unreadable[scored.truth.box_sample],
        "unreadable": unreadable,
    }


def mistaken_samples(scored: Scored, near: Neighbours) -> dict[str, Ints]:
    """For each of `KINDS` the numbers of the samples in which it was made, ascending: int64[M]."""
    kinds = kinds_of_mistakes(scored, near)
    return {kind: np.unique(sample_of(scored, kind)[which]) for kind, which in kinds.items()}


def mistakes(scored: Scored, near: Neighbours) -> dict[str, dict[str, Any]]:
    """For each of `KINDS`: how often, and what `f1_50` and `grec_50` would rise by if it alone were mended.

    Mended means: a badly placed box becomes a hit on the true box it is near (further ones on the same box are taken
    away); a duplicate, a box on a wrong object and an invented one are taken away, and an absent sample without boxes
    left is answered "not found"; a missed box is found; an unreadable answer becomes a right one.
    """
    found_kinds = kinds_of_mistakes(scored, near)
    mended = _Mended(scored)
    f1, grec = mended.rates(*mended.counts())
    table: dict[str, dict[str, Any]] = {}
    for kind, which in found_kinds.items():
        better_f1, better_grec = mended.rates(*mended.counts(kind, which, near))
        table[kind] = {
            "n": int(which.sum()),
            "samples": int(np.unique(sample_of(scored, kind)[which]).size),
            "f1_50_gain": None if f1 is None or better_f1 is None else better_f1 - f1,
            "grec_50_gain": None if grec is None or better_grec is None else better_grec - grec,
        }
    return table


def sample_of(scored: Scored, kind: str) -> Ints:
    """The sample of each thing that a kind of mistake is told of."""
    if kind == "unreadable":
        return np.arange(len(scored.status))
    return scored.truth.box_sample if kind == "missed" else scored.answered_sample


class _Mended:
    """The counts of the answers as they are, or with one kind of mistake mended."""

    def __init__(self, scored: Scored) -> None:
        self._scored = scored

    def counts(
        self, kind: str | None = None, which: NDArray[np.bool_] | None = None, near: Neighbours | None = None
    ) -> tuple[Ints, Ints, NDArray[np.bool_]]:
        """int64[N] true boxes found, int64[N] boxes answered, bool[N] answered "not found"."""
        scored, truth = self._scored, self._scored.truth
        found, answered = scored.counts["found"], scored.counts["answered"]
        said = scored.status == "not_found"
        if kind is None or which is None:
            return found, answered, said
        absent = truth.count == 0
        if kind == "unreadable":
            whole = np.where(which, truth.count, 0)
            return found + whole, answered + whole, said | (which & absent)
        if kind == "missed":
            more = scored.per_sample(which, truth.box_sample)
            return found + more, answered + more, said
        removed = scored.per_sample(which, scored.answered_sample)
        more = np.zeros_like(found)
        if kind == "localisation" and near is not None:
            reached = np.unique(near.own.other[which])
            reached = reached[~scored.found[reached]]
            more = np.bincount(truth.box_sample[reached], minlength=len(found))
        answered = answered - removed + more
        return found + more, answered, said | (absent & (removed > 0) & (answered == 0))

    def rates(self, found: Ints, answered: Ints, said: NDArray[np.bool_]) -> tuple[float | None, float | None]:
        """(f1_50, grec_50) of such counts; None where nothing is counted."""
        count = self._scored.truth.count
        boxes = int(answered.sum() + count.sum())
        right = np.where(count > 0, (found == count) & (answered == found), said)
        return (2 * int(found.sum()) / boxes if boxes else None), (float(right.mean()) if len(right) else None)


def confusion(scored: Scored, near: Neighbours, classes: Classes) -> dict[str, Any]:
    """Which class's true box each counted box lies on, by the class that was asked for.

    A hit counts for the class of its true box; another box for that of the true box in the image that it overlaps by
    0.5 or more, its own sample's first; else for nothing. What it says: asked for the row's class, the model showed
    the column's.

    Returns:
        `table`, boxes by class asked for and class found, `(nothing)` among these, zeros left out; `pairs`, the most
        frequent confusions, `{"asked", "found", "n", "of"}`, `of` being all boxes answered for the class asked for.
    """
    where = np.where(
        scored.hit,
        scored.matched_true,
        np.where(near.own.overlap >= HIT, near.own.other, np.where(near.other.overlap >= HIT, near.other.other, -1)),
    )
    counted = ~scored.left_out
    asked = classes.of_sample[scored.answered_sample[counted]]
    nothing = len(classes.names)
    found = np.where(where[counted] >= 0, np.append(classes.of_box, nothing)[where[counted]], nothing)
    names = [*classes.names, NOTHING]
    cells = Counter(zip(asked.tolist(), found.tolist(), strict=True))
    table: dict[str, dict[str, int]] = {}
    for (row, column), n in sorted(cells.items()):
        table.setdefault(names[row], {})[names[column]] = n
    mixed = [
        {"asked": asked_name, "found": found_name, "n": n, "of": sum(row.values())}
        for asked_name, row in table.items()
        for found_name, n in row.items()
        if found_name not in (asked_name, NOTHING)
    ]
    mixed.sort(key=lambda pair: (-int(str(pair["n"])), str(pair["asked"]), str(pair["found"])))
    return {"table": table, "pairs": mixed[:PAIRS_NAMED], "pairs_in_all": len(mixed)}
