"""95 % intervals of rates: a bootstrap over images, and Wilson's interval where a bootstrap says too little.

Knows numerators, denominators and which image each belongs to; does not know what is counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grounding.errors import InputError

Floats = NDArray[np.float64]

RESAMPLES = 2000
FEW = 30  # below this many counted things the bootstrap's percentiles are too coarse and too narrow
CELLS_AT_ONCE = 2_000_000  # resampled image numbers held in memory at a time
MOST_UNITS = 2000  # more images than this are drawn in so many random groups
Z95 = 1.959963984540054  # the 97.5 % point of the standard normal distribution


class Measure(NamedTuple):
    """A rate that is yet to be divided: `parts` over `wholes`, one entry of each for every sample.

    Args:
        parts: float64[N], what each sample adds to the numerator.
        wholes: float64[N], what each sample adds to the denominator (0 where the rate is not about it).
        trials: independent trials per unit of the denominator, for Wilson's interval: 1, but 0.5 for an F1, whose
            denominator (answered + true) counts every match twice.
        low, high: what the quotient can be. One that has no bound, as a mean of counts, has no Wilson's interval: it
            stays without one where the bootstrap says too little.
        n: what was counted, where that is not the sum of `wholes`.
    """

    parts: Floats
    wholes: Floats
    trials: float = 1.0
    low: float = 0.0
    high: float = 1.0
    n: int | None = None


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
    that is counted. More than 2,000 images are dealt into 2,000 random groups that are drawn as wholes (the random
    groups of K. Wolter, Introduction to Variance Estimation, 2007, chapter 2): as good, and its cost has a bound.

    Args:
        measures: by name; every array has one entry for each sample.
        images: int64[N], the number of the image that each sample is about.
        seed: of the bootstrap; the same seed and data give the same interval.

    Returns:
        `{"value", "ci95", "n"}` for each name.
    """
    images = numbered(images)
    found: dict[str, dict[str, Any]] = {}
    drawn: list[str] = []
    for name, measure in measures.items():
        whole = float(measure.wholes.sum())
        n = round(whole) if measure.n is None else measure.n
        if n == 0 or whole == 0.0:
            found[name] = rate(None, None, n)
            continue
        low, high = measure.low, measure.high
        value = min(high, max(low, float(measure.parts.sum()) / whole))
        found[name] = rate(value, _wilson_between(value, n * measure.trials, low, high), n)
        if bootstrap_speaks(measure, found[name], images):
            drawn.append(name)
    if drawn:
        parts = np.stack([measures[name].parts for name in drawn])
        wholes = np.stack([measures[name].wholes for name in drawn])
        ratios = resampled(parts, wholes, images, seed=seed, resamples=resamples)
        for name, (low, high) in zip(drawn, middle_95(ratios), strict=True):
            value = found[name]["value"]
            found[name]["ci95"] = [min(low, value), max(high, value)]
    return found


def numbered(images: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64[N]: the same images, numbered from 0 without a gap."""
    return np.unique(images, return_inverse=True)[1]


def bootstrap_speaks(measure: Measure, found: Mapping[str, Any], images: NDArray[np.int64]) -> bool:
    """Whether a bootstrap says enough about a rate (as `rate` writes it): it is not at a bound, n >= 30, and several
    images hold what is counted."""
    if found["value"] is None or found["n"] < FEW or not measure.low < found["value"] < measure.high:
        return False
    about = images[measure.wholes > 0]
    return bool(about.min() < about.max())


def _wilson_between(value: float, n: float, low: float, high: float) -> tuple[float, float] | None:
    """Wilson's interval of a mean of numbers in low..high; None where there is no bound."""
    if math.isinf(low) or math.isinf(high):
        return None
    start, end = wilson((value - low) / (high - low), n)
    return low + start * (high - low), low + end * (high - low)


def median(values: Floats, images: NDArray[np.int64], *, seed: int) -> dict[str, Any]:
    """The median of numbers and its interval, as every rate is written.

    The interval is R. S. Woodruff's (JASA 47, 1952): that of the share of numbers that are not above the median, read
    back from the numbers' own distribution.

    Args:
        values: float64[T]; images: int64[T], the number of the image that each is about.
        seed: of the bootstrap.
    """
    if not len(values):
        return rate(None, None, 0)
    middle = float(np.median(values))
    below = rates({"below": Measure((values <= middle).astype(np.float64), np.ones(len(values)))}, images, seed=seed)
    share, (low, high) = below["below"]["value"], below["below"]["ci95"]
    start, end = np.quantile(values, [max(0.0, 0.5 - (share - low)), min(1.0, 0.5 + (high - share))])
    return rate(middle, (min(middle, float(start)), max(middle, float(end))), len(values))


def resampled(
    parts: Floats, wholes: Floats, images: NDArray[np.int64], *, seed: int, resamples: int = RESAMPLES
) -> Floats:
    """float64[R, K]: each row of `parts` float64[K, N] over `wholes` float64[K, N] in each draw of the images.

    All rows see the same draws. A resample that holds nothing to count says nothing about the rate: NaN.

    Args:
        images: int64[N], from 0 without a gap.
    """
    units = units_of(images, seed)
    count = int(units.max()) + 1
    sums = np.stack([np.bincount(units, row, minlength=count) for row in (*parts, *wholes)], axis=1)  # [I, 2K]
    drawn = _times_drawn(count, resamples, seed) @ sums  # [R, 2K]
    top, bottom = np.split(drawn, 2, axis=1)
    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)


def middle_95(draws: Floats) -> list[tuple[float, float]]:
    """(low, high) of the middle 95 % of each column of float64[R, K], NaN left out."""
    low, high = np.nanpercentile(draws, [2.5, 97.5], axis=0)
    return [(float(a), float(b)) for a, b in zip(low, high, strict=True)]


def units_of(images: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """What is drawn as a whole: the image that each sample is about, or the random group that its image is in."""
    count = int(images.max()) + 1
    if count <= MOST_UNITS:
        return images
    group: NDArray[np.int64] = np.random.default_rng(seed).permutation(count) % MOST_UNITS
    return group[images]


@lru_cache(maxsize=2)
def _times_drawn(count: int, resamples: int, seed: int) -> Floats:
    """float64[R, count]: how often each unit is drawn in each resample. Kept: the parts of a large set are alike."""
    rng = np.random.default_rng(seed)
    times = np.empty((resamples, count))
    rows = max(1, CELLS_AT_ONCE // count)
    for start in range(0, resamples, rows):
        these = min(rows, resamples - start)
        picks = rng.integers(0, count, size=(these, count)) + count * np.arange(these)[:, None]
        times[start : start + these] = np.bincount(picks.ravel(), minlength=these * count).reshape(these, count)
    return times


def check_seed(seed: int) -> int:
    """The seed itself, or InputError where numpy has no generator for it (it must not be negative)."""
    if seed < 0:
        raise InputError(f"the seed is {seed}; it must be 0 or more.", where="--seed")
    return seed
