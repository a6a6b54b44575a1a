"""Steps: every prompt once, as many as were asked for, one picture's together but never more than half of a step."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grounding.errors import InputError
from grounding.training.mixing import MixtureSampler
from grounding.training.steps import StepSampler, arrange_together, most_of_one_picture, step_sizes

# How many prompts each picture has, and how many have none.
PROMPTS = st.lists(st.integers(1, 12), max_size=12)


def pictures_of(counts: list[int], text_only: int = 0) -> list[int]:
    return [number for number, count in enumerate(counts) for _ in range(count)] + [-1] * text_only


def steps_of(pictures: list[int], effective: int, *, seed: int = 0, epoch: int = 0) -> list[list[int]]:
    sampler = MixtureSampler([len(pictures)], [None], seed, arrange_together(pictures, effective))
    sampler.set_epoch(epoch)
    return list(StepSampler(sampler, effective))


@given(counts=PROMPTS, text_only=st.integers(0, 9), effective=st.integers(1, 20), seed=st.integers(0, 99))
def test_an_epoch_is_every_prompt_once_in_whole_steps(
    counts: list[int], text_only: int, effective: int, seed: int
) -> None:
    pictures = pictures_of(counts, text_only)
    if not pictures:
        return
    steps = steps_of(pictures, effective, seed=seed)
    assert sorted(index for step in steps for index in step) == list(range(len(pictures)))
    assert [len(step) for step in steps[:-1]] == [effective] * (len(steps) - 1)


@given(
    counts=st.lists(st.integers(1, 30), min_size=1, max_size=12),
    text_only=st.integers(0, 9),
    effective=st.integers(1, 10).map(lambda half: 2 * half),
    seed=st.integers(0, 99),
)
def test_at_most_half_of_a_step_is_about_one_picture_where_the_data_allow_it(
    counts: list[int], text_only: int, effective: int, seed: int
) -> None:
    pictures = pictures_of(counts, text_only)
    pictures = pictures[: len(pictures) // effective * effective]  # whole steps, halves of which add up
    room = sum(map(most_of_one_picture, step_sizes(len(pictures), effective))) if pictures else 0
    if not pictures or max(Counter(pictures)[number] for number in range(len(counts))) > room:
        return
    for step in steps_of(pictures, effective, seed=seed):
        about = Counter(pictures[index] for index in step if pictures[index] >= 0)
        assert max(about.values(), default=0) <= effective // 2


def test_a_short_last_step_keeps_to_the_half_as_well() -> None:
    pictures = pictures_of([3] * 6)
    for epoch in range(20):
        steps = steps_of(pictures, 8, epoch=epoch)
        assert [len(step) for step in steps] == [8, 8, 2]
        assert max(Counter(pictures[index] for index in steps[-1]).values()) == 1


def test_one_picture_alone_is_trained_all_the_same() -> None:
    assert [len(step) for step in steps_of([0] * 10, 4)] == [4, 4, 2]


def test_prompts_about_one_picture_stay_together() -> None:
    """With few prompts a picture, nearly every picture is in one step only."""
    pictures = pictures_of([3] * 200)
    steps = steps_of(pictures, 16)
    pairs = {(number, pictures[index]) for number, step in enumerate(steps) for index in step}
    assert len(pairs) <= 1.2 * 200


def test_who_meets_follows_from_seed_and_epoch() -> None:
    pictures = pictures_of([5, 9, 20, 3, 3, 1], 4)
    assert steps_of(pictures, 8, epoch=2) == steps_of(pictures, 8, epoch=2)

    def meetings(seed: int, epoch: int) -> set[frozenset[int]]:
        return {frozenset(step) for step in steps_of(pictures, 8, seed=seed, epoch=epoch)}

    drawn = [meetings(0, 0), meetings(0, 1), meetings(1, 0)]
    assert not drawn[0] & drawn[1] and not drawn[0] & drawn[2]
    # So do those that share a picture of many prompts.
    partners = [{frozenset(i for i in step if pictures[i] == 2) for step in drawn} for drawn in drawn[:2]]
    assert partners[0] != partners[1]


@given(prompts=st.integers(1, 50), effective=st.integers(1, 16), processes=st.integers(1, 4))
def test_processes_share_each_step_and_none_stands_idle(prompts: int, effective: int, processes: int) -> None:
    if effective < processes or prompts < processes:
        return
    samplers = [
        StepSampler(MixtureSampler([prompts], [None], 0), effective, process, processes) for process in range(processes)
    ]
    parts = [list(sampler) for sampler in samplers]
    assert {len(part) for part in parts} == {len(samplers[0])}
    assert len(samplers[0]) in (prompts // effective, -(-prompts // effective))
    assert all(step for part in parts for step in part)
    seen = [index for step in zip(*parts, strict=True) for part in step for index in part]
    assert seen == list(samplers[0].order)


def test_fewer_prompts_than_processes_are_refused() -> None:
    with pytest.raises(InputError, match="2 training prompts are too few for 3 processes"):
        step_sizes(2, 8, 3)
    with pytest.raises(InputError, match=r"effective_batch: 2 prompts a step are too few for 3 processes"):
        step_sizes(9, 2, 3)


def test_many_prompts_are_arranged_fast_enough() -> None:
    """Work grows with the prompts, not with their square: 30,000 pictures go through in one breath."""
    counts = np.random.default_rng(0).integers(1, 8, 30_000).tolist()
    pictures = pictures_of(counts)
    looked_at = 0

    class Counting(list[int]):
        def __getitem__(self, index):  # type: ignore[no-untyped-def]
            nonlocal looked_at
            looked_at += 1
            return super().__getitem__(index)

    arrange_together(Counting(pictures), 16)(np.arange(len(pictures)), np.random.default_rng(0))
    assert looked_at <= 3 * len(pictures)
