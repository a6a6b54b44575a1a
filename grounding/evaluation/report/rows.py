"""One line of `samples.jsonl` for each sample: its status, IoUs and refusals, and what was answered, in pixels.

Knows an evaluation; does not know pages or pictures. Rows are made one after another and none is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grounding.evaluation.evaluate import Evaluation
from grounding.evaluation.other_tasks import is_exact
from grounding.evaluation.predictions import Prediction
from grounding.samples import Sample, pick

DIGITS = 4  # decimals of IoUs and pixels in the file
ROWS_AT_ONCE = 1000  # few, so that what is made for them is gone before the garbage collector looks at it


def sample_rows(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    """The rows, in the order of the data. A sample that asks for no box has status null and `exact_match`."""
    measured = _measured(evaluation)
    for sample, prediction in zip(evaluation.samples, evaluation.predictions, strict=True):
        yield _text_row(sample, prediction) if sample.boxes is None else _boxed_row(sample, prediction, next(measured))


def rows_of(evaluation: Evaluation, places: Sequence[int]) -> Iterator[tuple[Sample, dict[str, Any]]]:
    """Some of the samples that ask for boxes, by their place among these, each with its row."""
    truth = evaluation.scored.truth
    predictions = pick(evaluation.predictions, truth.asked[list(places)].tolist())
    for place, sample, prediction in zip(places, pick(truth.samples, places), predictions, strict=True):
        (measured,) = _some_measured(evaluation, place, place + 1)
        yield sample, _boxed_row(sample, prediction, measured)


def _head(sample: Sample, prediction: Prediction | None) -> dict[str, Any]:
    return {
        "id": sample.id,
        "image": sample.image,
        "task": sample.task,
        "lang": sample.lang,
        "phrase": sample.phrase,
        "category": sample.category,
        "prompt": sample.prompt,
        "text": None if prediction is None else prediction.text,
        "constrained": None if prediction is None else prediction.constrained,
    }


# The keys of what is measured, in the order of `_some_measured`.
_KEYS = (
    *("status", "reason", "outcome", "right", "quality", "first_iou"),
    *("ious", "boxes_px", "matched", "left_out"),
)


def _boxed_row(sample: Sample, prediction: Prediction | None, measured: tuple[Any, ...]) -> dict[str, Any]:
    row = _head(sample, prediction)
    row.update(zip(_KEYS, measured[:-1], strict=True))
    row["true_px"], row["ignore_px"] = sample.boxes, sample.ignore
    row["refusals"] = [refusal._asdict() for refusal in measured[-1]]
    return row


def _text_row(sample: Sample, prediction: Prediction | None) -> dict[str, Any]:
    text = None if prediction is None else prediction.text
    measured = {"status": None, "label": sample.label, "exact_match": is_exact(sample, text)}
    return _head(sample, prediction) | measured


def _measured(evaluation: Evaluation) -> Iterator[tuple[Any, ...]]:
    """What was measured of each sample that asks for boxes, in order: values for `_KEYS`, and the refusals."""
    count = len(evaluation.scored.status)
    for start in range(0, count, ROWS_AT_ONCE):
        yield from _some_measured(evaluation, start, min(start + ROWS_AT_ONCE, count))


def _some_measured(evaluation: Evaluation, start: int, stop: int) -> Iterator[tuple[Any, ...]]:
    """The same of the samples from one place to another, column by column."""
    scored, truth = evaluation.scored, evaluation.scored.truth
    samples = np.arange(start, stop + 1)
    answered_edges = np.searchsorted(scored.answered_sample, samples)
    true_edges = np.searchsorted(truth.box_sample, samples)
    answered, true = slice(answered_edges[0], answered_edges[-1]), slice(true_edges[0], true_edges[-1])
    partner = scored.matched_true[answered]
    # Numbered within the sample; none is null.
    inside = (partner - np.repeat(true_edges[:-1], np.diff(answered_edges))).tolist()
    matched = [number if paired else None for number, paired in zip(inside, (partner >= 0).tolist(), strict=True)]
    single = (truth.count[start:stop] == 1).tolist()
    first = zip(_rounded(scored.first_iou[start:stop]), single, strict=True)
    answers = scored.answers
    return zip(
        answers.status[start:stop].tolist(),
        map(answers.reason.get, range(start, stop)),
        evaluation.outcome[start:stop],
        scored.right[start:stop].tolist(),
        _rounded(scored.quality[start:stop]),
        [iou if is_single else None for iou, is_single in first],
        _cut(_rounded(scored.true_iou[true]), true_edges),
        _cut(_rounded(scored.answered[answered]), answered_edges),
        _cut(matched, answered_edges),
        _cut(scored.left_out[answered].tolist(), answered_edges),
        (answers.refusals.get(number, ()) for number in range(start, stop)),
        strict=True,
    )


def _cut(values: list[Any], edges: NDArray[np.int64]) -> Iterator[list[Any]]:
    """The values of each sample; the first edge is the place of the first value."""
    places = (edges - edges[0]).tolist()
    return (values[begin:end] for begin, end in pairwise(places))


def _rounded(values: NDArray[np.float64]) -> list[Any]:
    rounded: list[Any] = np.round(values, DIGITS).tolist()
    return rounded
