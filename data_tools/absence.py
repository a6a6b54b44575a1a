"""Which classes are absent from which image: by rule, never by guess.

A class is absent from an image where its annotators looked for it and no annotation of it stands there, kept or
refused, crowd or difficult. What is in an image is few, what is absent is nearly everything: so what bars a class is
kept, and the images without a class are worked out when they are asked for. Knows no prompt and draws nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from data_tools.annotations import categories_of, ignored_of
from data_tools.entries import phrase_of
from data_tools.records import Record, classes_in

Ints = NDArray[np.int64]


class Absent(Mapping[str, list[str]]):
    """Image name -> the sorted classes that are absent from it.

    Only classes with a kept box somewhere in `records` count: a category that no one ever drew may be an empty heading.
    Classes that differ in case alone, and annotations of byte-identical images, speak for each other.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self._number = {record.name: number for number, record in enumerate(records)}
        self._classes = sorted(_drawn(records))
        self._doubtful, barred = _barred(records, self._classes)
        column = {category: place for place, category in enumerate(self._classes)}
        groups: dict[frozenset[str], int] = {}  # few, shared by many records; many where negatives are named
        self._group = np.array(
            [groups.setdefault(record.looked_for, len(groups)) for record in records], dtype=np.int64
        )
        self._looked = [sorted(column[name] for name in looked_for if name in column) for looked_for in groups]
        self._image, self._column = barred

    def __len__(self) -> int:
        return len(self._number)

    def __iter__(self) -> Iterator[str]:
        return iter(self._number)

    def __getitem__(self, name: str) -> list[str]:
        number = self._number[name]
        if self._doubtful[number]:
            return []
        start, stop = np.searchsorted(self._image, [number, number + 1])
        there = set(self._column[start:stop].tolist())
        return [self._classes[place] for place in self._looked[self._group[number]] if place not in there]

    def among(self, records: Sequence[Record]) -> Without:
        """The same by class, for some of the images."""
        numbers = np.array([self._number[record.name] for record in records], dtype=np.int64)
        place = np.full(len(self), -1)
        place[numbers] = np.arange(len(numbers))
        here = place[self._image] >= 0
        by_column = np.argsort(self._column[here], kind="stable")
        return Without(
            self._classes,
            self._looked,
            np.where(self._doubtful[numbers], -1, self._group[numbers]),
            place[self._image][here][by_column],
            self._column[here][by_column],
        )


class Without:
    """Class -> the images without it, by their number among those asked for.

    Args:
        classes: sorted.
        looked: of each group of images, the numbers of the classes that were looked for.
        group: int64[images]; -1 where nothing is known to be absent.
        image, column: int64[N] each, the images that have a class, or may have it, and its number; by number.
    """

    def __init__(
        self, classes: Sequence[str], looked: Sequence[Sequence[int]], group: Ints, image: Ints, column: Ints
    ) -> None:
        self._classes, self._group, self._image, self._column = classes, group, image, column
        self._groups_of: dict[int, list[int]] = {}
        for number in np.unique(group[group >= 0]).tolist():
            for place in looked[number]:
                self._groups_of.setdefault(place, []).append(number)
        self._number = {classes[place]: place for place in sorted(self._groups_of)}

    def categories(self) -> list[str]:
        """The classes that were looked for in some image, sorted."""
        return list(self._number)

    def images(self, category: str) -> Ints:
        """int64[n], ascending: the images without a class."""
        place = self._number.get(category)
        if place is None:
            return np.zeros(0, dtype=np.int64)
        groups = self._groups_of[place]
        without = self._group == groups[0] if len(groups) == 1 else np.isin(self._group, groups)
        start, stop = np.searchsorted(self._column, [place, place + 1])
        without[self._image[start:stop]] = False
        return np.flatnonzero(without)


def _drawn(records: Sequence[Record]) -> set[str]:
    """The classes with a box that is neither crowd nor difficult."""
    return {
        category
        for record in records
        for category, aside in zip(categories_of(record.annotations), ignored_of(record.annotations), strict=True)
        if not aside
    }


def _barred(records: Sequence[Record], classes: Sequence[str]) -> tuple[NDArray[np.bool_], tuple[Ints, Ints]]:
    """bool[images], where nothing is known to be absent; and the (image, class) that are not absent, by image."""
    alike: dict[str, list[int]] = {}  # classes that differ in case alone
    for place, category in enumerate(classes):
        alike.setdefault(phrase_of(category).casefold(), []).append(place)
    shared: dict[str, set[str]] = {}
    doubtful: set[str] = set()
    for record in records:
        image = record.digest or record.name
        shared[image] = shared[image] | classes_in(record) if image in shared else classes_in(record)
        if record.doubtful:
            doubtful.add(image)
    image_of: list[int] = []
    columns: list[int] = []
    for number, record in enumerate(records):
        keys = {phrase_of(category).casefold() for category in shared[record.digest or record.name]}
        own = sorted(place for key in keys for place in alike.get(key, ()))
        image_of += [number] * len(own)
        columns += own
    unsure = np.array([(record.digest or record.name) in doubtful for record in records], dtype=bool)
    return unsure, (np.array(image_of, dtype=np.int64), np.array(columns, dtype=np.int64))
