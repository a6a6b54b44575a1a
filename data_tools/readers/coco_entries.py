"""The entries of a COCO instances JSON as they stand; annotations by column. Judges nothing but how a value is typed.

An annotation is *plain* where its ids are whole numbers, its box four numbers and `iscrowd` 0, 1 or left out: its row
is in the columns. All others are *odd*: they are decoded again, a slice of the file at a time, when they are looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from data_tools.entries import is_id
from data_tools.readers.documents import convert_entries
from data_tools.readers.json_slices import Slice, Text, text_of_slice

LARGEST = 1 << 53  # whole numbers up to here are the same in a column and in a float


class CocoImage(msgspec.Struct, frozen=True, gc=False):
    """An entry of `images`; every value is judged later, so that one wrong value costs one entry."""

    id: Any = None
    file_name: Any = None
    coco_url: Any = None
    width: Any = None
    height: Any = None
    neg_category_ids: Any = None
    not_exhaustive_category_ids: Any = None


class CocoCategory(msgspec.Struct, frozen=True):
    """An entry of `categories`."""

    id: Any = None
    name: Any = None
    supercategory: Any = None


class CocoAnnotation(msgspec.Struct, frozen=True):
    """An entry of `annotations`, whatever its values are."""

    id: Any = None
    image_id: Any = None
    category_id: Any = None
    bbox: Any = None
    iscrowd: Any = None
    segmentation: Any = None


_Id = Annotated[int, msgspec.Meta(ge=-LARGEST, le=LARGEST)]


class PlainAnnotation(msgspec.Struct, frozen=True, gc=False):
    """A plain entry of `annotations`; its polygon is skipped."""

    id: _Id
    image_id: _Id
    category_id: _Id
    bbox: tuple[float, float, float, float]
    iscrowd: Literal[0, 1] | None = 0


_plain = msgspec.json.Decoder(list[PlainAnnotation])
_any = msgspec.json.Decoder(list[CocoAnnotation])
_images = msgspec.json.Decoder(list[CocoImage])
_categories = msgspec.json.Decoder(list[CocoCategory])


def decode_images(text: Text) -> list[CocoImage | None]:
    """Entries of `images`; None for one that is no object."""
    return _decode(text, _images, CocoImage)


def decode_categories(text: Text) -> list[CocoCategory | None]:
    """Entries of `categories`; None for one that is no object."""
    return _decode(text, _categories, CocoCategory)


def decode_annotations(text: Text) -> list[CocoAnnotation | None]:
    """Entries of `annotations`, plain and odd; None for one that is no object."""
    return _decode(text, _any, CocoAnnotation)


def _decode(text: Text, decoder: Any, kind: Any) -> list[Any]:
    try:
        return decoder.decode(text)
    except msgspec.ValidationError:  # an element that is no object; unsound JSON goes to the caller
        return convert_entries(msgspec.json.decode(text), kind)


class Entries:
    """All annotations of a document by column, in the order of the file.

    Attributes:
        id, image_id, category_id: int64[N].
        bbox: float64[N, 4], four numbers as they stand.
        iscrowd: bool[N].
        odd: bool[N]; where it is set the other columns say nothing, and `entry` does.
        odd_ids: the ids of the odd ones, where they have any.
    """

    def __init__(self, columns: dict[str, NDArray[Any]], reads: _Reads) -> None:
        self.id, self.image_id, self.category_id = columns["id"], columns["image_id"], columns["category_id"]
        self.bbox, self.iscrowd, self.odd = columns["bbox"], columns["iscrowd"], columns["odd"]
        self.odd_ids = frozenset(reads.odd_ids)
        self._reads = reads

    def __len__(self) -> int:
        return len(self.id)

    def entry(self, index: int) -> CocoAnnotation | None:
        """One entry as it stands, None where it is no object. Quick in the order of the file."""
        return self._reads.entry(index)


class EntryColumns:
    """Puts the columns together, slice by slice."""

    def __init__(self, path: Path) -> None:
        self._parts: dict[str, list[NDArray[Any]]] = {name: [] for name in (*_NUMBERS, "bbox", "odd")}
        self._reads = _Reads(path)
        self._add([])  # so that each column has its type and width

    @staticmethod
    def decode(text: Text) -> list[Any]:
        """The entries of a slice: all plain where they can be."""
        try:
            return _plain.decode(text)
        except msgspec.ValidationError:
            return decode_annotations(text)

    def add(self, piece: Slice) -> None:
        """The columns of a slice that `decode` decoded."""
        self._add(piece.elements)
        self._reads.slices.append(piece._replace(elements=[]))
        self._reads.counts.append(len(piece.elements))

    def add_whole(self, entries: Sequence[CocoAnnotation | None]) -> None:
        """The columns of a document that could not be read in slices."""
        self._add(entries)
        self._reads.whole = entries

    def _add(self, entries: Sequence[Any]) -> None:
        rows = entries if entries and isinstance(entries[0], PlainAnnotation) else list(map(_plainly, entries))
        odd = np.array([row is None for row in rows], dtype=bool) if rows is not entries else np.zeros(len(rows), bool)
        if odd.any():
            self._reads.odd_ids |= {
                entries[place].id for place in np.flatnonzero(odd).tolist() if _has_id(entries[place])
            }
            rows = [_NOTHING if row is None else row for row in rows]
        for name, kind in _NUMBERS.items():
            self._parts[name].append(np.fromiter(map(attrgetter(name), rows), kind, len(rows)))
        numbers = chain.from_iterable(map(attrgetter("bbox"), rows))
        self._parts["bbox"].append(np.fromiter(numbers, np.float64, 4 * len(rows)).reshape(-1, 4))
        self._parts["odd"].append(odd)

    def finish(self) -> Entries:
        """All columns; nothing can be added any more."""
        columns = {name: np.concatenate(self._parts.pop(name)) for name in list(self._parts)}
        return Entries(columns, self._reads)


_NUMBERS = {"id": np.int64, "image_id": np.int64, "category_id": np.int64, "iscrowd": np.bool_}
_NOTHING = PlainAnnotation(0, 0, 0, (0.0, 0.0, 0.0, 0.0))


def _plainly(entry: CocoAnnotation | None) -> PlainAnnotation | None:
    try:
        return None if entry is None else msgspec.convert(entry, PlainAnnotation, from_attributes=True)
    except msgspec.ValidationError:
        return None


def _has_id(entry: CocoAnnotation | None) -> bool:
    return entry is not None and is_id(entry.id)


class _Reads:
    """Decodes entries again: the slice of the last one that was asked for is kept."""

    def __init__(self, path: Path) -> None:
        self.slices: list[Slice] = []
        self.counts: list[int] = []
        self.odd_ids: set[Any] = set()
        self.whole: Sequence[CocoAnnotation | None] = ()
        self._path = path
        self._at: tuple[int, int] = (0, 0)
        self._decoded: Sequence[CocoAnnotation | None] = ()

    def entry(self, index: int) -> CocoAnnotation | None:
        if not self.slices:
            return self.whole[index]
        start, end = self._at
        if not start <= index < end:
            number, start = self._slice_of(index)
            self._decoded = decode_annotations(text_of_slice(self._path, self.slices[number]))
            self._at = (start, start + len(self._decoded))
        return self._decoded[index - start]

    def _slice_of(self, index: int) -> tuple[int, int]:
        """The number of the slice that has an entry, and the index of its first one."""
        ends = np.cumsum(self.counts)
        number = int(np.searchsorted(ends, index, side="right"))
        return number, int(ends[number]) - self.counts[number]
