"""What the scores of boxes are worth: average precision, calibration, and the threshold of the best F1.

Average precision is pycocotools' own: COCOeval does the matching and the summing up. Knows the flat arrays of `scored`;
does not know how scores are made. Where answers carry no scores, these measures are said to be absent, and why.
"""

from __future__ import annotations

import contextlib
import io
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy.stats import t as student

from grounding.evaluation.intervals import rate
from grounding.evaluation.match import Ints
from grounding.evaluation.neighbours import Classes
from grounding.evaluation.scored import Scored

# COCOeval's twelve numbers in its own order (cocodataset.org, detection evaluation).
STATISTICS = (
    *("ap_50_95", "ap_50", "ap_75", "ap_small", "ap_medium", "ap_large"),
    *("ar_1", "ar_10", "ar_100", "ar_small", "ar_medium", "ar_large"),
)
GROUPS = 20  # random groups of images for the jackknife of the average precision
BINS = 10


# Why there is no ranking of boxes; `{...}` stands for numbers.
NO_SCORES = {
    "merged": "the protocol {protocol} merges boxes, and a merged box has no score",
    "unfit": "{n} answers have scores that are not one for each box that was read",
    "no_box": "no answer has a box",
    "without": "{n} of {all} answers with boxes carry no scores",
    "no_truth": "there is no true box to find",
    "ignored": "every answered box lies on an ignored area",
}


def _absent(reason: str, **values: Any) -> dict[str, Any]:
    """What stands in place of a measure: a sentence, and the same as a key of `NO_SCORES` with its values."""
    return {"absent": NO_SCORES[reason].format(**values), "because": {"reason": reason, **values}}


def why_no_scores(scored: Scored) -> dict[str, Any] | None:
    """Why the boxes cannot be ranked, `{"absent": sentence, "because": ...}`; None where each has a score."""
    if scored.protocol.merged:
        return _absent("merged", protocol=scored.protocol.name)
    if scored.answers.unfit:
        return _absent("unfit", n=scored.answers.unfit)
    if not len(scored.answered):
        return _absent("no_box")
    without = int(np.unique(scored.answered_sample[np.isnan(scored.scores)]).size)
    if without:
        return _absent("without", n=without, all=int(np.unique(scored.answered_sample).size))
    return None


def average_precision(scored: Scored, classes: Classes, *, seed: int = 0) -> dict[str, Any]:
    """COCO's average precision and recall; `{"absent": why}` where boxes carry no scores.

    Every sample is an image of its own to COCOeval, of the class it asks for: that is COCO's own division where there
    is one sample for each image and class, and keeps several phrases about one image apart. `ignore` boxes are crowds.
    Numbers are null where COCOeval has -1: no true box to find. Intervals, of `ap_50_95` and `ap_50`: a delete-a-group
    jackknife over 20 random groups of images (P. S. Kott, Journal of Official Statistics 17, 2001), Student's t.
    """
    absent = why_no_scores(scored)
    if absent is not None:
        return absent
    if not len(scored.truth.boxes):
        return _absent("no_truth")
    evaluated = [_evaluate(scored, np.flatnonzero(classes.of_sample == number)) for number in range(len(classes.names))]
    statistics = _summary(evaluated)
    spread = _jackknife(scored, evaluated, seed)
    n = len(scored.truth.boxes)
    table: dict[str, Any] = {}
    for name, value in zip(STATISTICS, statistics, strict=True):
        known = None if value < 0 else float(value)
        half = spread.get(name)
        span = None if known is None or half is None else (max(0.0, known - half), min(1.0, known + half))
        table[name] = rate(known, span, n)
    return table


