"""Which absent classes are hard to tell from what is there: those that often stand beside it, or are of its kind.

Knows classes and images by number; does not know what is absent where, nor how much is asked.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from data_tools.annotations import categories_of
from data_tools.records import Record

SAME_KIND = 0.5  # what a thing of the same kind in the image counts, where 1 is a class that always stands beside it


class Hardness:
    """Draws images for absent classes by how much speaks for the class there.

    The weight of a class c in an image is the sum over the classes p there of P(c | p), the share of the images with p
    that have c too, and `SAME_KIND` more where one of them is of the kind of c. A kind that all classes are of says
    nothing.

    Args:
        records: of a split; `draw` takes their numbers.
        kinds: class -> kind, for the classes that have one.
        share: 0..1 of each class's not-found questions that are drawn by weight.
    """

    def __init__(self, records: Sequence[Record], kinds: Mapping[str, str], share: float) -> None:
        self.share = share
        there = [sorted(set(categories_of(record.annotations))) for record in records]
        names = sorted({name for classes in there for name in classes})
        self.column = {name: number for number, name in enumerate(names)}
        self.present = _table([[self.column[name] for name in classes] for classes in there], len(names))
        self.images_with = np.maximum(self.present.sum(axis=0), 1)
        self.kinds = kinds if len({kinds.get(name) for name in names}) > 1 else {}
        self.kind_number = {kind: number for number, kind in enumerate(sorted(set(self.kinds.values())))}
        kinds_there = [sorted({self.kind_number[self.kinds[name]] for name in classes if name in self.kinds})
                       for classes in there]  # fmt: skip
        self.kinds_present = _table(kinds_there, len(self.kind_number))

    def weights(self, category: str) -> NDArray[np.float64]:
        """float64[images]: how much speaks for the class in each image, 0 where nothing does."""
        weights = np.zeros(self.present.shape[0])
        if category in self.column:
            own = self.present[:, [self.column[category]]]
            beside = (self.present.T @ own).toarray().ravel() / self.images_with
            weights += self.present @ beside
        if category in self.kinds:
            weights += SAME_KIND * self.kinds_present[:, [self.kind_number[self.kinds[category]]]].toarray().ravel()
        return weights

    def draw(self, category: str, candidates: Sequence[int], count: int, rng: random.Random) -> list[int]:
        """About `share` of `count` images, drawn without return by weight; fewer where too few have any.

        Efraimidis and Spirakis, Weighted random sampling with a reservoir (2006): the largest u ** (1 / weight).
        """
        hard = int(self.share * count + rng.random())
        images = np.array(list(candidates), dtype=np.int64)
        weights = self.weights(category)[images] if hard else np.zeros(0)
        possible = np.flatnonzero(weights)
        keys = np.log(1 - np.random.default_rng(rng.getrandbits(64)).random(len(possible))) / weights[possible]
        return sorted(images[possible[np.argsort(-keys, kind="stable")[:hard]]].tolist())


def _table(columns: Sequence[Sequence[int]], width: int) -> csr_array:
    """float64[rows, width], 1 at the columns of each row."""
    rows = np.repeat(np.arange(len(columns)), [len(row) for row in columns])
    flat = np.array([column for row in columns for column in row], dtype=np.int64)
    return csr_array((np.ones(len(flat)), (rows, flat)), shape=(len(columns), width))
