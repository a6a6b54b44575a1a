"""What one gets without looking at a picture: the same metrics for one constant box, and for never finding anything.

Knows the truth (the constant box is chosen by it, on purpose); does not know any model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from grounding.evaluation.match import Floats
from grounding.evaluation.metrics import metrics
from grounding.evaluation.parse import NO_BOXES, same_answers
from grounding.evaluation.protocols import HIT, Protocol
from grounding.evaluation.scored import Truth, hold_against
from grounding.geometry import iou_pairs
from grounding.text import GRID, to_grid, to_pixels, write_boxes

CANDIDATES = 300  # true boxes tried as they are
TARGETS = 3000  # true boxes that a candidate is tried on
REFINED = 3  # best candidates that are then moved, side by side
STEPS = (64, 16, 4, 1)  # cells
WHOLE = (1.0, 1.0)  # a frame of size 1: IoU does not change when an axis is stretched


def baselines(truth: Truth, protocol: Protocol, *, seed: int = 0) -> dict[str, Any]:
    """`constant_best_box` and `always_not_found`: the metrics of answering every sample so.

    The constant box is chosen on this very data, for the most hits at IoU 0.5 (ties: mean IoU): on samples with one
    true box where there are any, on all true boxes otherwise. It is thus better than any constant that one could know
    beforehand: what a model has above it, it has from looking.
    """
    table = {}
    rows = len(truth.count)
    box = best_constant_box(truth, seed=seed)
    if box is not None:
        constant = same_answers(["boxes"] * rows, np.tile(box, (rows, 1)), np.ones(rows, dtype=np.int64))
        scored = hold_against(truth, constant, protocol, GRID)
        text = write_boxes(to_pixels(box[None, :], WHOLE), WHOLE).text
        table["constant_best_box"] = {"answer": text, **metrics(scored, seed=seed)}
    silent = same_answers(["not_found"] * rows, NO_BOXES, np.zeros(rows, dtype=np.int64))
    scored = hold_against(truth, silent, protocol)
    table["always_not_found"] = metrics(scored, seed=seed)
    return table


def perfect_answers(truth: Truth, protocol: Protocol, *, seed: int = 0) -> dict[str, Any]:
    """The metrics of answering with the truth itself, written in cells: what no model can pass."""
    cells = truth.in_cells(truth.scale)[0].astype(np.int64)
    answers = same_answers(["boxes" if count else "not_found" for count in truth.count], cells, truth.count)
    return metrics(hold_against(truth, answers, protocol), seed=seed)


def best_constant_box(truth: Truth, *, seed: int = 0) -> NDArray[np.int64] | None:
    """int64[4] on the grid; None where no sample has a true box.

    Tries true boxes, their median and the whole frame, then moves the sides of the best ones as long as it helps.
    """
    if not len(truth.boxes):
        return None
    relative = truth.boxes / np.tile(truth.sizes[truth.box_sample], 2)
    single = truth.count[truth.box_sample] == 1
    rng = np.random.default_rng(seed)
    targets = _some(relative[single] if single.any() else relative, TARGETS, rng)
    tried = [_some(targets, CANDIDATES, rng), np.median(targets, axis=0)[None, :], np.array([[0.0, 0.0, 1.0, 1.0]])]
    cells = np.unique(np.asarray(to_grid(np.concatenate(tried), WHOLE)[0], dtype=np.int64), axis=0)
    order = np.argsort([-value for value in _worth(cells, targets)], kind="stable")[:REFINED]
    moved = np.stack([_move(cells[number], targets) for number in order])
    best: NDArray[np.int64] = moved[int(np.argmax(_worth(moved, targets)))]
    return best


def _move(box: NDArray[np.int64], targets: Floats) -> NDArray[np.int64]:
    """Coordinate ascent: the best move of one side by a step, until none helps, with ever smaller steps."""
    worth = _worth(box[None, :], targets)[0]
    top = int(np.asarray(to_grid(np.array([[0.0, 0.0, 1.0, 1.0]]), WHOLE)[0]).max())
    for step in STEPS:
        while True:
            moves = np.clip(box + step * np.concatenate([np.eye(4), -np.eye(4)]).astype(np.int64), 0, top)
            moves = moves[(moves[:, 2] > moves[:, 0]) & (moves[:, 3] > moves[:, 1])]
            values = _worth(moves, targets)
            if not len(moves) or values.max() <= worth:
                break
            worth, box = values.max(), moves[int(values.argmax())]
    return box


def _worth(cells: NDArray[np.int64], targets: Floats) -> Floats:
    """Share of targets hit at 0.5; the mean IoU (at most 1, so it only breaks ties between shares of `TARGETS`)."""
    boxes = to_pixels(cells, WHOLE)
    iou = np.stack([iou_pairs(np.broadcast_to(box, targets.shape), targets) for box in boxes])
    worth: Floats = (iou >= HIT).sum(axis=1) + 0.5 * iou.mean(axis=1)
    return worth


def _some(boxes: Floats, most: int, rng: np.random.Generator) -> Floats:
    """At most so many rows, drawn without replacement."""
    return boxes if len(boxes) <= most else boxes[np.sort(rng.choice(len(boxes), most, replace=False))]