def _evaluate(scored: Scored, chosen: Ints) -> COCOeval:
    """COCOeval, run on the samples of one class."""
    truth = scored.truth
    inside = np.zeros(len(truth.count), dtype=bool)
    inside[chosen] = True
    notes = _annotations(truth.boxes, truth.box_sample, inside, iscrowd=0)
    notes += _annotations(truth.ignore, truth.ignore_sample, inside, iscrowd=1)
    for number, note in enumerate(notes, start=1):
        note["id"] = number
    found = _annotations(scored.answered, scored.answered_sample, inside, iscrowd=0)
    kept = inside[scored.answered_sample]
    for number, (note, score) in enumerate(zip(found, scored.scores[kept].tolist(), strict=True), start=1):
        note |= {"id": number, "score": score}
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_coco(chosen, notes), _coco(chosen, found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _annotations(
    boxes: NDArray[np.float64], sample: Ints, inside: NDArray[np.bool_], iscrowd: int
) -> list[dict[str, Any]]:
    kept = inside[sample]
    corners = boxes[kept]
    sides = corners[:, 2:] - corners[:, :2]
    return [
        {"image_id": image, "category_id": 1, "bbox": [*box[:2], *side], "area": side[0] * side[1], "iscrowd": iscrowd}
        for image, box, side in zip(sample[kept].tolist(), corners.tolist(), sides.tolist(), strict=True)
    ]


def _coco(images: Ints, annotations: list[dict[str, Any]]) -> COCO:
    made = COCO()
    made.dataset = {
        "images": [{"id": image} for image in images.tolist()],
        "annotations": annotations,
        "categories": [{"id": 1}],
    }
    made.createIndex()
    return made


def _summary(evaluated: list[COCOeval]) -> NDArray[np.float64]:
    """COCOeval's twelve numbers over classes that were evaluated apart."""
    whole = evaluated[0]
    whole = copy(whole)
    whole.eval = {
        **whole.eval,
        "precision": np.concatenate([one.eval["precision"] for one in evaluated], axis=2),
        "recall": np.concatenate([one.eval["recall"] for one in evaluated], axis=1),
    }
    with contextlib.redirect_stdout(io.StringIO()):
        whole.summarize()
    return np.asarray(whole.stats)


def _jackknife(scored: Scored, evaluated: list[COCOeval], seed: int) -> dict[str, float]:
    """Half the width of the intervals of `ap_50_95` and `ap_50`."""
    images = scored.truth.images
    count = int(images.max()) + 1
    groups = min(GROUPS, count)
    if groups < 2:
        return {}
    group = np.random.default_rng(seed).permutation(count) % groups
    values = np.array([_without(evaluated, group[images] == number) for number in range(groups)])
    spread = np.sqrt((groups - 1) / groups * ((values - values.mean(axis=0)) ** 2).sum(axis=0))
    half = student.ppf(0.975, groups - 1) * spread
    return {"ap_50_95": float(half[0]), "ap_50": float(half[1])}


def _without(evaluated: list[COCOeval], left_out: NDArray[np.bool_]) -> tuple[float, float]:
    """(ap_50_95, ap_50) without some samples, bool[N]; the matching of the others stays as it is."""
    precisions = []
    for one in evaluated:
        chosen, less = copy(one.params), copy(one)
        # accumulate() passes over the images whose number it does not know.
        chosen.imgIds = [-1 if left_out[image] else image for image in one.params.imgIds]
        with contextlib.redirect_stdout(io.StringIO()):
            less.accumulate(chosen)
        precisions.append(less.eval["precision"][:, :, :, 0, -1])
    whole = np.concatenate(precisions, axis=2)
    return tuple(float(part[part > -1].mean()) if (part > -1).any() else 0.0 for part in (whole, whole[:1]))  # type: ignore[return-value]


def calibration(scored: Scored) -> dict[str, Any]:
    """Whether boxes are hits as often as their scores say; `{"absent": why}` where they carry none.

    A score is the mean log-probability of a box's tokens; exp(score) is taken for the probability of a hit at 0.5.
    `bins`: ten of equally many boxes each, `{"confidence", "hit_rate", "n"}`. `expected_error`: mean |confidence - hit
    rate| over boxes (C. Guo et al., On Calibration of Modern Neural Networks, ICML 2017). `best_threshold`: the score
    below which boxes should be dropped for the best F1 = 2 hits / (kept + true), hits as matched with all boxes there;
    chosen on this very data, so it flatters.
    """
    absent = why_no_scores(scored)
    if absent is not None:
        return absent
    counted = ~scored.left_out
    scores, hit = scored.scores[counted], scored.hit[counted].astype(np.float64)
    order = np.argsort(-scores, kind="stable")
    scores, hit = scores[order], hit[order]
    if not len(scores):
        return _absent("ignored")
    table: dict[str, Any] = {"n": len(scores), "best_threshold": _best_threshold(scores, hit, len(scored.truth.boxes))}
    if scores.max() > 0:
        return {**table, "bins": None, "expected_error": None, "why": "scores above 0 are no log-probabilities"}
    confidence = np.exp(scores)
    bins = []
    for piece in np.array_split(np.arange(len(scores))[::-1], min(BINS, len(scores))):
        mean, share = float(confidence[piece].mean()), float(hit[piece].mean())
        bins.append({"confidence": mean, "hit_rate": share, "n": len(piece)})
    error = sum(one["n"] * abs(one["confidence"] - one["hit_rate"]) for one in bins) / len(scores)
    return {**table, "bins": bins, "expected_error": error, "why": None}


def _best_threshold(scores: NDArray[np.float64], hit: NDArray[np.float64], true: int) -> dict[str, float]:
    """The threshold, the F1 with it and the F1 of all boxes; scores descend."""
    f1 = 2 * np.cumsum(hit) / (np.arange(1, len(scores) + 1) + true)
    last = np.append(scores[1:] != scores[:-1], True)  # boxes of equal score are kept or dropped together
    best = int(np.argmax(np.where(last, f1, -1.0)))
    return {"score": float(scores[best]), "f1_50": float(f1[best]), "f1_50_of_all": float(f1[-1]), "kept": best + 1}
