"""In which order samples are trained: a pure function of (seed, epoch), for one dataset or several mixed by shares.

Knows sizes and shares only; it does not know what a sample is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

Arrange = Callable[[NDArray[np.int64], np.random.Generator], NDArray[np.int64]]
"""The indices of an epoch, and what to draw from, to an order."""


def draws_per_epoch(sizes: Sequence[int], shares: Sequence[float | None]) -> list[int]:
    """How many samples of each dataset an epoch has.

    Without shares every sample once. With shares the first dataset goes through once, and the others are drawn beside
    it so that the numbers stand to each other as the shares do (rounded, at least one each): a large general set
    replayed beside one's own does not make the epoch longer than its share.
    """
    weights = [share for share in shares if share is not None]
    if len(weights) != len(sizes):
        return list(sizes)
    return [max(1, round(sizes[0] * weight / weights[0])) for weight in weights]


class MixtureSampler(torch.utils.data.Sampler[int]):
    """Indices into the datasets laid end to end, shuffled or arranged anew each epoch.

    A dataset of which an epoch takes a part goes on where the last epoch stopped, so that none of its samples comes a
    second time before all came once. Two samplers with the same arguments give the same order, whatever was drawn
    before: a resumed run sees what an uninterrupted one does.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        shares: Sequence[float | None],
        seed: int,
        arrange: Arrange = lambda indices, rng: rng.permutation(indices),
    ) -> None:
        self.sizes, self.seed, self.epoch, self.arrange = list(sizes), seed, 0, arrange
        self.draws = draws_per_epoch(sizes, shares)

    def __len__(self) -> int:
        return sum(self.draws)

    def __iter__(self) -> Iterator[int]:
        return iter(self.order(self.epoch).tolist())

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that iteration gives, counted from 0."""
        self.epoch = epoch

    def order(self, epoch: int) -> NDArray[np.int64]:
        """int64[len(self)], the indices of an epoch in order."""
        starts = np.cumsum([0, *self.sizes[:-1]])
        parts = [
            start + self._slice(number, epoch * draws, draws)
            for number, (start, draws) in enumerate(zip(starts, self.draws, strict=True))
        ]
        mixed = np.concatenate(parts).astype(np.int64)
        return self.arrange(mixed, np.random.default_rng([self.seed, 0, epoch]))

    def _slice(self, number: int, begin: int, count: int) -> NDArray[np.int64]:
        """`count` indices of one dataset from place `begin` of its endless row of shuffled passes."""
        size = self.sizes[number]
        passes = range(begin // size, (begin + count - 1) // size + 1)
        row = np.concatenate(
            [np.random.default_rng([self.seed, 1 + number, turn]).permutation(size) for turn in passes]
        )
        return row[begin % size :][:count]
