"""Boxes as annotated: one by one, or by column where there are hundreds of thousands. Knows no image and no format.

A reader of large files keeps the boxes of all images in `Columns`, a tenth of what as many objects take. A record then
has `Rows`, the run of them that is its own: a sequence that makes each `Annotation` when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, chain, pairwise
from operator import attrgetter
from typing import Literal, NamedTuple, cast, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

XYXY = tuple[float, float, float, float]
Ignore = Literal["crowd", "difficult"]
IGNORES: tuple[Ignore | None, ...] = (None, "crowd", "difficult")


class Annotation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One box as annotated: `xyxy_px` float px, not yet checked against the image; `place` says where it stands."""

    xyxy_px: XYXY
    category: str
    place: str
    ignore: Ignore | None = None


class Columns(NamedTuple):
    """The boxes of many images; those of one image stand together, in the order of its annotation.

    Attributes:
        xyxy_px: float64[N, 4].
        category: int32[N], numbers in `classes`.
        ignore: int8[N], numbers in `IGNORES`.
        entry: int64[N], what `place` makes the place of a row of.
        classes: names, each once.
        place: the place of an entry, in words.
    """

    xyxy_px: NDArray[np.float64]
    category: NDArray[np.int32]
    ignore: NDArray[np.int8]
    entry: NDArray[np.int64]
    classes: tuple[str, ...]
    place: Callable[[int], str]

    def only(self, row: NDArray[np.int64]) -> Columns:
        """The rows of these numbers."""
        return self._replace(
            xyxy_px=self.xyxy_px[row], category=self.category[row], ignore=self.ignore[row], entry=self.entry[row]
        )

    def cut(self, counts: Iterable[int]) -> list[Rows]:
        """The rows image by image, so many of each."""
        return [Rows(self, start, stop) for start, stop in pairwise(accumulate(counts, initial=0))]


class Rows(Sequence[Annotation]):
    """The rows start..stop of columns as annotations, each made when it is asked for."""

    __slots__ = ("columns", "start", "stop")

    def __init__(self, columns: Columns, start: int, stop: int) -> None:
        self.columns, self.start, self.stop = columns, start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    @overload
    def __getitem__(self, place: int) -> Annotation: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Annotation]: ...
    def __getitem__(self, place: int | slice) -> Annotation | Sequence[Annotation]:
        return tuple(self)[place]

    def __iter__(self) -> Iterator[Annotation]:
        columns, rows = self.columns, slice(self.start, self.stop)
        numbers = zip(columns.ignore[rows].tolist(), columns.entry[rows].tolist(), strict=True)
        for box, category, (ignore, entry) in zip(self.boxes_px(), self.categories(), numbers, strict=True):
            x0, y0, x1, y1 = box
            place = columns.place(entry)
            yield Annotation(xyxy_px=(x0, y0, x1, y1), category=category, place=place, ignore=IGNORES[ignore])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def boxes_px(self) -> list[list[float]]:
        """Corners of each row, px."""
        return self.columns.xyxy_px[self.start : self.stop].tolist()

    def categories(self) -> list[str]:
        """The class of each row."""
        classes = self.columns.classes
        return [classes[number] for number in self.columns.category[self.start : self.stop].tolist()]

    def ignored(self) -> list[bool]:
        """Of each row, whether it is a crowd or difficult."""
        return [number != 0 for number in self.columns.ignore[self.start : self.stop].tolist()]


class Together(NamedTuple):
    """The boxes of some images, all of them rows of the same columns.

    Attributes:
        images: their numbers among those asked about.
        columns: what holds the boxes.
        row: int64[N], the rows of these images, image by image.
        image: int64[N], the place in `images` of the image that each row is of.
    """

    images: list[int]
    columns: Columns
    row: NDArray[np.int64]
    image: NDArray[np.int64]


def by_columns(held: Sequence[Sequence[Annotation]]) -> list[Together]:
    """The boxes of many images, those in the same columns together; boxes in no columns are put into some."""
    keys = [id(some.columns) if isinstance(some, Rows) else _NO_COLUMNS for some in held]
    kinds = dict.fromkeys(keys)
    together = []
    for kind in kinds:
        images = list(range(len(held)))
        if len(kinds) > 1:
            images = [number for number, key in enumerate(keys) if key == kind]
        those = [held[number] for number in images]
        runs = _columned(those) if kind == _NO_COLUMNS else cast(list[Rows], those)
        together.append(Together(images, runs[0].columns, *rows_of(runs)))
    return together


