"""Numbers of a split: found and not found, boxes, what labels cost in tokens, what the grid allows. Knows no tokenizer.

A box costs 16 tokens in CogVLM's tokenizer: twelve digits, three commas, one separator; brackets make it 16 n + 1 for n
boxes, and eos ends the answer. Words around them are estimated: a token for three Latin characters, three for any other
(the tokenizer falls back to bytes), which is on the high side.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grounding.samples import Sample
from grounding.text import grid_ceiling

NO_CLASS = "(no class)"  # in the place of a class: phrases that belong to none
TOKENS_PER_BOX = 16
_GROUP = re.compile(r"\[\[.*?\]\]")
BUDGET = 1024  # label tokens that finetune allows unless told otherwise
TOGETHER = 512  # samples that are counted at once
EDGES = (16, 32, 64, 128, 256, 512, 1024)  # upper ends of the classes of the histogram


def label_tokens(sample: Sample) -> int:
    """Estimated tokens of the label with eos. Boxes are counted in the label: its truth may be unknown, or other."""
    label = sample.label
    if label.startswith("[[") and label.find("]]") == len(label) - 2:  # nothing but a group
        return 2 + TOKENS_PER_BOX * (label.count(";") + 1)
    groups = _GROUP.findall(label)
    words = _GROUP.sub("", label)
    cost = 1 + sum(TOKENS_PER_BOX * (group.count(";") + 1) + 1 for group in groups)
    latin = len(words) if words.isascii() else sum(character.isascii() for character in words)
    return cost + math.ceil(latin / 3) + 3 * (len(words) - latin)


def describe(samples: Sequence[Sample]) -> dict[str, Any]:
    """Counts of a split, JSON-ready; the mean grid ceiling is None where there is no box."""
    numbers = Numbers()
    for _ in numbers.count(samples):
        pass
    return numbers.described()


class Numbers:
    """The counts of a split while its samples go by."""

    def __init__(self) -> None:
        self._images: set[str | None] = set()
        self._counts: Counter[str] = Counter()
        self._tasks: Counter[str] = Counter()
        self._languages: Counter[str] = Counter()
        self._found: Counter[str] = Counter()
        self._not_found: Counter[str] = Counter()
        self._boxes: Counter[str] = Counter()
        self._tokens: Counter[int] = Counter()
        self._ceilings: list[NDArray[np.float64]] = []

    def count(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """The samples as they are, counted as they go by, some at a time."""
        return chain.from_iterable(self._counted(iter(samples)))

    def _counted(self, samples: Iterator[Sample]) -> Iterator[list[Sample]]:
        while some := list(islice(samples, TOGETHER)):
            self._count(some)
            yield some

    def _count(self, samples: Sequence[Sample]) -> None:
        self._images.update(map(attrgetter("image"), samples))
        self._counts["samples"] += len(samples)
        self._tasks.update(map(attrgetter("task"), samples))
        self._languages.update(map(attrgetter("lang"), samples))
        self._tokens.update(map(label_tokens, samples))
        self._counts["ignored_boxes"] += sum(len(sample.ignore) for sample in samples)
        alike = Counter(  # nearly all are of few classes and have few boxes
            (None if sample.categories is not None else sample.category or NO_CLASS, len(sample.boxes))
            for sample in samples
            if sample.boxes is not None
        )
        for (category, number), times in alike.items():
            self._counts.update({"boxes": number * times, "found" if number else "not_found": times})
            if category is not None:
                (self._found if number else self._not_found)[category] += times
                self._boxes[category] += number * times
        boxed = [sample for sample in samples if sample.boxes and sample.width is not None]
        if boxed:
            counts = [len(sample.boxes or []) for sample in boxed]
            flat = chain.from_iterable(chain.from_iterable(sample.boxes or [] for sample in boxed))
            boxes_px = np.fromiter(flat, dtype=np.float64, count=4 * sum(counts)).reshape(-1, 4)
            sizes = chain.from_iterable((sample.width, sample.height) for sample in boxed)
            sizes_wh = np.fromiter(sizes, dtype=np.float64, count=2 * len(boxed)).reshape(-1, 2)
            self._ceilings.append(grid_ceiling(boxes_px, np.repeat(sizes_wh, counts, axis=0)))

    def described(self) -> dict[str, Any]:
        """As `describe`."""
        tokens = self._tokens
        return {
            "images": len(self._images),
            **{name: self._counts[name] for name in ("samples", "found", "not_found", "boxes", "ignored_boxes")},
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
        return {
            category: {
                "found": self._found[category],
                "not_found": self._not_found[category],
                "boxes": self._boxes[category],
            }
            for category in sorted({*self._found, *self._not_found})
        }


def _histogram(tokens: Mapping[int, int]) -> dict[str, int]:
    """Number of labels by tokens: "<=16", "<=32", ... ">1024"; classes of none are left out."""
    names: Counter[str] = Counter()
    for cost, number in tokens.items():
        names[next((f"<={edge}" for edge in EDGES if cost <= edge), f">{EDGES[-1]}")] += number
    return {name: names[name] for name in (*(f"<={edge}" for edge in EDGES), f">{EDGES[-1]}") if names[name]}
