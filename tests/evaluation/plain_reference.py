"""The contract's metrics once more, slowly: plain loops over samples, every matching tried.

Shares no code with the product but the reading of texts.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations
from typing import Any

from grounding.evaluation.parse import judge
from grounding.samples import Sample


def iou(a: list[float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def best_matching(answered: list[list[float]], true: list[list[float]]) -> dict[int, int]:
    """Answered box -> true box, one to one, of the largest total IoU; only pairs that overlap."""
    wide = len(answered) <= len(true)
    short, long = (answered, true) if wide else (true, answered)
    best: tuple[float, tuple[int, ...]] = (-1.0, ())
    for chosen in permutations(range(len(long)), len(short)):
        total = sum(iou(short[place], long[partner]) for place, partner in enumerate(chosen))
        best = max(best, (total, chosen), key=lambda candidate: candidate[0])
    pairs = [(place, partner) if wide else (partner, place) for place, partner in enumerate(best[1])]
    return {left: right for left, right in pairs if iou(answered[left], true[right]) > 0}


def plain_metrics(samples: list[Sample], texts: list[str | None]) -> dict[str, Any]:
    """Values of the contract's table, None where nothing is counted."""
    counts: dict[str, list[float]] = {}

    def count(name: str, part: float, whole: float = 1) -> None:
        entry = counts.setdefault(name, [0, 0])
        entry[0] += part
        entry[1] += whole

    for sample, text in zip(samples, texts, strict=True):
        judged = judge(text)
        width, height = sample.width or 0, sample.height or 0
        answered = [
            [float(Fraction(int(cell), 1000) * side) for cell, side in zip(box, (width, height) * 2, strict=True)]
            for box in judged.xyxy_grid
        ]
        true = sample.boxes or []
        pairs = best_matching(answered, true)
        hit = {left for left, right in pairs.items() if iou(answered[left], true[right]) >= 0.5}
        counted = [
            number
            for number, box in enumerate(answered)
            if number in hit or not any(iou(box, ignored) >= 0.5 for ignored in sample.ignore)
        ]
        matched = {right: iou(answered[left], true[right]) for left, right in pairs.items()}
        if len(true) == 1:
            first = iou(answered[counted[0]], true[0]) if counted else 0.0
            count("acc_50", first >= 0.5)
            count("acc_50_95", sum(first >= (50 + 5 * step) / 100 for step in range(10)) / 10)
        for number in range(len(true)):
            count("mean_iou", matched.get(number, 0.0))
        count("precision_50", len(hit), len(counted))
        count("recall_50", len(hit), len(true))
        count("f1_50", 2 * len(hit), len(counted) + len(true))
        said = judged.status == "not_found"
        right = len(hit) == len(true) == len(counted) if true else said
        count("grec_50", right)
        count("not_found.precision", said and not true, said)
        count("not_found.recall", said and not true, not true)
        count("not_found.f1", 2 * (said and not true), said + (not true))
        count("hallucination_rate", not true and bool(counted), not true)
        count("miss_rate", bool(true) and said, bool(true))
        count("unparsable.rate", judged.status == "unparsable")
        count("cut_off.rate", judged.status == "cut_off")
    return {name: part / whole if whole else None for name, (part, whole) in counts.items()} | {
        f"{name} n": whole for name, (_, whole) in counts.items()
    }
