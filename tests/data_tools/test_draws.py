"""Picks by a hash: even, independent of each other, and the same wherever they are drawn."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from data_tools.draws import digests_of, number_of, pick_by, remainders

ROOT = Path(__file__).parents[2]
MANY = 20_000
SURE = 1e-3  # of these few fixed draws none is so uneven that chance gives it once in a thousand times


def drawn(*sizes: int) -> np.ndarray:
    """int64[MANY, picks]: what is picked, for many images, among so many choices each time."""
    return np.array([digits(f"0|{number}.jpg|cat", sizes) for number in range(MANY)])


def digits(about: str, sizes: Sequence[int]) -> list[int]:
    """Picks as they are taken from the number of a text."""
    left, picks = number_of(about), []
    for size in sizes:
        left, picked = divmod(left, size)
        picks.append(picked)
    return picks


@pytest.mark.parametrize("size", [2, 3, 5, 27, 28, 100])
def test_each_choice_comes_up_as_often(size: int) -> None:
    for picks in drawn(1, size, 5, size).T[1::2]:
        assert chisquare(np.bincount(picks, minlength=size)).pvalue > SURE


def test_one_pick_tells_nothing_of_another() -> None:
    picks = drawn(2, 28, 5, 2).T
    for one in range(4):
        for other in range(one):
            table = np.zeros((28, 28), dtype=int)
            np.add.at(table, (picks[one], picks[other]), 1)
            table = table[table.any(axis=1)][:, table.any(axis=0)]
            assert chi2_contingency(table).pvalue > SURE


def test_neighbouring_images_are_drawn_apart() -> None:
    (picks,) = drawn(5).T
    table = np.zeros((5, 5), dtype=int)
    np.add.at(table, (picks[:-1], picks[1:]), 1)
    assert chi2_contingency(table).pvalue > SURE


def test_the_picks_are_those_of_any_machine_and_process() -> None:
    """A hash of strings differs from process to process unless it is told not to; this one does not."""
    told = "from tests.data_tools.test_draws import digits; print(digits('0|图.jpg|cat', (2, 28, 5, 2)))"
    for hash_seed in "12":
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        made = subprocess.run(
            [sys.executable, "-c", told], cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True
        )
        assert made.stdout.split() == b"[0, 21, 1, 0]".split()


def test_a_single_choice_is_taken() -> None:
    assert pick_by("x", "a") == "a"


@given(abouts=st.lists(st.text(st.characters(exclude_categories=["Cs"]))), divisor=st.integers(1, 2**31))
def test_many_at_once_leave_what_each_leaves(abouts: list[str], divisor: int) -> None:
    assert remainders(digests_of(abouts), divisor).tolist() == [number_of(about) % divisor for about in abouts]
