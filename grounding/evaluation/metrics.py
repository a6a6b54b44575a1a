"""The metrics of the report, each as parts over wholes of every sample, with n and an interval.

Knows the flat arrays of `scored`; does not know texts, files or pages. Sources: referring accuracy and GREC as in
RefCOCO (Yu et al. 2016) and gRefCOCO (He et al. 2023); precision, recall and F1 over boxes as usual for detectors.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from grounding.evaluation.conduct import RUNAWAY, conduct
from grounding.evaluation.intervals import Measure, median, rates
from grounding.evaluation.scored import Scored
from grounding.geometry import giou_pairs

THRESHOLDS = tuple(step / 100 for step in range(50, 100, 5))  # 0.5, 0.55, ... 0.95


def measures(scored: Scored) -> dict[str, Measure]:
    """Every rate of the metrics, undivided; `group.name` stands for a rate inside a group.

    - `acc_50`, `acc_75`, `acc_90`, `acc_50_95`: samples with one true box whose first counted box reaches IoU 0.5,
      0.75, 0.9 (mean over 0.5, 0.55, ... 0.95).
    - `mean_iou`: IoU of each true box with the box matched to it, 0 where none is; `mean_giou`: its generalised IoU
      (Rezatofighi et al. 2019), -1 where none is.
    - `precision_50`, `recall_50`: matched at IoU 0.5 over answered boxes, over true boxes;
      `f1_50` = 2 * matched / (answered + true).
    - `grec_50`: every true box matched and nothing left over, which is F1 = 1; absent: answered not found. Its two
      companions (He et al. 2023): `n_acc`, absent samples answered not found; `t_acc`, present ones answered with a
      box that counts.
    - `not_found.precision`, `.recall`, `.f1`: absent samples among the answers "not found", such answers among absent
      samples, and 2 * both / (answers + absent).
    - `hallucination_rate`: absent samples answered with a box that counts; `miss_rate`: present ones, not found.
    - `unparsable.rate`, `cut_off.rate`: over all samples. `grid_ceiling`: mean IoU of the truth with itself, written.
    - `of_ceiling`: sum of the IoUs over that of the ceilings; `gap_of_grid`: (1 - ceiling) / (1 - IoU), the share of
      what is missing to 1 that no answer could have mended. Both over true boxes.
    - and those of `conduct`: `counting`, `duplicates`, `runaway`.
    """
    truth = scored.truth
    present, absent = truth.count > 0, truth.count == 0
    single = truth.count == 1
    said_not_found = scored.status == "not_found"
    rejected = said_not_found & absent
    found, answered = scored.counts["found"], scored.counts["answered"]
    reached = np.mean([_hit(scored, threshold) for threshold in THRESHOLDS], axis=0)
    rows = len(truth.count)
    overlap = np.bincount(truth.box_sample, scored.true_iou, minlength=rows)
    ceiling = np.bincount(truth.box_sample, truth.ceiling, minlength=rows)
    boxes = len(truth.boxes)
    everywhere = np.ones(rows)
    return {
        "acc_50": _measure(_hit(scored, 0.5), single),
        "acc_75": _measure(_hit(scored, 0.75), single),
        "acc_90": _measure(_hit(scored, 0.9), single),
        "acc_50_95": _measure(reached, single),
        "mean_iou": _measure(overlap, truth.count),
        "mean_giou": _measure(_giou(scored), truth.count)._replace(low=-1.0),
        "precision_50": _measure(found, answered),
        "recall_50": _measure(found, truth.count),
        "f1_50": _measure(2 * found, answered + truth.count, trials=0.5),
        "grec_50": _measure(scored.right, everywhere),
        "n_acc": _measure(rejected, absent),
        "t_acc": _measure(present & (answered > 0), present),
        "not_found.precision": _measure(rejected, said_not_found),
        "not_found.recall": _measure(rejected, absent),
        "not_found.f1": _measure(2 * rejected.astype(float), said_not_found.astype(float) + absent, trials=0.5),
        "hallucination_rate": _measure(absent & (answered > 0), absent),
        "miss_rate": _measure(present & said_not_found, present),
        "unparsable.rate": _measure(scored.status == "unparsable", everywhere),
        "cut_off.rate": _measure(scored.status == "cut_off", everywhere),
        "grid_ceiling": _measure(ceiling, truth.count),
        "of_ceiling": _measure(overlap, ceiling)._replace(n=boxes),
        "gap_of_grid": _measure(truth.count - ceiling, truth.count - overlap)._replace(n=boxes),
        **conduct(scored),
    }


def metrics(scored: Scored, *, seed: int = 0) -> dict[str, Any]:
    """The metrics of the report but `baselines`: rates as `{"value", "ci95", "n"}`, counts as int."""
    truth = scored.truth
    divided = rates(measures(scored), truth.images, seed=seed)
    reasons = Counter(scored.answers.reason.values())
    table: dict[str, Any] = {"n": len(truth.samples)}
    for name, rate in divided.items():
        group, _, inner = name.partition(".")
        if inner:
            table.setdefault(group, {})[inner] = rate
        else:
            table[name] = rate
    table["median_iou"] = median(scored.true_iou, truth.images[truth.box_sample], seed=seed)
    table["runaway"]["more_than"] = RUNAWAY
    table["not_found"]["n"] = int((truth.count == 0).sum())
    table["unparsable"] = {
        "n": int((scored.status == "unparsable").sum()),
        "rate": table["unparsable"]["rate"],
        "by_reason": dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
    }
    table["refused_parts"] = _refused_parts(scored)
    table["cut_off"] = {"n": int((scored.status == "cut_off").sum()), "rate": table["cut_off"]["rate"]}
    return table


def _refused_parts(scored: Scored) -> dict[str, Any]:
    """What could not be read in answers that have boxes all the same: such parts are no boxes and leave every rate."""
    refused = [
        [part.reason for part in parts]
        for number, parts in scored.answers.refusals.items()
        if scored.status[number] == "boxes"
    ]
    reasons = Counter(reason for answer in refused for reason in answer)
    return {
        "n": sum(reasons.values()),
        "samples": sum(bool(answer) for answer in refused),
        "by_reason": dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
    }


# What became of a sample, for people: exactly one of these, worst last within each side.
OUTCOMES = {
    "all_found": "present, every box found and none too many",
    "partly": "present, some boxes found, or found with boxes left over",
    "wrong_place": "present, boxes answered but none of them on a true one",
    "missed": "present, answered not found",
    "rejected": "absent, answered not found",
    "invented": "absent, answered with boxes",
    "ignored_only": "every answered box lies on an ignored area",
    "unparsable": "neither boxes nor the not-found sentence",
    "cut_off": "the answer was cut off before its first complete box",
}


# The first of these that fits; the last where none does.
_IN_TURN = (
    *("cut_off", "unparsable", "missed", "rejected", "ignored_only"),
    *("invented", "all_found", "partly", "wrong_place"),
)


def outcomes(scored: Scored) -> list[str]:
    """The outcome of each sample, a key of `OUTCOMES`."""
    present = scored.truth.count > 0
    found, answered = scored.counts["found"], scored.counts["answered"]
    boxes = scored.status == "boxes"
    chosen = np.select(  # numbers: words would be copied over and over
        [
            scored.status == "cut_off",
            scored.status == "unparsable",
            ~boxes & present,
            ~boxes,
            answered == 0,
            ~present,
            scored.right,
            found > 0,
        ],
        range(len(_IN_TURN) - 1),
        len(_IN_TURN) - 1,
    )
    return [_IN_TURN[outcome] for outcome in chosen.tolist()]


def curve(scored: Scored, steps: int = 20) -> dict[str, list[float]]:
    """For IoU thresholds 0.05 to 1: the share of true boxes matched at it, and the share that the grid lets reach it;
    and the share of samples with one true box whose first box reaches it (`accuracy`).
    """
    single = scored.truth.count == 1
    table: dict[str, list[float]] = {"threshold": [], "accuracy": [], "recall": [], "ceiling": []}
    for step in range(1, steps + 1):
        threshold = step / steps
        table["threshold"].append(threshold)
        table["accuracy"].append(_share(_hit(scored, threshold)[single]))
        table["recall"].append(_share(scored.protocol.hits(scored.true_overlap, threshold)))
        # 1e-9: the ceiling of a box that the grid holds exactly is 1 only up to rounding.
        table["ceiling"].append(_share(scored.truth.ceiling >= threshold - 1e-9))
    return table


def histogram(scored: Scored, bins: int = 20) -> dict[str, Any]:
    """IoU of the true boxes with the box matched to them, in equal bins of 0..1; those matched with none apart."""
    matched = scored.true_iou[scored.true_iou > 0]
    counts, _ = np.histogram(matched, bins=bins, range=(0.0, 1.0))
    return {"unmatched": int((scored.true_iou == 0).sum()), "bins": [int(count) for count in counts]}


def _share(hits: Any) -> float:
    return float(np.mean(hits)) if len(hits) else 0.0


def _hit(scored: Scored, threshold: float) -> Any:
    """bool[N]: one true box, and the first counted box reaches the threshold."""
    return scored.protocol.hits(scored.first_overlap, threshold) & (scored.truth.count == 1)


def _giou(scored: Scored) -> Any:
    """float64[N]: the sum over true boxes of the generalised IoU with the matched box, -1 where none is."""
    truth = scored.truth
    giou = np.full(len(truth.boxes), -1.0)
    paired = np.flatnonzero(scored.matched_true >= 0)
    partner = scored.matched_true[paired]
    giou[partner] = giou_pairs(scored.answered[paired], truth.boxes[partner])
    return np.bincount(truth.box_sample, giou, minlength=len(truth.count))


def _measure(parts: Any, wholes: Any, trials: float = 1.0) -> Measure:
    return Measure(np.asarray(parts, dtype=np.float64), np.asarray(wholes, dtype=np.float64), trials)
