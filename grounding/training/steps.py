"""Which prompts share an optimiser step: a step has so many prompts, and those about one image stay together.

Knows counts and numbers of pictures; it does not know what a sample is, nor how long.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from grounding.errors import InputError
from grounding.training.mixing import Arrange, MixtureSampler

Indices = NDArray[np.int64]
Unit = tuple[int, list[int]]

TEXT_ONLY = -1
"""The picture of a prompt without one."""
LOOK_AHEAD = 64
"""Units looked at for one that fits whole into the rest of a step, before one is cut."""


def step_sizes(prompts: int, effective: int, processes: int = 1) -> list[int]:
    """Prompts of each step of an epoch: `effective`, and what is left in the last.

    Where that is less than one for each process it joins the step before, so that none stands idle.

    Raises:
        InputError: there are fewer prompts than processes, in all or in a step.
    """
    if prompts < processes:
        raise InputError(f"{prompts} training prompts are too few for {processes} processes: each needs one.")
    if effective < processes:
        raise InputError(
            f"{effective} prompts a step are too few for {processes} processes: each needs one.",
            where="training.effective_batch",
        )
    sizes = [min(effective, prompts - start) for start in range(0, prompts, effective)]
    return sizes if sizes[-1] >= processes else [*sizes[:-2], sum(sizes[-2:])]


def most_of_one_picture(size: int) -> int:
    """How many prompts of a step may be about one picture: half, so that no step learns one picture alone."""
    return max(1, size // 2)


def together(indices: Indices, pictures: Sequence[int], sizes: Sequence[int], rng: np.random.Generator) -> Indices:
    """The indices in an order in which, cut into steps of these sizes, prompts about one picture meet in a step.

    Of each picture the prompts are shuffled and cut into as few and as equal units as the half of a step allows. The
    units, spread evenly over the epoch where a picture has several, go into the steps in a random order; a unit is cut
    once more where only a part of it fits. A step has more than half of its prompts from one picture only where nothing
    else is left to fill it with.

    Args:
        indices: int64[N] in any order. pictures: of each possible index; -1 for text only.
        sizes: sum to N.

    Returns:
        int64[N], a permutation of `indices`.
    """
    pending = _units(indices, pictures, most_of_one_picture(max(sizes)), rng)
    left = Counter(picture for picture, unit in pending for _ in unit)
    several = [picture for picture, count in left.items() if count > most_of_one_picture(max(sizes)) and picture >= 0]
    room_behind = sum(map(most_of_one_picture, sizes))
    steps: dict[int, list[int]] = {}
    # A short last step has little room for any one picture: it chooses first.
    for number in sorted(range(len(sizes)), key=lambda number: (sizes[number] == max(sizes), number)):
        most = most_of_one_picture(sizes[number])
        room_behind -= most
        step = _Step(sizes[number], pending, left)
        # What the steps behind have no room for comes now; then whole units, then parts of them; then all is one.
        for picture in several:
            if left[picture] > room_behind:
                step.take({picture: min(most, left[picture] - room_behind)}, 0, cut=True)
        if sizes[number] == max(sizes):  # a short one would draw all its prompts from the smallest units
            step.take({}, most, cut=False, look_ahead=LOOK_AHEAD)
        step.take({}, most, cut=True)
        step.take({}, sizes[number], cut=True)
        steps[number] = step.indices
    return np.array([index for number in range(len(sizes)) for index in steps[number]], dtype=np.int64)


def _units(indices: Indices, pictures: Sequence[int], most: int, rng: np.random.Generator) -> deque[Unit]:
    """Prompts that stay together, in the order in which the steps are to take them: (picture, its indices)."""
    by_picture: dict[int, list[int]] = {}
    alone: list[Unit] = []
    for index in rng.permutation(indices).tolist():
        if pictures[index] < 0:
            alone.append((TEXT_ONLY, [index]))
        else:
            by_picture.setdefault(pictures[index], []).append(index)
    placed: list[tuple[float, Unit]] = [(rng.random(), unit) for unit in alone]
    for picture, members in by_picture.items():
        parts = np.array_split(members, math.ceil(len(members) / most))
        start = rng.random()
        placed += [((start + number) / len(parts), (picture, part.tolist())) for number, part in enumerate(parts)]
    return deque(unit for _, unit in sorted(placed))


class _Step:
    """A step that is being filled from the front of `pending`; `left` counts what of each picture is not taken yet."""

    def __init__(self, size: int, pending: deque[Unit], left: Counter[int]) -> None:
        self.size, self.pending, self.left = size, pending, left
        self.indices: list[int] = []
        self.taken: Counter[int] = Counter()

    def take(self, most_of: Mapping[int, int], most: int, *, cut: bool, look_ahead: int | None = None) -> None:
        """Take units, or with `cut` parts of them, while there is room.

        Args:
            most_of: how much of a picture the step may have in all; `most` for pictures not named, no limit for text.
            look_ahead: units to look at; None looks at all.
        """
        passed: list[Unit] = []
        while self.pending and len(self.indices) < self.size and (look_ahead is None or len(passed) < look_ahead):
            picture, unit = self.pending.popleft()
            allowed = most_of.get(picture, most) - self.taken[picture]
            room = self.size - len(self.indices)
            if picture != TEXT_ONLY or most_of:
                room = min(room, max(0, allowed))
            count = len(unit) if len(unit) <= room else room if cut else 0
            self.indices += unit[:count]
            self.taken[picture] += count
            self.left[picture] -= count
            if unit[count:]:
                passed.append((picture, unit[count:]))
        self.pending.extendleft(reversed(passed))


def arrange_together(pictures: Sequence[int], effective: int, processes: int = 1) -> Arrange:
    """`together` for steps of so many prompts, as a sampler takes it."""
    return lambda indices, rng: together(indices, pictures, step_sizes(len(indices), effective, processes), rng)


class StepSampler(torch.utils.data.Sampler[list[int]]):
    """The indices of this process's part of each optimiser step of an epoch, in the order of `order`.

    Args:
        order: indices of an epoch; is told the epoch by whoever runs the training.
        effective: prompts of a step over all processes, which take equal parts, rounded.
    """

    def __init__(self, order: MixtureSampler, effective: int, process: int = 0, processes: int = 1) -> None:
        self.order, self.process, self.processes = order, process, processes
        self.sizes = step_sizes(len(order), effective, processes)

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[list[int]]:
        indices = list(self.order)
        ends = np.cumsum(self.sizes).tolist()
        for size, end in zip(self.sizes, ends, strict=True):
            yield np.array_split(indices[end - size : end], self.processes)[self.process].tolist()
