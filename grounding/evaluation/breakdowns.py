"""The same rates for parts of the data: by class, size, shape and place of the box, number of targets, language, task.

Knows flat arrays and the samples' own words for class, language and task; does not know pages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grounding.evaluation.intervals import Measure, rates
from grounding.evaluation.match import Floats, Ints
from grounding.evaluation.metrics import measures
from grounding.evaluation.neighbours import Classes
from grounding.evaluation.scored import Scored, Truth
from grounding.geometry import area

# Sides of the squares that part COCO's size classes (cocodataset.org, detection evaluation); COCO takes the area of the
# object's mask, here it is the area of the box, in pixels of the original frame.
SMALL_BELOW, MEDIUM_BELOW = 32.0, 96.0
BREAKDOWNS = ("class", "size", "aspect", "targets", "lang", "task")
SIZES = ("small", "medium", "large")
ASPECTS = ("below 1:2", "1:2 to 4:5", "4:5 to 5:4", "5:4 to 2:1", "above 2:1")  # width to height
ASPECT_EDGES = (0.5, 0.8, 1.25, 2.0)
TARGETS = ("0", "1", "2", "3-5", "6 and more")  # true boxes of a question
TARGET_EDGES = (1, 2, 3, 6)
PLACES = 5  # rows and columns of the map of places

PER_SAMPLE = ("acc_50", "grec_50", "precision_50", "f1_50", "not_found.recall", "hallucination_rate", "miss_rate")


@dataclass(frozen=True)
class Part:
    """Some of the data.

    Attributes:
        counts: `n`, `present` and `absent` samples, and true `boxes`.
        measures: its rates, undivided, over the samples that it has to do with.
        images: int64[R], the number of the image of each of these samples.
    """

    counts: dict[str, int]
    measures: dict[str, Measure]
    images: Ints


def breakdowns(scored: Scored, classes: Classes, *, seed: int = 0) -> dict[str, dict[str, Any]]:
    """For each of `BREAKDOWNS` and each of its values the counts and rates of that part; see `cut_in_parts`."""
    table: dict[str, dict[str, Any]] = {kind: {} for kind in BREAKDOWNS}
    for kind, name, part in cut_in_parts(scored, classes):
        table[kind][name] = divided(part, seed)
    return table


def divided(part: Part, seed: int) -> dict[str, Any]:
    """A part's counts and rates as they stand in report.json."""
    return {**part.counts, **rates(part.measures, part.images, seed=seed)}


def cut_in_parts(scored: Scored, classes: Classes) -> Iterator[tuple[str, str, Part]]:
    """(one of `BREAKDOWNS`, a value of it, that part of the data), one after another.

    A class has the samples that ask for it (their `category`) and, for rates over true boxes, the boxes of that class
    (`categories` where a sample has several). A size class, or one of width to height, has true boxes, and samples
    whose one true box is of it. `targets` is the number of true boxes of a sample.
    """
    truth = scored.truth
    cut = _Knife(scored, measures(scored))
    words = [(sample.lang, sample.task) for sample in truth.samples]
    targets = np.searchsorted(TARGET_EDGES, truth.count, side="right")
    cuts = (
        _by_number(cut, classes.names, classes.of_sample, classes.of_box),
        _by_box(cut, SIZES, size_classes(truth.boxes)),
        _by_box(cut, ASPECTS, aspect_classes(truth.boxes)),
        _by_number(cut, TARGETS, targets, targets[truth.box_sample]),
        _by_word(cut, [lang for lang, _ in words]),
        _by_word(cut, [task for _, task in words]),
    )
    for kind, parts in zip(BREAKDOWNS, cuts, strict=True):
        for name, part in parts:
            yield kind, name, part


def place_map(scored: Scored, *, seed: int = 0) -> dict[str, Any]:
    """How well true boxes are found by where their centre lies: the image cut into five rows and five columns.

    Returns:
        `rows` and `columns`, and `recall_50` and `mean_iou` as lists of rows of rates, the top row first.
    """
    cut = _Knife(scored, {})
    cell = places(scored.truth)
    inside = np.zeros(len(scored.status), dtype=bool)
    cells = [divided(cut.part(inside, cell == number, ()), seed) for number in range(PLACES**2)]
    table: dict[str, Any] = {"rows": PLACES, "columns": PLACES}
    for name in ("recall_50", "mean_iou"):
        table[name] = [[cells[row * PLACES + column][name] for column in range(PLACES)] for row in range(PLACES)]
    return table


@dataclass(frozen=True)
class _Knife:
    """What every part is cut from."""

    scored: Scored
    whole: dict[str, Measure]

    def part(
        self, samples: NDArray[np.bool_], boxes: NDArray[np.bool_], per_sample: tuple[str, ...] = PER_SAMPLE
    ) -> Part:
        """Some samples (bool[N]) and some true boxes (bool[T])."""
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
        counts = {
            "n": int(samples.sum()),
            "present": int((samples & (truth.count > 0)).sum()),
            "absent": int((samples & (truth.count == 0)).sum()),
            "boxes": int(boxes.sum()),
        }
        return Part(counts, chosen, truth.images[rows])


def _by_number(cut: _Knife, names: Sequence[str], of_sample: Ints, of_box: Ints) -> Iterator[tuple[str, Part]]:
    """One entry for each name that a sample or a true box has."""
    here = np.union1d(of_sample, of_box).tolist()
    for number in here:
        yield names[number], cut.part(of_sample == number, of_box == number)


def _by_box(cut: _Knife, names: Sequence[str], of_box: Ints) -> Iterator[tuple[str, Part]]:
    """One entry for each name, of true boxes; a sample belongs to that of its one true box."""
    truth = cut.scored.truth
    single = truth.count[truth.box_sample] == 1
    of_sample = np.full(len(truth.count), -1)
    of_sample[truth.box_sample[single]] = of_box[single]
    for number, name in enumerate(names):
        yield name, cut.part(of_sample == number, of_box == number, ("acc_50",))


def _by_word(cut: _Knife, words: Sequence[str]) -> Iterator[tuple[str, Part]]:
    """One entry for each word, sorted; `words` has one for each sample."""
    names = sorted(set(words))
    number = {name: index for index, name in enumerate(names)}
    of_sample = np.array([number[word] for word in words], dtype=np.int64)
    return _by_number(cut, names, of_sample, of_sample[cut.scored.truth.box_sample])


def aspect_classes(boxes: Floats) -> Ints:
    """int64[T]: index into `ASPECTS` by the width of each box over its height (xyxy_px)."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.searchsorted(ASPECT_EDGES, sides[:, 0] / sides[:, 1], side="right").astype(np.int64)


def places(truth: Truth) -> Ints:
    """int64[T]: the number of the cell, row by row, that the centre of each true box lies in."""
    centre = (truth.boxes[:, :2] + truth.boxes[:, 2:]) / 2 / truth.sizes[truth.box_sample]
    column, row = np.clip((centre * PLACES).astype(np.int64), 0, PLACES - 1).T
    return row * PLACES + column


def size_classes(boxes: NDArray[np.float64]) -> NDArray[np.int64]:
    """int64[T]: index into `SIZES` by the area of each box (xyxy_px)."""
    edges = np.array([SMALL_BELOW**2, MEDIUM_BELOW**2])
    return np.searchsorted(edges, area(boxes), side="right").astype(np.int64)
