"""Order and mixture: shares, whole passes, the same order from the same seed, nothing lost."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grounding.training.mixing import MixtureSampler, draws_per_epoch

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=3)


@given(sizes=SIZES, seed=st.integers(0, 9), epoch=st.integers(0, 5))
def test_without_shares_an_epoch_is_every_sample_once(sizes: list[int], seed: int, epoch: int) -> None:
    order = MixtureSampler(sizes, [None] * len(sizes), seed).order(epoch)
    assert sorted(order.tolist()) == list(range(sum(sizes)))


@pytest.mark.parametrize(
    ("sizes", "shares", "draws"),
    [
        ([100, 1000], [0.8, 0.2], [100, 25]),
        ([100, 10], [1.0, 1.0], [100, 100]),
        ([30, 1000, 5], [3.0, 1.0, 2.0], [30, 10, 20]),
        ([2, 1000], [1.0, 0.001], [2, 1]),
        ([7], [0.3], [7]),
    ],
)
def test_shares_set_the_numbers_beside_one_pass_over_the_first(
    sizes: list[int], shares: list[float], draws: list[int]
) -> None:
    assert draws_per_epoch(sizes, shares) == draws
    sampler = MixtureSampler(sizes, shares, seed=0)
    order = sampler.order(0)
    assert len(order) == len(sampler) == sum(draws)
    starts = [sum(sizes[:number]) for number in range(len(sizes) + 1)]
    found = [sum(start <= index < end for index in order) for start, end in pairwise(starts)]
    assert found == draws
    assert sorted(index for index in order if index < sizes[0]) == list(range(sizes[0]))


@given(size=st.integers(1, 30), share=st.floats(0.05, 3.0), seed=st.integers(0, 5))
def test_no_sample_of_a_drawn_set_comes_twice_before_all_came_once(size: int, share: float, seed: int) -> None:
    sampler = MixtureSampler([10, size], [1.0, share], seed)
    seen: Counter[int] = Counter(dict.fromkeys(range(10, 10 + size), 0))
    for epoch in range(6):
        seen.update(int(index) for index in sampler.order(epoch) if index >= 10)
        assert max(seen.values()) - min(seen.values()) <= 1


@given(sizes=SIZES, seed=st.integers(0, 99), epochs=st.lists(st.integers(0, 9), max_size=4))
def test_the_order_depends_on_seed_and_epoch_alone(sizes: list[int], seed: int, epochs: list[int]) -> None:
    sampler = MixtureSampler(sizes, [None] * len(sizes), seed)
    for epoch in epochs:
        sampler.set_epoch(epoch)
        assert list(sampler) == MixtureSampler(sizes, [None] * len(sizes), seed).order(epoch).tolist()


def test_epochs_and_seeds_differ() -> None:
    sampler = MixtureSampler([50], [None], 0)
    orders = [sampler.order(0).tolist(), sampler.order(1).tolist(), MixtureSampler([50], [None], 1).order(0).tolist()]
    assert len({tuple(order) for order in orders}) == 3
