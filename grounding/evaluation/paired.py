"""Whether two runs over the same samples differ: intervals of differences, an exact test of right and wrong, Holm.

Knows numerators, denominators and which image each belongs to; does not know what is counted, nor who answered.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len
from scipy.stats import binomtest

from grounding.evaluation.intervals import (
    FEW,
    RESAMPLES,
    Floats,
    Measure,
    bootstrap_speaks,
    middle_95,
    numbered,
    rate,
    rates,
    resampled,
    units_of,
)

Counts = NDArray[np.bool_] | NDArray[np.int64]

FEW_DIFFER = FEW  # below this many images in which two runs differ a bootstrap of the difference is too narrow


class Paired(NamedTuple):
    """One measure of two runs over the same samples."""

    base: Measure
    other: Measure

    @property
    def pairs(self) -> int:
        """Samples that at least one of the two rates is about."""
        return int(((self.base.wholes > 0) | (self.other.wholes > 0)).sum())

    def differ(self, images: NDArray[np.int64]) -> int:
        """Images in which the two are not alike."""
        unlike = (self.base.parts != self.other.parts) | (self.base.wholes != self.other.wholes)
        return int(np.unique(images[unlike]).size)


def differences(
    base: Mapping[str, Measure],
    other: Mapping[str, Measure],
    images: NDArray[np.int64],
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> dict[str, dict[str, Any]]:
    """Each rate of `other` minus that of `base`, with the interval of this difference.

    The interval is the 2.5 to 97.5 percentile of a bootstrap that draws images and takes both runs' answers to them, so
    that what is hard for both cancels out. Where a bootstrap says too little (about one of the two rates, by the rule
    of `intervals.rates`; or because the runs differ in fewer than 30 images), the two rates' own intervals are put
    together by their correlation: `difference_of_intervals`.

    Args:
        base, other: measures of the two runs by the same names, over the same samples.
        images: int64[N], the number of the image that each sample is about.
        seed: of the bootstrap; draws are those of `intervals.rates` with this seed.

    Returns:
        `{"value", "ci95", "n"}` for each name; n is the number of samples that at least one of the rates is about.
    """
    images = numbered(images)
    paired = {name: Paired(base[name], other[name]) for name in base}
    before, after = (rates(side, images, seed=seed, resamples=resamples) for side in (base, other))
    found: dict[str, dict[str, Any]] = {}
    drawn: list[str] = []
    for name, pair in paired.items():
        was, now = before[name], after[name]
        if was["value"] is None or now["value"] is None:
            found[name] = rate(None, None, pair.pairs)
            continue
        span = difference_of_intervals(was, now, correlation(pair, images, seed=seed))
        found[name] = rate(now["value"] - was["value"], span, pair.pairs)
        enough = bootstrap_speaks(pair.base, was, images) and bootstrap_speaks(pair.other, now, images)
        if enough and pair.differ(images) >= FEW_DIFFER:
            drawn.append(name)
    if drawn:
        parts = np.stack([side.parts for name in drawn for side in paired[name]])
        wholes = np.stack([side.wholes for name in drawn for side in paired[name]])
        ratios = resampled(parts, wholes, images, seed=seed, resamples=resamples)
        for name, (low, high) in zip(drawn, middle_95(ratios[:, 1::2] - ratios[:, ::2]), strict=True):
            value = found[name]["value"]
            found[name]["ci95"] = [min(low, value), max(high, value)]
    return found


def correlation(pair: Paired, images: NDArray[np.int64], *, seed: int) -> float:
    """How much two rates over the same images move together, -1 to 1; 0 where one of them cannot move.

    It is that of what each image adds to the two rates beyond their means, `parts - rate * wholes`. With one sample of
    right or wrong an image it is the phi coefficient.
    """
    units = units_of(images, seed)
    beyond = []
    for side in pair:
        mean = side.parts.sum() / max(float(side.wholes.sum()), 1e-12)
        beyond.append(np.bincount(units, side.parts - mean * side.wholes))
    (base, other), scale = beyond, math.sqrt(float((beyond[0] ** 2).sum() * (beyond[1] ** 2).sum()))
    return max(-1.0, min(1.0, float((base * other).sum()) / scale)) if scale > 1e-12 else 0.0


def difference_of_intervals(
    was: Mapping[str, Any], now: Mapping[str, Any], together: float
) -> tuple[float, float] | None:
    """The interval of `now - was` from the interval of each and their correlation; None where one has no interval.

    G. Y. Zou and A. Donner, Statistics in Medicine 27 (2008) 1693; for two proportions with Wilson's intervals it is
    method 10 of R. G. Newcombe, Statistics in Medicine 17 (1998) 2635, without its correction of phi.
    """
    if was["ci95"] is None or now["ci95"] is None:
        return None
    (low0, high0), (low1, high1) = was["ci95"], now["ci95"]
    value = now["value"] - was["value"]

    def side(one: float, two: float) -> float:
        return math.sqrt(max(0.0, one**2 + two**2 - 2 * together * one * two))

    down = side(now["value"] - low1, high0 - was["value"])
    up = side(high1 - now["value"], was["value"] - low0)
    return value - down, value + up


def difference_of_medians(
    was: Mapping[str, Any],
    now: Mapping[str, Any],
    values: tuple[Floats, Floats],
    images: NDArray[np.int64],
    *,
    seed: int,
) -> dict[str, Any]:
    """The difference of two medians of numbers about the same things, and its interval (`difference_of_intervals`).

    Args:
        was, now: as `intervals.median` gives them.
        values: float64[T] of each; images: int64[T].
    """
    if was["value"] is None or now["value"] is None:
        return rate(None, None, 0)
    ones = np.ones(len(images))
    below = [
        Measure((numbers <= one["value"]).astype(np.float64), ones)
        for numbers, one in zip(values, (was, now), strict=True)
    ]
    together = correlation(Paired(*below), numbered(images), seed=seed)
    return rate(now["value"] - was["value"], difference_of_intervals(was, now, together), len(images))


def swap_test(base: Counts, other: Counts, images: NDArray[np.int64]) -> dict[str, Any]:
    """Whether two runs are right equally often, by the samples that only one of them has right.

    `mcnemar_p`: Q. McNemar, Psychometrika 12 (1947), by the exact binomial distribution, two-sided. It takes samples as
    independent. `p`: the same where those of one image are not: were the two runs alike, each image's answers could as
    well be swapped as a whole, so the images' differences (samples that only `other` has right, less those that only
    `base` has) have signs like a fair coin's; exact, two-sided. With one sample an image the two are equal.

    Args:
        base, other: bool[N], whether each sample is right; or int64[N], how many mistakes are made in it, of which
            `mcnemar_p` only sees which run makes more.
        images: int64[N].

    Returns:
        `only_base`, `only_other` (samples in which that run has more), `n`, `mcnemar_p`, `p`; both 1 where the runs are
        right in the same samples.
    """
    lost, won = int((base > other).sum()), int((other > base).sum())
    by_image = np.bincount(numbered(images), np.subtract(other, base, dtype=np.int64)) if len(images) else images
    return {
        "only_base": lost,
        "only_other": won,
        "n": len(base),
        "mcnemar_p": float(binomtest(won, won + lost).pvalue) if won + lost else 1.0,
        "p": sign_test(np.rint(by_image).astype(np.int64)),
    }


def sign_test(changes: NDArray[np.int64]) -> float:
    """How likely a sum at least as far from 0 is, if each number had its sign by a fair coin; exact, but for rounding.

    The sum is `total - 2 * minus`, where `minus` adds up the sizes of the numbers with a minus. Its distribution is the
    inverse Fourier transform of its characteristic function, to which a number of size s gives a factor of
    (1 + exp(-iws)) / 2 = cos(ws / 2) exp(-iws / 2). The least that can come out is two of all choices of signs.
    """
    sizes, times = np.unique(np.abs(changes[changes != 0]), return_counts=True)
    if not len(sizes):
        return 1.0
    total = int((sizes * times).sum())
    length = next_fast_len(total + 1, real=True)
    half = np.pi * np.arange(length // 2 + 1) / length  # w / 2
    moduli = np.ones(len(half))
    for size, count in zip(sizes.tolist(), times.tolist(), strict=True):
        moduli *= np.cos(half * size) ** count
    chances = irfft(moduli * np.exp(-1j * half * total), length)[: total + 1]
    sums = total - 2 * np.arange(total + 1)
    p = float(chances[np.abs(sums) >= abs(int(changes.sum()))].sum())
    return min(1.0, max(2.0 ** (1 - int(times.sum())), p))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values of several tests, raised so that one wrong "differs" among all of them is as rare as in a single test.

    S. Holm, Scandinavian Journal of Statistics 6 (1979) 65, in its adjusted form.
    """
    order = np.argsort(np.asarray(p_values, dtype=np.float64), kind="stable")
    adjusted = np.empty(len(order))
    highest = 0.0
    for rank, place in enumerate(order.tolist()):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[place]))
        adjusted[place] = highest
    return [float(value) for value in adjusted]
