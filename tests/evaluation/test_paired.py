"""Differences of two runs: the intervals cover a known difference, the tests are exact, equal runs do not differ."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from grounding.evaluation.intervals import Measure, median, wilson
from grounding.evaluation.paired import (
    difference_of_intervals,
    difference_of_medians,
    differences,
    holm,
    sign_test,
    swap_test,
)

Pair = tuple[np.ndarray, np.ndarray]


def of_hits(hits: np.ndarray) -> Measure:
    return Measure(hits.astype(float), np.ones(len(hits)))


def covered(pairs: list[Pair], images: np.ndarray, truth: float) -> float:
    """The share of the pairs of runs (bool[N] each) whose interval holds the true difference."""
    sides = [{str(number): of_hits(pair[side]) for number, pair in enumerate(pairs)} for side in (0, 1)]
    spans = [found["ci95"] for found in differences(*sides, images, seed=0, resamples=1000).values()]
    return float(np.mean([low <= truth <= high for low, high in spans]))


def related(rng: np.random.Generator, count: int, base: float, gain: float, loss: float) -> Pair:
    """A run right at the rate `base`, and one that mends and spoils some of its answers."""
    before = rng.random(count) < base
    return before, np.where(before, rng.random(count) >= loss, rng.random(count) < gain)


@pytest.mark.parametrize(
    ("count", "base", "gain", "loss"),
    [(200, 0.5, 0.3, 0.1), (200, 0.8, 0.4, 0.05), (300, 0.3, 0.1, 0.1), (25, 0.5, 0.4, 0.2), (200, 0.97, 0.3, 0.01)],
    ids=["gain", "near 1", "no difference", "few samples", "few that differ"],
)
def test_the_interval_covers_a_known_difference(count: int, base: float, gain: float, loss: float) -> None:
    rng = np.random.default_rng(count)
    pairs = [related(rng, count, base, gain, loss) for _ in range(500)]
    truth = (1 - base) * gain - base * loss
    assert 0.925 <= covered(pairs, np.arange(count), truth) <= 0.99


def test_it_does_so_where_the_samples_of_an_image_are_related() -> None:
    """Images of one to eight samples, each with its own chance of being mended."""
    rng = np.random.default_rng(5)
    sizes = rng.integers(1, 9, size=250)
    images = np.repeat(np.arange(250), sizes)
    pairs = []
    for _ in range(400):
        before = rng.random(len(images)) < np.repeat(rng.beta(2, 2, size=250), sizes)
        mended = rng.random(len(images)) < np.repeat(rng.beta(1, 3, size=250), sizes)
        pairs.append((before, before | mended))
    assert 0.925 <= covered(pairs, images, 0.5 * 0.25) <= 0.98


def test_what_is_hard_for_both_cancels_out() -> None:
    rng = np.random.default_rng(0)
    before, after = related(rng, 400, 0.5, 0.2, 0.05)
    paired = differences({"x": of_hits(before)}, {"x": of_hits(after)}, np.arange(400), seed=0)["x"]["ci95"]
    apart = differences({"x": of_hits(before)}, {"x": of_hits(rng.permutation(after))}, np.arange(400), seed=0)["x"]
    assert paired[1] - paired[0] < 0.7 * (apart["ci95"][1] - apart["ci95"][0])


@pytest.mark.parametrize("rate", [0.0, 0.4, 1.0])
def test_equal_runs_do_not_differ(rate: float) -> None:
    hits = np.random.default_rng(1).random(100) < rate
    found = differences({"x": of_hits(hits)}, {"x": of_hits(hits)}, np.arange(100) // 2, seed=0)["x"]
    assert found["value"] == 0.0 and found["n"] == 100
    assert found["ci95"][0] <= 0.0 <= found["ci95"][1] and found["ci95"][1] < 0.06
    assert swap_test(hits, hits, np.arange(100) // 2)["p"] == 1.0


def test_swapping_the_runs_swaps_the_signs() -> None:
    rng = np.random.default_rng(2)
    before, after = ({"x": of_hits(hits)} for hits in related(rng, 120, 0.5, 0.3, 0.1))
    there, back = (differences(*sides, np.arange(120), seed=3)["x"] for sides in ((before, after), (after, before)))
    assert there["value"] == -back["value"]
    assert there["ci95"] == pytest.approx([-back["ci95"][1], -back["ci95"][0]])


def test_newcombes_published_intervals() -> None:
    """R. G. Newcombe, Statistics in Medicine 17 (1998) 2635, table II, the pairs 36, 12, 2, 0 by his method 10."""
    both, only_first, only_second, neither = 36, 12, 2, 0
    n = both + only_first + only_second + neither
    first = {"value": (both + only_first) / n, "ci95": list(wilson((both + only_first) / n, n))}
    second = {"value": (both + only_second) / n, "ci95": list(wilson((both + only_second) / n, n))}
    # Here phi is below 0 (f g > e h), and his correction leaves such a phi as it is.
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    phi = (both * neither - only_first * only_second) / margins**0.5
    found = difference_of_intervals(second, first, phi)
    assert found == (pytest.approx(0.0569, abs=5e-4), pytest.approx(0.3404, abs=5e-4))


def plain_mcnemar(lost: int, won: int) -> float:
    """The two-sided exact test, summed up by hand."""
    n, most = lost + won, max(lost, won)
    return min(1.0, 2 * sum(comb(n, k) for k in range(most, n + 1)) / 2**n)


@pytest.mark.parametrize(("lost", "won"), [(0, 0), (0, 1), (1, 5), (3, 7), (8, 8), (2, 30), (12, 40)])
def test_mcnemar_against_sums_by_hand(lost: int, won: int) -> None:
    base = np.repeat([True, False, True, False], [lost, won, 5, 5])
    other = np.repeat([False, True, True, False], [lost, won, 5, 5])
    found = swap_test(base, other, np.arange(len(base)))
    assert (found["only_base"], found["only_other"], found["n"]) == (lost, won, lost + won + 10)
    assert found["mcnemar_p"] == pytest.approx(plain_mcnemar(lost, won))
    assert found["p"] == pytest.approx(found["mcnemar_p"]), "one sample an image"


@given(st.lists(st.integers(-4, 4), max_size=9))
def test_the_sign_test_counts_every_swap(changes: list[int]) -> None:
    values = np.array(changes, dtype=np.int64)
    swaps = [abs(int((values * signs).sum())) for signs in product((-1, 1), repeat=len(values))]
    assert sign_test(values) == pytest.approx(np.mean([one >= abs(int(values.sum())) for one in swaps]))


def test_the_sign_test_of_many_numbers_of_many_sizes() -> None:
    """Against a normal distribution, which a sum of 20,000 coins is near to; and where all point one way."""
    changes = np.rint(np.random.default_rng(3).laplace(0.3, 20.0, 20_000)).astype(np.int64)
    spread = float(np.sqrt((changes**2).sum()))
    assert sign_test(changes) == pytest.approx(2 * norm.sf(abs(changes.sum()) / spread), abs=1e-3)
    assert sign_test(np.full(30, 7)) == pytest.approx(2.0**-29) and 0.0 < sign_test(np.full(900, 3)) < 1e-12


def test_samples_of_one_image_count_once() -> None:
    """Ten images of eight samples that all change alike are ten coins, not eighty."""
    images = np.repeat(np.arange(10), 8)
    base, other = images < 2, images >= 2
    found = swap_test(base, other, images)
    assert found["p"] == pytest.approx(plain_mcnemar(2, 8)) and found["mcnemar_p"] < 1e-6


def test_the_test_is_right_as_often_as_it_says() -> None:
    """Two runs of equal worth, several related samples an image: below 0.05 in at most 5 % of 1,000 simulations."""
    rng = np.random.default_rng(8)
    images = np.repeat(np.arange(60), 4)
    by_image, by_sample = [], []
    for _ in range(1000):
        base, other = (rng.random(240) < np.repeat(rng.beta(0.5, 0.5, size=60), 4) for _ in range(2))
        found = swap_test(base, other, images)
        by_image.append(found["p"] < 0.05)
        by_sample.append(found["mcnemar_p"] < 0.05)
    assert np.mean(by_image) <= 0.065
    assert np.mean(by_sample) > 0.1, "which takes related samples as independent"


def test_holm_against_its_published_steps() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_none_and_bonferroni_and_keeps_the_order(p_values: list[float]) -> None:
    raised = holm(p_values)
    for p, adjusted in zip(p_values, raised, strict=True):
        assert p <= adjusted <= min(1.0, len(p_values) * p) + 1e-12
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(raised)[order]) >= 0).all()


def test_a_rate_of_nothing_has_no_difference() -> None:
    none, some = Measure(np.zeros(3), np.zeros(3)), Measure(np.ones(3), np.ones(3))
    assert differences({"x": none}, {"x": some}, np.arange(3), seed=0)["x"] == {"value": None, "ci95": None, "n": 3}
    counts = Measure(np.array([3.0, 0.0]), np.ones(2), high=np.inf)
    found = differences({"x": counts}, {"x": counts._replace(parts=np.zeros(2))}, np.arange(2), seed=0)["x"]
    assert found == {"value": -1.5, "ci95": None, "n": 2}


def test_the_difference_of_medians_covers_a_known_one() -> None:
    rng = np.random.default_rng(4)
    images, hit = np.arange(300), []
    for _ in range(200):
        values = rng.beta(5, 2, size=300)
        moved = 0.9 * values + rng.normal(0, 0.01, size=300)
        was, now = (median(one, images, seed=0) for one in (values, moved))
        low, high = difference_of_medians(was, now, (values, moved), images, seed=0)["ci95"]
        hit.append(low <= -0.1 * 0.7355500166 <= high)
    assert 0.9 <= np.mean(hit) <= 1.0
    nothing = median(np.zeros(0), np.zeros(0, dtype=int), seed=0)
    empty = np.zeros(0)
    assert difference_of_medians(nothing, nothing, (empty, empty), empty.astype(int), seed=0)["value"] is None
