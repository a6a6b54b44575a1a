"""95 % intervals of rates: a bootstrap over images, and Wilson's interval where a bootstrap says too little.

Knows numerators, denominators and which image each belongs to; does not know what is counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grounding.errors import InputError

Floats = NDArray[np.float64]

RESAMPLES = 2000
FEW = 30  # below this many counted things the bootstrap's percentiles are too coarse and too narrow
CELLS_AT_ONCE = 2_000_000  # resampled image numbers held in memory at a time
Z95 = 1.959963984540054  # the 97.5 % point of the standard normal distribution


class Measure(NamedTuple):
    """A rate that is yet to be divided: `parts` over `wholes`, one entry of each for every sample.

    Args:
        parts: float64[N], what each sample adds to the numerator.
        wholes: float64[N], what each sample adds to the denominator (0 where the rate is not about it).
        trials: independent trials per unit of the denominator, for Wilson's interval: 1, but 0.5 for an F1, whose
            denominator (answered + true) counts every match twice.
    """

    parts: Floats
    wholes: Floats
    trials: float = 1.0


def rate(value: float | None, ci95: tuple[float, float] | None, n: int) -> dict[str, Any]:
    """The form in which every rate is written: null value and interval where nothing was counted."""
    return {"value": value, "ci95": None if ci95 is None else [ci95[0], ci95[1]], "n": n}


def wilson(value: float, n: float) -> tuple[float, float]:
    """Wilson's score interval (E. B. Wilson, JASA 22, 1927) of a rate `value` seen in `n` > 0 trials.

    For a mean of numbers in 0..1 that are not all 0 or 1 it is wider than need be, since their variance is smaller.
    """
    centre = (value + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * math.sqrt(value * (1 - value) / n + Z95**2 / (4 * n**2))
    return max(0.0, min(value, centre - half)), min(1.0, max(value, centre + half))


def rates(
    measures: Mapping[str, Measure], images: NDArray[np.int64], *, seed: int, resamples: int = RESAMPLES
) -> dict[str, dict[str, Any]]:
    """Divides each measure and puts an interval beside it.

    The interval is the 2.5 to 97.5 percentile of a bootstrap that draws images with replacement, so that samples of one
    image stay together; it is Wilson's where the rate is 0 or 1, where n < 30, or where one image holds everything
    that is counted.

    Args:
        measures: by name; every array has one entry for each sample.
        images: int64[N], the number of the image that each sample is about.
        seed: of the bootstrap; the same seed and data give the same interval.

    Returns:
        `{"value", "ci95", "n"}` for each name.
    """
    _, images = np.unique(images, return_inverse=True)
    found: dict[str, dict[str, Any]] = {}
    drawn: list[str] = []
    for name, measure in measures.items():
        whole = float(measure.wholes.sum())
        n = round(whole)
        if n == 0:
            found[name] = rate(None, None, 0)
            continue
        value = min(1.0, max(0.0, float(measure.parts.sum()) / whole))
        found[name] = rate(value, wilson(value, n * measure.trials), n)
        if 0.0 < value < 1.0 and n >= FEW and np.unique(images[measure.wholes > 0]).size > 1:
            drawn.append(name)
    if drawn:
        parts = np.stack([measures[name].parts for name in drawn])
        wholes = np.stack([measures[name].wholes for name in drawn])
        for name, (low, high) in zip(drawn, _bootstrap(parts, wholes, images, seed, resamples), strict=True):
            value = found[name]["value"]
            found[name]["ci95"] = [min(low, value), max(high, value)]
    return found


def _bootstrap(
    parts: Floats, wholes: Floats, images: NDArray[np.int64], seed: int, resamples: int
) -> list[tuple[float, float]]:
    """(low, high) for each row of `parts` float64[K, N] over `wholes` float64[K, N], drawing images."""
    count = int(images.max()) + 1
    sums = np.stack([np.bincount(images, row, minlength=count) for row in (*parts, *wholes)], axis=1)  # [I, 2K]
    rng = np.random.default_rng(seed)
    rows = max(1, CELLS_AT_ONCE // count)
    totals = []
    for start in range(0, resamples, rows):
        these = min(rows, resamples - start)
        picks = rng.integers(0, count, size=(these, count)) + count * np.arange(these)[:, None]
        times = np.bincount(picks.ravel(), minlength=these * count).reshape(these, count)
        totals.append(times.astype(np.float64) @ sums)
    drawn = np.concatenate(totals)  # [R, 2K]
    top, bottom = np.split(drawn, 2, axis=1)
    # A resample that holds nothing to count says nothing about the rate and is left out of its percentiles.
    ratios = np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)
    low, high = np.nanpercentile(ratios, [2.5, 97.5], axis=0)
    return [(float(a), float(b)) for a, b in zip(low, high, strict=True)]


def check_seed(seed: int) -> int:
    """The seed itself, or InputError where numpy has no generator for it (it must not be negative)."""
    if seed < 0:
        raise InputError(f"the seed is {seed}; it must be 0 or more.", where="--seed")
    return seed
