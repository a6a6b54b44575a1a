"""Which images look alike, and which of one split look like one of another. Knows files and fingerprints, no boxes.

Files of the same bytes count as one here; those are told by `leaks`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from data_tools.inspection.fingerprints import WORDS, Pairs, near_pairs
from data_tools.inspection.leaks import Files
from data_tools.inspection.table import Ints


@dataclass(frozen=True)
class Alike:
    """Files that look alike. C different contents, in G groups of one fingerprint each, in S splits.

    Attributes:
        files: what `place` points into.
        place: int64[C], the first file of each content that has a fingerprint.
        group: int64[C].
        inside: bool[C, S], the splits of each content.
        near: pairs of groups.
    """

    files: Files
    place: Ints
    group: Ints
    inside: NDArray[np.bool_]
    near: Pairs

    @cached_property
    def _own(self) -> NDArray[np.bool_]:
        """bool[G, S]: the splits that a group has a content in."""
        own = np.zeros((int(self.group.max(initial=-1)) + 1, self.inside.shape[1]), dtype=bool)
        np.logical_or.at(own, self.group, self.inside)
        return own

    @property
    def total(self) -> int:
        """Pairs of different contents that look alike."""
        sizes = np.bincount(self.group)
        one, other = self.near.places.T
        return int((sizes * (sizes - 1) // 2).sum() + (sizes[one] * sizes[other]).sum())

    def across(self, of: int, also: int) -> Ints:
        """int64[F]: places of files of the split `of` alone that look like one of the split `also`."""
        one, other = self.near.places.T
        reached = self._own[:, also].copy()
        np.logical_or.at(reached, one, self._own[other, also])
        np.logical_or.at(reached, other, self._own[one, also])
        alone = self.inside[:, of] & (self.inside.sum(axis=1) == 1)
        return self.place[alone & reached[self.group]]

    def closest(self, most: int) -> list[tuple[int, int, int]]:
        """(file, other file, bits that differ): those of two splits first, then those that differ least."""
        twins = np.flatnonzero(np.bincount(self.group) > 1)
        places = np.concatenate([np.column_stack([twins, twins]), self.near.places])
        distance = np.concatenate([np.zeros(len(twins), dtype=np.int64), self.near.distance])
        apart = (self._own[places[:, 0]] | self._own[places[:, 1]]).sum(axis=1) > 1
        order = np.lexsort((distance, ~apart))[:most]
        return [(*self._pair(*places[at].tolist()), int(distance[at])) for at in order]

    def _pair(self, one: int, other: int) -> tuple[int, int]:
        """A file of each of two groups, or two of one, in different splits where there are such."""
        members = self._one_a_split(one)
        pairs = combinations(members, 2) if one == other else product(members, self._one_a_split(other))
        first, second = max(pairs, key=lambda pair: bool((self.inside[pair[0]] ^ self.inside[pair[1]]).any()))
        return int(self.place[first]), int(self.place[second])

    def _one_a_split(self, group: int) -> list[int]:
        """A content for each of the splits of a group, and a second one, so that there are two where there can be."""
        members = np.flatnonzero(self.group == group)
        firsts = np.unique(self.inside[members], axis=0, return_index=True)[1]
        return members[sorted({*firsts.tolist(), *range(min(2, len(members)))})].tolist()


def alike(files: Files, splits: int) -> Alike:
    """Looks for files that look alike among those that were read; `splits` is how many there are."""
    contents: dict[bytes, list[int]] = {}
    for file, look in enumerate(files.looks):
        if look.print is not None:
            contents.setdefault(look.digest, []).append(file)
    inside = np.zeros((len(contents), splits), dtype=bool)
    for number, members in enumerate(contents.values()):
        inside[number, [split for file in members for split in files.splits[file]]] = True
    place = np.array([members[0] for members in contents.values()], dtype=np.int64)
    prints = np.array([files.looks[at].print for at in place.tolist()], dtype=np.uint16).reshape(-1, WORDS)
    unique, group = np.unique(prints, axis=0, return_inverse=True)
    return Alike(files, place, group.reshape(-1).astype(np.int64), inside, near_pairs(unique))
