"""One line of `samples.jsonl` for each sample: its status, IoUs and refusals, and what was answered, in pixels.

Knows an evaluation; does not know pages or pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from grounding.evaluation.evaluate import Evaluation
from grounding.evaluation.other_tasks import is_exact
from grounding.evaluation.predictions import Prediction
from grounding.samples import Sample

DIGITS = 4  # decimals of IoUs and pixels in the file


def sample_rows(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    """The rows, in the order of the data. A sample that asks for no box has status null and `exact_match`."""
    boxed = _boxed_rows(evaluation)
    for sample, prediction in zip(evaluation.samples, evaluation.predictions, strict=True):
        head = {
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
        yield {**head, **(next(boxed) if sample.boxes is not None else _text_row(sample, prediction))}


def _boxed_rows(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    """The measured part of the rows of the samples that ask for boxes, in order."""
    scored, truth = evaluation.scored, evaluation.scored.truth
    answered_ends = np.searchsorted(scored.answered_sample, np.arange(len(truth.samples)), side="right")
    true_ends = np.cumsum(truth.count)
    start = 0
    for number, sample in enumerate(truth.samples):
        answered = slice(start, int(answered_ends[number]))
        start = answered.stop
        first_true = int(true_ends[number] - truth.count[number])
        judged = scored.judged[number]
        yield {
            "status": judged.status,
            "reason": judged.reason,
            "outcome": evaluation.outcome[number],
            "right": bool(scored.right[number]),
            "quality": round(float(scored.quality[number]), DIGITS),
            "first_iou": round(float(scored.first_iou[number]), DIGITS) if truth.count[number] == 1 else None,
            "ious": _rounded(scored.true_iou[first_true : true_ends[number]]),
            "boxes_px": [_rounded(box) for box in scored.answered[answered]],
            "matched": [int(true) - first_true if true >= 0 else None for true in scored.matched_true[answered]],
            "left_out": [bool(left_out) for left_out in scored.left_out[answered]],
            "true_px": sample.boxes,
            "ignore_px": sample.ignore,
            "refusals": [refusal._asdict() for refusal in judged.refusals],
        }


def _text_row(sample: Sample, prediction: Prediction | None) -> dict[str, Any]:
    text = None if prediction is None else prediction.text
    return {"status": None, "label": sample.label, "exact_match": is_exact(sample, text)}


def _rounded(values: Any) -> list[float]:
    return [round(float(value), DIGITS) for value in values]
