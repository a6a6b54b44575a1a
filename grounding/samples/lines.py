"""Records that stay in their file: a sequence that knows where each line starts and reads it when it is asked for.

Knows bytes and a function that decodes them; does not know what a record is. A set that is far larger than the memory
can so be gone through again and again.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from grounding.errors import InputError

T = TypeVar("T")
NONE = -1


class Lines(Sequence[T]):
    """Lines of a file as records, read anew each time; the file must not change meanwhile.

    Args:
        path: of the file.
        offsets: int64[N], where each line starts; `NONE` where there is none, and None stands for it.
        decode: a record from the bytes of its line, which are known to be good.
        ids: the name of each record; none at all where no one asks for them.
    """

    def __init__(
        self, path: Path, offsets: NDArray[np.int64], decode: Callable[[bytes], T], *, ids: Sequence[str]
    ) -> None:
        self.ids = ids
        self._path, self._offsets, self._decode = path, offsets, decode

    def __len__(self) -> int:
        return len(self._offsets)

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> Lines[T]: ...
    def __getitem__(self, place: int | slice) -> T | Lines[T]:
        if isinstance(place, slice):
            return self.pick(np.arange(len(self))[place])
        return next(iter(self.pick([place])))

    def __iter__(self) -> Iterator[T]:
        with self._path.open("rb") as file:
            at = 0
            for offset in self._offsets.tolist():
                if offset == NONE:
                    yield None  # type: ignore[misc]  # T allows it where offsets do
                    continue
                if offset != at:
                    file.seek(offset)
                line = file.readline()
                if not line:
                    raise InputError("this file became shorter while it was read.", where=str(self._path))
                at = offset + len(line)
                yield self._decode(line)

    def pick(self, places: Sequence[int] | NDArray[np.int64]) -> Lines[T]:
        """The records at these places, in this order."""
        chosen = np.asarray(places, dtype=np.int64)
        ids = [self.ids[place] for place in chosen] if self.ids else ()
        return Lines(self._path, self._offsets[chosen], self._decode, ids=ids)


def pick(records: Sequence[T], places: Sequence[int] | array[int]) -> Sequence[T]:
    """The records at these places; those that stay in a file still do."""
    return records.pick(places) if isinstance(records, Lines) else tuple(records[place] for place in places)


def ids_of(records: Sequence[Any]) -> Sequence[str]:
    """The `id` of each record."""
    return records.ids if isinstance(records, Lines) else [record.id for record in records]
