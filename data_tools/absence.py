"""Which classes are absent from which images, told by what is there: nothing here grows with images times classes.

Absence by rule: a class is absent from an image where its annotators looked for it and no annotation of it stands
there, kept or refused, crowd or difficult. Only classes with a kept box somewhere count: a category that no one ever
drew may be an empty heading. Classes that differ in case alone, and annotations of byte-identical images, speak for
each other. Knows no question and draws nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import overload

from data_tools.annotations import classes_of
from data_tools.entries import phrase_of
from data_tools.records import Record, classes_in, classes_in_any


class Absent(Mapping[str, Sequence[str]]):
    """Image name -> the classes absent from it, sorted, worked out when they are asked for.

    Args:
        records: all images, whatever their split; names must be unique.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = {record.name: record for record in records}
        self._drawn = {
            category
            for classes in classes_of([record.annotations for record in records])
            for category, asked in classes.items()
            if asked
        }
        looked_for = {record.looked_for for record in records}  # few sets, shared by many records
        self._pools = {pool: pool & self._drawn for pool in looked_for}
        named = classes_in_any(records).union(*self._pools.values())
        self._key = {category: phrase_of(category).casefold() for category in named}
        self._there: dict[str, set[str]] = {}
        self._doubtful = {_image(record) for record in records if record.doubtful}
        for record in records:
            keys = self._there.setdefault(_image(record), set())
            keys.update(self._key[category] for category in classes_in(record))

    def __getitem__(self, name: str) -> list[str]:
        record = self._records[name]
        if _image(record) in self._doubtful:
            return []
        there = self._there[_image(record)]
        return sorted(category for category in self._pools[record.looked_for] if self._key[category] not in there)

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def places(self, records: Sequence[Record]) -> dict[str, Sequence[int]]:
        """Class -> the numbers of the images among these that it is absent from, ascending; classes of none left out.

        Args:
            records: some of those that this was made of, as of one split.
        """
        pools: dict[frozenset[str], list[int]] = {}
        there: dict[str, list[int]] = {}
        pool_of: list[frozenset[str] | None] = []
        for number, record in enumerate(records):
            doubtful = _image(record) in self._doubtful
            pool_of.append(None if doubtful else record.looked_for)
            if not doubtful:
                pools.setdefault(record.looked_for, []).append(number)
                for key in self._there[_image(record)]:
                    there.setdefault(key, []).append(number)
        holding: dict[str, list[frozenset[str]]] = {}
        for pool in pools:
            for category in self._pools[pool]:
                holding.setdefault(category, []).append(pool)
        together: dict[tuple[frozenset[str], ...], list[int]] = {}
        places: dict[str, Sequence[int]] = {}
        for category, some in holding.items():
            asked = tuple(some)
            if asked not in together:
                together[asked] = sorted(number for pool in asked for number in pools[pool])
            inside = [number for number in there.get(self._key[category], ()) if pool_of[number] in asked]
            without = Without(together[asked], inside)
            if without:
                places[category] = without
        return places


def _image(record: Record) -> str:
    """What byte-identical images have in common."""
    return record.digest or record.name


class Without(Sequence[int]):
    """The numbers of `every` but for those of `some`, all of which are in it; both ascend, and neither is copied."""

    def __init__(self, every: Sequence[int], some: Sequence[int]) -> None:
        self._every, self._some = every, some

    def __len__(self) -> int:
        return len(self._every) - len(self._some)

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[int]: ...
    def __getitem__(self, place: int | slice) -> int | Sequence[int]:
        if isinstance(place, slice):
            return list(self)[place]
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        place %= len(self)
        return self._every[place + bisect_right(self._before, place)]

    def __iter__(self) -> Iterator[int]:
        some = set(self._some)
        return (number for number in self._every if number not in some)

    @cached_property
    def _before(self) -> list[int]:
        """How many numbers that stay stand before each of those left out."""
        return [bisect_left(self._every, number) - nth for nth, number in enumerate(self._some)]
