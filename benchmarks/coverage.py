"""How often do the 95 % intervals hold the truth? A thousand simulated sets for each rate and each kind of set.

Simulated answers are hits with a known rate: one question an image, two that always agree, or one to eight of an image
that is as hard for all of them (its own rate drawn from a beta distribution around the known one).

    python -m benchmarks.coverage [SETS]
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.timing import report
from grounding.evaluation.intervals import RESAMPLES, Measure, rates

SETS, IMAGES, SEED = 1000, 200, 0
RATES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
ALIKE = 4  # a + b of the beta distribution of an image's rate: the smaller, the more alike its questions are

Drawn = tuple[NDArray[np.int64], NDArray[np.bool_]]  # the image of each question, and hits [sets, questions]


def one_an_image(rng: np.random.Generator, rate: float, sets: int) -> Drawn:
    return np.arange(IMAGES), rng.random((sets, IMAGES)) < rate


def two_alike(rng: np.random.Generator, rate: float, sets: int) -> Drawn:
    images, hits = one_an_image(rng, rate, sets)
    return np.repeat(images, 2), np.repeat(hits, 2, axis=1)


def related(rng: np.random.Generator, rate: float, sets: int) -> Drawn:
    questions = rng.integers(1, 9, IMAGES)
    images = np.repeat(np.arange(IMAGES), questions)
    own = rng.beta(ALIKE * rate, ALIKE * (1 - rate), (sets, IMAGES))
    return images, rng.random((sets, len(images))) < own[:, images]


KINDS: dict[str, Callable[[np.random.Generator, float, int], Drawn]] = {
    "one question an image": one_an_image,
    "two alike an image": two_alike,
    "one to eight related": related,
}


def covered(images: NDArray[np.int64], hits: NDArray[np.bool_], truth: float) -> float:
    """The share of the sets whose interval holds the truth; all of them share the resamples."""
    ones = np.ones(len(images))
    measures = {str(number): Measure(one.astype(float), ones) for number, one in enumerate(hits)}
    spans = [rate["ci95"] for rate in rates(measures, images, seed=SEED).values()]
    return float(np.mean([low <= truth <= high for low, high in spans]))


def main(sets: int = SETS) -> None:
    results = {}
    for kind, draw in KINDS.items():
        rng = np.random.default_rng(SEED)
        results[kind] = {f"rate {rate}": covered(*draw(rng, rate, sets), rate) for rate in RATES}
    settings = {"sets": sets, "images": IMAGES, "resamples": RESAMPLES, "seed": SEED, "wanted": [0.93, 0.97]}
    report("coverage", "Share of 95 % intervals that hold the truth", settings, results, ("numpy",))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
