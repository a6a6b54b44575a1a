"""Whose true box an answered one lies on: one that was asked for, or another thing's in the same image.

Knows the flat arrays of `scored` and the samples' own words for classes; does not know what a mistake is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grounding.evaluation.match import Best, Ints, best_overlap
from grounding.evaluation.scored import Scored
from grounding.samples import Sample

NO_CLASS = "(no class)"


@dataclass(frozen=True)
class Neighbours:
    """P answered boxes, T true boxes.

    Args:
        own: for each answered box the true box of its own sample that it overlaps most.
        other: the same among the true boxes of the other samples about its image.
    """

    own: Best
    other: Best


def find_neighbours(scored: Scored) -> Neighbours:
    """The nearest true boxes of every answered box, by IoU in pixels."""
    truth = scored.truth
    own = best_overlap(scored.answered, scored.answered_sample, truth.boxes, truth.box_sample)
    answered_image, true_image = truth.images[scored.answered_sample], truth.images[truth.box_sample]
    by_image, true_by_image = np.argsort(answered_image, kind="stable"), np.argsort(true_image, kind="stable")

    def of_another_sample(left: Ints, right: Ints) -> NDArray[np.bool_]:
        return scored.answered_sample[by_image[left]] != truth.box_sample[true_by_image[right]]

    best = best_overlap(
        scored.answered[by_image],
        answered_image[by_image],
        truth.boxes[true_by_image],
        true_image[true_by_image],
        allowed=of_another_sample,
    )
    other = Best(np.full(len(by_image), -1, dtype=np.int64), np.zeros(len(by_image)))
    if len(true_by_image):
        other.other[by_image] = np.where(best.other >= 0, true_by_image[best.other], -1)
        other.overlap[by_image] = best.overlap
    return Neighbours(own, other)


@dataclass(frozen=True)
class Classes:
    """The classes of a set: `names` sorted, and the number of the class of each sample int64[N] and true box int64[T].

    A sample's class is the one it asks for (its `category`), a box's is its own where a sample has several.
    """

    names: tuple[str, ...]
    of_sample: Ints
    of_box: Ints


def gather_classes(samples: Sequence[Sample]) -> Classes:
    """The classes of the samples that ask for boxes, and of their boxes; samples without one are `NO_CLASS`."""
    of_sample: list[str] = []
    of_box: list[str] = []
    for sample in samples:
        name = sample.category or NO_CLASS
        of_sample.append(name)
        of_box += sample.categories if sample.categories is not None else [name] * len(sample.boxes or [])
    names = tuple(sorted({*of_sample, *of_box}))
    number = {name: index for index, name in enumerate(names)}
    return Classes(
        names,
        np.array([number[name] for name in of_sample], dtype=np.int64),
        np.array([number[name] for name in of_box], dtype=np.int64),
    )
