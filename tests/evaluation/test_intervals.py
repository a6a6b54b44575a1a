"""Intervals: seeded, over whole images, Wilson where the bootstrap says too little, and they cover the truth."""

from __future__ import annotations

import numpy as np
import pytest

from grounding.errors import InputError
from grounding.evaluation import intervals
from grounding.evaluation.intervals import Measure, check_seed, rates, wilson

ONES = np.ones(400)


def draw(seed: int, images: int = 200, rate: float = 0.3) -> tuple[Measure, np.ndarray]:
    """Two samples an image that always agree."""
    hits = np.repeat(np.random.default_rng(seed).random(images) < rate, 2).astype(float)
    return Measure(hits, np.ones(2 * images)), np.repeat(np.arange(images), 2)


def test_wilson_against_published_numbers() -> None:
    # R. G. Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for hits, n, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        assert wilson(hits / n, n) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_the_same_seed_gives_the_same_interval_and_another_a_like_one() -> None:
    measure, images = Measure(np.random.default_rng(0).random(400), ONES), np.arange(400)
    one, same, other = (rates({"x": measure}, images, seed=seed)["x"]["ci95"] for seed in (7, 7, 8))
    assert one == same != other
    assert one == pytest.approx(other, abs=0.02)


def test_pieces_change_nothing_but_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    measure, images = draw(1)
    whole = rates({"x": measure}, images, seed=0)["x"]["ci95"]
    monkeypatch.setattr(intervals, "CELLS_AT_ONCE", 1000)
    assert rates({"x": measure}, images, seed=0)["x"]["ci95"] == whole


def test_samples_of_one_image_stay_together() -> None:
    measure, images = draw(2)
    together = rates({"x": measure}, images, seed=0)["x"]["ci95"]
    apart = rates({"x": measure}, np.arange(400), seed=0)["x"]["ci95"]
    assert (together[1] - together[0]) / (apart[1] - apart[0]) == pytest.approx(np.sqrt(2), rel=0.1)


@pytest.mark.parametrize(
    ("hits", "n", "images"),
    [(np.zeros(400), 400, np.arange(400)), (ONES, 400, np.arange(400)), (np.arange(20) % 2.0, 20, np.arange(20))],
    ids=["rate 0", "rate 1", "n < 30"],
)
def test_wilson_where_the_bootstrap_says_too_little(hits: np.ndarray, n: int, images: np.ndarray) -> None:
    rate = rates({"x": Measure(hits, np.ones(n))}, images, seed=0)["x"]
    assert rate["ci95"] == list(wilson(hits.mean(), n))


def test_one_image_is_no_population() -> None:
    hits = np.arange(40) % 2.0
    rate = rates({"x": Measure(hits, np.ones(40))}, np.zeros(40, dtype=int), seed=0)["x"]
    assert rate["ci95"] == list(wilson(0.5, 40))


def test_an_f1_counts_each_match_once_for_wilson() -> None:
    rate = rates({"f1": Measure(np.array([20.0]), np.array([20.0]), trials=0.5)}, np.zeros(1, dtype=int), seed=0)["f1"]
    assert rate["n"] == 20
    assert rate["ci95"] == list(wilson(1.0, 10))


def test_nothing_counted_is_null() -> None:
    rate = rates({"x": Measure(np.zeros(3), np.zeros(3))}, np.arange(3), seed=0)["x"]
    assert rate == {"value": None, "ci95": None, "n": 0}


def covered(draws: list[np.ndarray], images: np.ndarray, truth: float) -> float:
    """The share of the draws (float64[N] each) whose interval holds the truth; all of them share the resamples."""
    measures = {str(number): Measure(draw, np.ones(len(images))) for number, draw in enumerate(draws)}
    found = rates(measures, images, seed=0).values()
    return float(np.mean([rate["ci95"][0] <= truth <= rate["ci95"][1] for rate in found]))


@pytest.mark.parametrize("each", [1, 2], ids=["one sample an image", "two alike an image"])
@pytest.mark.parametrize("rate", [0.1, 0.2, 0.3, 0.5, 0.7, 0.9])
def test_the_interval_covers_the_truth_in_a_thousand_simulations(rate: float, each: int) -> None:
    rng = np.random.default_rng(round(10 * rate))
    draws = [np.repeat(rng.random(200) < rate, each).astype(float) for _ in range(1000)]
    assert 0.93 <= covered(draws, np.repeat(np.arange(200), each), rate) <= 0.97


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_it_does_so_where_the_samples_of_an_image_are_related(rate: float) -> None:
    """Images have one to eight samples and a rate of their own, as hard and easy pictures have."""
    rng = np.random.default_rng(5)
    sizes = rng.integers(1, 9, size=300)
    images = np.repeat(np.arange(300), sizes)
    own = (np.repeat(rng.beta(4 * rate, 4 * (1 - rate), size=300), sizes) for _ in range(1000))
    draws = [(rng.random(len(images)) < rates_of_images).astype(float) for rates_of_images in own]
    assert 0.93 <= covered(draws, images, rate) <= 0.97


def test_random_groups_of_images_cover_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "MOST_UNITS", 100)
    rng = np.random.default_rng(0)
    draws = [(rng.random(1000) < 0.3).astype(float) for _ in range(1000)]
    assert 0.93 <= covered(draws, np.arange(1000), 0.3) <= 0.97


def test_the_median_and_its_interval() -> None:
    rng = np.random.default_rng(3)
    images = np.repeat(np.arange(200), 3)
    truth = 0.7355500166  # the median of the beta distribution of 5 and 2
    hit = 0
    for _ in range(200):
        found = intervals.median(rng.beta(5, 2, size=600), images, seed=0)
        low, high = found["ci95"]
        assert low <= found["value"] <= high
        hit += low <= truth <= high
    assert 0.9 <= hit / 200 <= 0.99
    assert intervals.median(np.zeros(0), np.zeros(0, dtype=int), seed=0) == {"value": None, "ci95": None, "n": 0}
    assert intervals.median(np.array([0.4]), np.zeros(1, dtype=int), seed=0)["value"] == 0.4


def test_a_mean_of_counts_has_no_wilson_interval() -> None:
    counts = Measure(np.array([3.0, 0.0]), np.ones(2), high=np.inf)
    assert rates({"x": counts}, np.arange(2), seed=0)["x"] == {"value": 1.5, "ci95": None, "n": 2}
    many = Measure(np.arange(100.0) % 7, np.ones(100), high=np.inf)
    low, high = rates({"x": many}, np.arange(100), seed=0)["x"]["ci95"]
    assert 2 < low < np.mean(many.parts) < high < 4


def test_a_mean_between_other_bounds_is_wilson_between_them() -> None:
    worst = rates({"x": Measure(-np.ones(50), np.ones(50), low=-1.0)}, np.arange(50), seed=0)["x"]
    assert worst["value"] == -1.0 and worst["ci95"][0] == -1.0 and -1.0 < worst["ci95"][1] < -0.8


def test_a_quotient_of_sums_has_its_own_n() -> None:
    found = rates({"x": Measure(np.ones(40) * 0.3, np.ones(40) * 0.6, n=40)}, np.arange(40), seed=0)["x"]
    assert found["value"] == pytest.approx(0.5) and found["n"] == 40


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(InputError, match="0 or more"):
        check_seed(-1)
    assert check_seed(3) == 3
