"""The same rates for parts of the data: per class, per COCO size class, per language, per task.

Knows flat arrays and the samples' own words for class, language and task; does not know pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grounding.evaluation.intervals import Measure, rates
from grounding.evaluation.metrics import measures
from grounding.evaluation.scored import Scored
from grounding.geometry import area

# Sides of the squares that part COCO's size classes (cocodataset.org, detection evaluation); COCO takes the area of the
# object's mask, here it is the area of the box, in pixels of the original frame.
SMALL_BELOW, MEDIUM_BELOW = 32.0, 96.0
SIZES = ("small", "medium", "large")
NO_CLASS = "(no class)"

PER_SAMPLE = ("acc_50", "grec_50", "precision_50", "f1_50", "not_found.recall", "hallucination_rate", "miss_rate")


def breakdowns(scored: Scored, *, seed: int = 0) -> dict[str, dict[str, Any]]:
    """`class`, `size`, `lang` and `task`: for each of their values the counts and rates of that part.

    A class has the samples that ask for it (their `category`) and, for rates over true boxes, the boxes of that class
    (`categories` where a sample has several). A size class has true boxes, and samples whose one true box is of it.
    """
    samples = scored.truth.samples
    parts = _Parts(scored, measures(scored), seed)
    return {
        "class": _by_class(parts),
        "size": _by_size(parts),
        "lang": _by_word(parts, [sample.lang for sample in samples]),
        "task": _by_word(parts, [sample.task for sample in samples]),
    }


@dataclass(frozen=True)
class _Parts:
    """What every part is cut from."""

    scored: Scored
    whole: dict[str, Measure]
    seed: int

    def part(
        self, samples: NDArray[np.bool_], boxes: NDArray[np.bool_], per_sample: tuple[str, ...] = PER_SAMPLE
    ) -> dict[str, Any]:
        """Counts and rates of some samples (bool[N]) and some true boxes (bool[T])."""
        truth = self.scored.truth
        rows = np.union1d(np.flatnonzero(samples), truth.box_sample[boxes])
        inside = samples[rows]
        chosen = {
            name: measure._replace(parts=measure.parts[rows] * inside, wholes=measure.wholes[rows] * inside)
            for name, measure in self.whole.items()
            if name in per_sample
        }
        place = np.searchsorted(rows, truth.box_sample[boxes])
        count = np.bincount(place, minlength=len(rows)).astype(np.float64)
        per_box = {"recall_50": self.scored.found, "mean_iou": self.scored.true_iou, "grid_ceiling": truth.ceiling}
        for name, values in per_box.items():
            chosen[name] = Measure(np.bincount(place, values[boxes], minlength=len(rows)).astype(np.float64), count)
        return {
            "n": int(samples.sum()),
            "present": int((samples & (truth.count > 0)).sum()),
            "absent": int((samples & (truth.count == 0)).sum()),
            "boxes": int(boxes.sum()),
            **rates(chosen, truth.images[rows], seed=self.seed),
        }


def _by_class(parts: _Parts) -> dict[str, Any]:
    """One entry for each class, sorted by name."""
    samples = parts.scored.truth.samples
    of_sample = [sample.category or NO_CLASS for sample in samples]
    of_box: list[str] = []
    for sample, category in zip(samples, of_sample, strict=True):
        of_box += sample.categories if sample.categories is not None else [category] * len(sample.boxes or [])
    names, sample_class, box_class = _numbers(of_sample, of_box)
    return {name: parts.part(sample_class == number, box_class == number) for number, name in enumerate(names)}


def _by_size(parts: _Parts) -> dict[str, Any]:
    """One entry each for small, medium and large true boxes."""
    truth = parts.scored.truth
    size = size_classes(truth.boxes)
    single = truth.count[truth.box_sample] == 1
    of_sample = np.full(len(truth.samples), -1)
    of_sample[truth.box_sample[single]] = size[single]
    return {name: parts.part(of_sample == number, size == number, ("acc_50",)) for number, name in enumerate(SIZES)}


def _by_word(parts: _Parts, words: Sequence[str]) -> dict[str, Any]:
    """One entry for each word, sorted; `words` has one for each sample."""
    names, sample_word, box_word = _numbers(words, [words[number] for number in parts.scored.truth.box_sample])
    return {name: parts.part(sample_word == number, box_word == number) for number, name in enumerate(names)}


def size_classes(boxes: NDArray[np.float64]) -> NDArray[np.int64]:
    """int64[T]: index into `SIZES` by the area of each box (xyxy_px)."""
    edges = np.array([SMALL_BELOW**2, MEDIUM_BELOW**2])
    return np.searchsorted(edges, area(boxes), side="right").astype(np.int64)


def _numbers(of_sample: Sequence[str], of_box: Sequence[str]) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """Sorted names, and the number of the name of each sample and of each box."""
    names = sorted({*of_sample, *of_box})
    number = {name: index for index, name in enumerate(names)}
    return (
        names,
        np.array([number[name] for name in of_sample], dtype=np.int64),
        np.array([number[name] for name in of_box], dtype=np.int64),
    )
