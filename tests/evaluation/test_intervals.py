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


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_interval_covers_the_truth(rate: float) -> None:
    covered = 0
    for seed in range(200):
        measure, images = draw(seed, rate=rate)
        low, high = rates({"x": measure}, images, seed=seed, resamples=500)["x"]["ci95"]
        covered += low <= rate <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(InputError, match="0 or more"):
        check_seed(-1)
    assert check_seed(3) == 3
