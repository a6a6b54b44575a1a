"""Gives every answer exactly one status: cut off, boxes, not found, or unparsable; one by one, or many as flat arrays.

Knows what an answer says, through the dialects of `grounding.text`; does not know what would have been right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from grounding.evaluation.predictions import Prediction
from grounding.text import COGVLM, Dialect, Refusal, read_written

Status = Literal["cut_off", "boxes", "not_found", "unparsable"]
STATUSES: tuple[Status, ...] = ("boxes", "not_found", "unparsable", "cut_off")  # in the order of display
MISSING = "missing"
BESIDE_NOT_FOUND = "boxes_and_not_found"
NO_BOXES: NDArray[np.int64] = np.zeros((0, 4), dtype=np.int64)
AT_ONCE = 10_000  # answers whose texts are in memory at a time


@dataclass(frozen=True, slots=True)
class Judged:
    """What an answer says.

    Args:
        status: one of `STATUSES`.
        reason: why it is unparsable (the first refusal in text order, or `missing`); None for every other status.
        xyxy_grid: int64[N, 4], the answered boxes in text order; empty unless the status is `boxes`.
        groups: int64[N], the number of the group that each box came from.
        refusals: everything that was refused, in text order, whatever the status.
    """

    status: Status
    reason: str | None
    xyxy_grid: NDArray[np.int64]
    groups: NDArray[np.int64]
    refusals: tuple[Refusal, ...]


def judge(
    text: str | None,
    finish: str | None = None,
    not_found: Mapping[str, str] | None = None,
    *,
    dialect: Dialect = COGVLM,
    size_wh: tuple[float, float] = (1.0, 1.0),
) -> Judged:
    """The status of one answer; the first that fits of cut_off, boxes, not_found, unparsable.

    Args:
        text: the answer exactly as generated; None where there is none (unparsable, reason `missing`).
        finish: "length" where the model was cut off; such an answer without one complete box is `cut_off`.
        not_found: the not-found sentences by language; those of the grammar where None.
        dialect: the form of the boxes.
        size_wh: of the frame that the answer is about; only a dialect that writes pixels asks for it.

    An answer with valid boxes and a not-found sentence contradicts itself: unparsable, and its boxes are not counted.
    """
    if text is None:
        return Judged("unparsable", MISSING, NO_BOXES, NO_BOXES[:, 0], ())
    reading = dialect.read(text, size_wh, not_found)
    refusals = tuple(reading.refusals)
    contradicts = any(refusal.reason == BESIDE_NOT_FOUND for refusal in refusals)
    complete_box = contradicts or len(reading.xyxy_grid) > 0  # the grammar keeps no box of a contradiction
    if finish == "length" and not complete_box:
        return Judged("cut_off", None, NO_BOXES, NO_BOXES[:, 0], refusals)
    if len(reading.xyxy_grid):
        return Judged("boxes", None, reading.xyxy_grid, reading.groups, refusals)
    if reading.not_found:
        return Judged("not_found", None, NO_BOXES, NO_BOXES[:, 0], refusals)
    return Judged("unparsable", refusals[0].reason, NO_BOXES, NO_BOXES[:, 0], refusals)


@dataclass(frozen=True)
class Answers:
    """What many answers say. N answers, P boxes, those of one answer together and in text order.

    Args:
        status: str[N], each one of `STATUSES`.
        cells: int64[P, 4], x0, y0, x1, y1 on the dialect's scale; sample: int64[P], ascending; group: int64[P].
        reason: why an answer is unparsable, by its number.
        refusals: of the answers that have any, by their number.
        cut: bool[N], ended by the token budget, whatever could be read before.
        scores: float64[P], what the answers say of their boxes, NaN where one says nothing.
        unfit: answers whose scores are not one for each box that was read.
    """

    status: NDArray[np.str_]
    cells: NDArray[np.int64]
    sample: NDArray[np.int64]
    group: NDArray[np.int64]
    reason: Mapping[int, str] = field(default_factory=dict)
    refusals: Mapping[int, tuple[Refusal, ...]] = field(default_factory=dict)
    cut: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    scores: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    unfit: int = 0


def same_answers(status: Sequence[Status], cells: NDArray[np.int64], count: NDArray[np.int64]) -> Answers:
    """Answers that no model gave: their status and their boxes, `count` int64[N] of them each, one group an answer."""
    sample = np.repeat(np.arange(len(count)), count)
    return Answers(
        np.array(status, dtype=np.str_),
        cells,
        sample,
        np.zeros(len(cells), dtype=np.int64),
        cut=np.zeros(len(count), dtype=bool),
        scores=np.full(len(cells), np.nan),
    )


def judge_all(
    predictions: Iterable[Prediction | None],
    sizes: NDArray[np.float64],
    not_found: Mapping[str, str] | None = None,
    dialect: Dialect = COGVLM,
) -> Answers:
    """`judge` for many answers; their texts are not kept.

    Answers that are written as CogVLM's writer writes them, which most are, are read many at once.

    Args:
        predictions: one for each row of `sizes`; None where there is none.
        sizes: float64[N, 2], width and height of the frame that each is about.
    """
    gathered = _Gathered(dialect, not_found)
    rest = iter(predictions)
    while some := list(islice(rest, AT_ONCE)):
        gathered.add(some, sizes)
    return gathered.answers()


class _Gathered:
    """Answers as they come, piece by piece."""

    def __init__(self, dialect: Dialect, not_found: Mapping[str, str] | None) -> None:
        self._dialect, self._not_found = dialect, not_found
        self._wordless: dict[tuple[str | None, str | None], Judged] = {}  # answers without a box, often the same
        self._statuses: list[str] = []
        self._reason: dict[int, str] = {}
        self._refusals: dict[int, tuple[Refusal, ...]] = {}
        self._cut: list[bool] = []
        self._unfit = 0
        self._pieces: dict[str, list[NDArray[Any]]] = {name: [] for name in ("cells", "count", "group", "scores")}

    def add(self, predictions: Sequence[Prediction | None], sizes: NDArray[np.float64]) -> None:
        start = len(self._statuses)
        texts = [prediction.text if prediction is not None else "" for prediction in predictions]
        fits, cells, count = (
            read_written(texts, self._not_found)
            if self._dialect is COGVLM
            else (np.zeros(len(texts), dtype=bool), NO_BOXES, np.zeros(len(texts), dtype=np.int64))
        )
        single: list[tuple[int, Judged]] = []
        for number, quick in enumerate(fits.tolist()):
            prediction = predictions[number]
            self._cut.append(prediction is not None and prediction.finish == "length")
            if quick:
                self._statuses.append("boxes")
                continue
            judged = self._judge(prediction, sizes[start + number])
            self._statuses.append(judged.status)
            if judged.reason is not None:
                self._reason[start + number] = judged.reason
            if judged.refusals:
                self._refusals[start + number] = judged.refusals
            count[number] = len(judged.xyxy_grid)
            if count[number]:
                single.append((number, judged))
        self._put_together(fits, cells, count, single)
        self._add_scores(predictions, count)

    def _put_together(
        self,
        fits: NDArray[np.bool_],
        cells: NDArray[np.int64],
        count: NDArray[np.int64],
        single: list[tuple[int, Judged]],
    ) -> None:
        """The boxes read at once and those read singly, in the order of the answers."""
        quick = np.repeat(fits, count)
        together = np.empty((len(quick), 4), dtype=np.int64)
        group = np.zeros(len(quick), dtype=np.int64)
        together[quick] = cells
        first = np.cumsum(count) - count
        for number, judged in single:
            place = slice(first[number], first[number] + count[number])
            together[place], group[place] = judged.xyxy_grid, judged.groups
        for name, piece in (("cells", together), ("count", count), ("group", group)):
            self._pieces[name].append(piece)

    def _add_scores(self, predictions: Sequence[Prediction | None], count: NDArray[np.int64]) -> None:
        scores = np.full(int(count.sum()), np.nan)
        ends = np.cumsum(count)
        for number, prediction in enumerate(predictions):
            if prediction is None or prediction.scores is None:
                continue
            if len(prediction.scores) == count[number]:
                scores[ends[number] - count[number] : ends[number]] = prediction.scores
            elif count[number]:
                self._unfit += 1
        self._pieces["scores"].append(scores)

    def _judge(self, prediction: Prediction | None, size: NDArray[np.float64]) -> Judged:
        text, finish = (None, None) if prediction is None else (prediction.text, prediction.finish)
        known = self._wordless.get((text, finish))
        if known is not None:
            return known
        size_wh = (float(size[0]), float(size[1]))
        judged = judge(text, finish, self._not_found, dialect=self._dialect, size_wh=size_wh)
        if judged.status == "not_found" or text is None:
            self._wordless[text, finish] = judged
        return judged

    def answers(self) -> Answers:
        def whole(name: str, empty: NDArray[Any]) -> NDArray[Any]:
            return np.concatenate(self._pieces[name]) if self._pieces[name] else empty

        count = whole("count", NO_BOXES[:, 0])
        return Answers(
            status=np.array(self._statuses, dtype=np.str_),
            cells=whole("cells", NO_BOXES),
            sample=np.repeat(np.arange(len(count)), count),
            group=whole("group", NO_BOXES[:, 0]),
            reason=self._reason,
            refusals=self._refusals,
            cut=np.array(self._cut, dtype=bool),
            scores=whole("scores", np.zeros(0)),
            unfit=self._unfit,
        )