_NO_COLUMNS = 0  # the id of no object


def _columned(held: Sequence[Sequence[Annotation]]) -> list[Rows]:
    """The boxes of images, as rows of columns made for them."""
    every = list(chain.from_iterable(held))
    numbers = {category: number for number, category in enumerate(dict.fromkeys(one.category for one in every))}
    columns = Columns(
        xyxy_px=np.array([one.xyxy_px for one in every], dtype=np.float64).reshape(-1, 4),
        category=np.array([numbers[one.category] for one in every], dtype=np.int32),
        ignore=np.array([IGNORES.index(one.ignore) for one in every], dtype=np.int8),
        entry=np.arange(len(every)),
        classes=tuple(numbers),
        place=[one.place for one in every].__getitem__,
    )
    return columns.cut(map(len, held))


def rows_of(runs: Sequence[Rows]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows of several images of the same columns: int64[N], their numbers, and int64[N], which run each is of."""
    starts = np.fromiter(map(attrgetter("start"), runs), np.int64, len(runs))
    counts = np.fromiter(map(attrgetter("stop"), runs), np.int64, len(runs)) - starts
    return spans(starts, counts), np.repeat(np.arange(len(runs)), counts)


def spans(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64[N]: of each run the numbers from its start on, so many as it counts, one run after the other."""
    return np.arange(counts.sum()) + np.repeat(starts - np.cumsum(counts) + counts, counts)


def stable_order(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """What `np.argsort(numbers, kind="stable")` is for numbers 0..2**32 - 1, several times quicker.

    Digit by digit of 16 bits, the last one first: such numpy sorts by counting.
    """
    order = np.argsort((numbers & 0xFFFF).astype(np.uint16), kind="stable")
    return order[np.argsort((numbers >> 16).astype(np.uint16)[order], kind="stable")]


def categories_of(annotations: Sequence[Annotation]) -> list[str]:
    """The class of each annotation."""
    if isinstance(annotations, Rows):
        return annotations.categories()
    return [annotation.category for annotation in annotations]


def categories_in(held: Sequence[Sequence[Annotation]]) -> set[str]:
    """The classes of the annotations of many images."""
    one_by_one = {annotation.category for some in held if not isinstance(some, Rows) for annotation in some}
    return one_by_one.union(
        some.columns.classes[number]
        for some in by_columns([some for some in held if isinstance(some, Rows)])
        for number in np.flatnonzero(np.bincount(some.columns.category[some.row])).tolist()
    )


def classes_of(held: Sequence[Sequence[Annotation]]) -> list[dict[str, bool]]:
    """Of each image, its classes and whether each has a box there that is neither a crowd nor difficult."""
    classes: list[dict[str, bool]] = [{} for _ in held]
    for images, columns, row, image in by_columns(held):
        names = columns.classes
        every = (image * len(names) + columns.category[row]) * 2 + (columns.ignore[row] != 0)
        ordered = np.sort(every, kind="stable")  # image by image they stand already, which this makes use of
        keys = ordered[np.diff(ordered, prepend=-1) > 0]
        which, category = np.divmod(keys >> 1, len(names))
        for number, name, ignored in zip(which.tolist(), category.tolist(), (keys & 1).tolist(), strict=True):
            classes[images[number]].setdefault(names[name], not ignored)  # the boxes asked about come first
    return classes


def ignored_of(annotations: Sequence[Annotation]) -> list[bool]:
    """Of each annotation, whether it is a crowd or difficult."""
    if isinstance(annotations, Rows):
        return annotations.ignored()
    return [annotation.ignore is not None for annotation in annotations]


def boxes_px_of(annotations: Sequence[Annotation]) -> list[list[float]]:
    """Corners of each annotation, px."""
    if isinstance(annotations, Rows):
        return annotations.boxes_px()
    return [list(annotation.xyxy_px) for annotation in annotations]
