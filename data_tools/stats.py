"""Numbers of a split: found and not found, boxes, what labels cost in tokens, what the grid allows.

Knows no tokenizer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grounding.samples import Sample
from grounding.text import grid_ceiling, text_tokens

NO_CLASS = "(no class)"  # in the place of a class: phrases that belong to none
BUDGET = 1024  # label tokens that finetune allows unless told otherwise
TOGETHER = 512  # samples that are counted at once
EDGES = (16, 32, 64, 128, 256, 512, 1024)  # upper ends of the classes of the histogram


def label_tokens(sample: Sample) -> int:
    """Estimated tokens of the label with eos. Boxes are counted in the label: its truth may be unknown, or other."""
    return tokens_of_label(sample.label)


def tokens_of_label(label: str) -> int:
    """The same of a label's text."""
    return 1 + text_tokens(label)


class Columns(NamedTuple):
    """What is counted of some samples, by column.

    Attributes:
        images, tasks, langs, tokens: of each sample.
        held: (class, number of boxes) of each that asks for boxes; None for a class where they are of several.
        ignored: boxes to ignore, of all together.
        boxes_px: float64[boxes, 4], of all that ask for some in an image.
        sizes_wh: float64[boxes, 2], of the image of each box.
    """

    images: Sequence[str | None]
    tasks: Iterable[str]
    langs: Iterable[str]
    tokens: Iterable[int]
    held: Iterable[tuple[str | None, int]]
    ignored: int
    boxes_px: NDArray[np.float64]
    sizes_wh: NDArray[np.float64]


def describe(samples: Sequence[Sample]) -> dict[str, Any]:
    """Counts of a split, JSON-ready; the mean grid ceiling is None where there is no box."""
    numbers = Numbers()
    for _ in numbers.count(samples):
        pass
    return numbers.described()


class Numbers:
    """The counts of a split while its samples go by."""

    def __init__(self) -> None:
        self._samples = self._ignored = 0
        self._images: set[str | None] = set()
        self._tasks: Counter[str] = Counter()
        self._languages: Counter[str] = Counter()
        self._held: Counter[tuple[str | None, int]] = Counter()  # (class, boxes) of samples that ask for boxes
        self._tokens: Counter[int] = Counter()
        self._ceilings: list[NDArray[np.float64]] = []

    def count(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """The samples as they are, counted as they go by, some at a time."""
        return chain.from_iterable(self._counted(iter(samples)))

    def _counted(self, samples: Iterator[Sample]) -> Iterator[list[Sample]]:
        while some := list(islice(samples, TOGETHER)):
            self.add(_columns(some))
            yield some

    def add(self, columns: Columns) -> None:
        """Counts some samples."""
        self._samples += len(columns.images)
        self._ignored += columns.ignored
        self._images.update(columns.images)
        self._tasks.update(columns.tasks)
        self._languages.update(columns.langs)
        self._tokens.update(columns.tokens)
        self._held.update(columns.held)
        if len(columns.boxes_px):
            self._ceilings.append(grid_ceiling(columns.boxes_px, columns.sizes_wh))

    def described(self) -> dict[str, Any]:
        """As `describe`."""
        tokens, held = self._tokens, self._held
        return {
            "images": len(self._images),
            "samples": self._samples,
            "found": sum(times for (_, boxes), times in held.items() if boxes),
            "not_found": sum(times for (_, boxes), times in held.items() if not boxes),
            "boxes": sum(boxes * times for (_, boxes), times in held.items()),
            "ignored_boxes": self._ignored,
            "tasks": dict(sorted(self._tasks.items())),
            "languages": dict(sorted(self._languages.items())),
            "label_tokens": {
                "total": sum(cost * number for cost, number in tokens.items()),
                "max": max(tokens, default=0),
                "over_budget": sum(number for cost, number in tokens.items() if cost > BUDGET),
                "histogram": _histogram(tokens),
            },
            "grid_ceiling": float(np.mean(np.concatenate(self._ceilings))) if self._ceilings else None,
            "classes": self._classes(),
        }

    def _classes(self) -> dict[str, dict[str, int]]:
        """Class -> samples found, not found, and boxes; sorted. Only samples that ask for boxes of one class."""
        classes: dict[str, dict[str, int]] = {}
        for (category, boxes), times in self._held.items():
            if category is not None:
                counts = classes.setdefault(category, {"found": 0, "not_found": 0, "boxes": 0})
                counts["found" if boxes else "not_found"] += times
                counts["boxes"] += boxes * times
        return dict(sorted(classes.items()))


def _columns(samples: Sequence[Sample]) -> Columns:
    boxed = [sample for sample in samples if sample.boxes and sample.width is not None]
    every: list[list[list[float]]] = list(map(attrgetter("boxes"), boxed))
    counts = list(map(len, every))
    flat = chain.from_iterable(chain.from_iterable(every))
    sizes = chain.from_iterable(map(attrgetter("width", "height"), boxed))
    sizes_wh = np.fromiter(sizes, dtype=np.float64, count=2 * len(boxed)).reshape(-1, 2)
    return Columns(
        images=list(map(attrgetter("image"), samples)),
        tasks=map(attrgetter("task"), samples),
        langs=map(attrgetter("lang"), samples),
        tokens=map(label_tokens, samples),
        held=(
            (None if sample.categories is not None else sample.category or NO_CLASS, len(sample.boxes))
            for sample in samples
            if sample.boxes is not None
        ),
        ignored=sum(map(len, map(attrgetter("ignore"), samples))),
        boxes_px=np.fromiter(flat, dtype=np.float64, count=4 * sum(counts)).reshape(-1, 4),
        sizes_wh=np.repeat(sizes_wh, counts, axis=0),
    )


def _histogram(tokens: Mapping[int, int]) -> dict[str, int]:
    """Number of labels by tokens: "<=16", "<=32", ... ">1024"; classes of none are left out."""
    names: Counter[str] = Counter()
    for cost, number in tokens.items():
        names[next((f"<={edge}" for edge in EDGES if cost <= edge), f">{EDGES[-1]}")] += number
    return {name: names[name] for name in (*(f"<={edge}" for edge in EDGES), f">{EDGES[-1]}") if names[name]}
