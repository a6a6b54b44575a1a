"""The annotations of a COCO document -> columns of boxes, image by image, and what was refused.

All rows are looked at together; those that something is to be said of are gone through one by one, by the same rules.
Knows no image file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_tools.annotations import IGNORES, XYXY, Columns, stable_order
from data_tools.entries import box_fault, four_numbers, is_id, stated_size
from data_tools.readers.box_form import Stated, corners
from data_tools.readers.coco_entries import LARGEST, CocoAnnotation, CocoImage, Entries
from data_tools.readers.image_files import coco_names
from data_tools.readers.masks import box_of_mask
from data_tools.records import Finding

Images = dict[Any, tuple[CocoImage, "str | None"]]
"""Id -> (entry, path below the root); the path is None where the image is refused, to count its boxes."""

SPARSE = 4  # times as wide as the ids are many, their range still goes into a table

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


class Boxes(NamedTuple):
    """The boxes of a document; images by their place in `Images`.

    Attributes:
        columns: the boxes that are kept.
        starts: int64[images + 1]; rows starts[n]..starts[n + 1] are of image n.
        refused: image -> classes of which a box was refused there.
        doubtful: images with an annotation of unknown class.
    """

    columns: Columns
    starts: Ints
    refused: Mapping[int, set[str]]
    doubtful: set[int]


@dataclass(frozen=True)
class Places:
    """Where an annotation stands, in words, by its index; `odd` has the ids that are no whole numbers."""

    file: str
    id: Ints
    odd: Mapping[int, object]

    def __call__(self, index: int) -> str:
        return f"{self.file}: annotations[{index}] (id {self.odd.get(index, self.id[index])})"


def stated(entries: Entries, images: Images) -> Iterator[Stated]:
    """Four numbers and the size of their image, where both are stated."""
    for index, odd in enumerate(entries.odd.tolist()):
        image_id: Any = entries.image_id[index].item()
        bbox: Any = entries.bbox[index].tolist()
        if odd:
            entry = entries.entry(index)
            image_id, bbox = (None, None) if entry is None else (entry.image_id, entry.bbox)
        if not is_id(image_id) or image_id not in images:
            continue
        image, numbers = images[image_id][0], four_numbers(bbox)
        size_wh = stated_size(image.width, image.height)
        if numbers is not None and size_wh is not None:
            yield numbers, size_wh


def judge(
    entries: Entries, images: Images, classes: Mapping[Any, str], file: str, form: str, findings: list[Finding]
) -> Boxes:
    """The boxes of all images; what is refused, mended or worth a word is added to `findings` in the order of the file.

    Args:
        classes: category id -> class.
        file: name of the file, for places.
        form: of the four numbers, "xywh" or "corners".
    """
    rows = _Numbered(entries, images, classes, form)
    places = Places(file, entries.id, {})
    one_by_one = _OneByOne(rows, entries, images, classes, file, form)
    slow = rows.unusual(_repeated(entries))
    for index in np.flatnonzero(entries.iscrowd & ~slow).tolist():
        one_by_one.found.append((index, Finding("crowd", places(index), rows.names[rows.category[index]])))
    kept = ~slow
    for index in np.flatnonzero(slow).tolist():
        kept[index] = one_by_one.look_at(index)
    findings += [finding for _, finding in sorted(one_by_one.found, key=lambda pair: pair[0])]
    chosen = np.flatnonzero(kept)
    chosen = chosen[stable_order(rows.image[chosen])]
    columns = Columns(
        xyxy_px=rows.xyxy_px[chosen],
        category=rows.category[chosen].astype(np.int32),
        ignore=rows.crowd[chosen].astype(np.int8) * IGNORES.index("crowd"),
        entry=chosen,
        classes=rows.names,
        place=replace(places, odd=one_by_one.odd_ids),
    )
    starts = np.searchsorted(rows.image[chosen], np.arange(len(images) + 1))
    return Boxes(columns, starts, one_by_one.refused, one_by_one.doubtful)


class _Numbered:
    """What each annotation is, in numbers: -1 for an image or a class that there is not."""

    def __init__(self, entries: Entries, images: Images, classes: Mapping[Any, str], form: str) -> None:
        self.image_of = {image_id: place for place, image_id in enumerate(images)}
        self.names = tuple(dict.fromkeys(classes.values()))
        number = {name: place for place, name in enumerate(self.names)}
        self.class_of = {category_id: number[name] for category_id, name in classes.items()}
        self.image = places_of(entries.image_id, self.image_of)
        self.category = places_of(entries.category_id, self.class_of)
        self.crowd = entries.iscrowd.copy()
        self.xyxy_px = entries.bbox.copy()
        if form == "xywh":
            self.xyxy_px[:, 2:] += self.xyxy_px[:, :2]
        self._named = np.array([name is not None for _, name in images.values()] + [False])
        self._odd = entries.odd

    def unusual(self, repeated: Bools) -> Bools:
        """bool[N]: the rows that are not plainly right; `repeated` are those with an id that stands there twice."""
        sides = self.xyxy_px[:, 2:] - self.xyxy_px[:, :2]
        sound = np.isfinite(self.xyxy_px).all(axis=1) & (sides > 0).all(axis=1)
        return self._odd | repeated | ~sound | (self.category < 0) | ~self._named[self.image]


def places_of(ids: Ints, place_of: Mapping[Any, int]) -> Ints:
    """The place of each id, -1 where it has none."""
    whole = [key for key in place_of if _is_whole(key)]
    if not whole:
        return np.full(len(ids), -1)
    keys = np.array([int(key) for key in whole])
    places = np.array([place_of[key] for key in whole])
    lowest, span = int(keys.min()), int(keys.max() - keys.min()) + 1
    if span > SPARSE * (len(keys) + len(ids)):
        return _searched(ids, keys, places)
    table = np.full(span + 1, -1)
    table[keys - lowest] = places
    return table[np.where((ids >= lowest) & (ids < lowest + span), ids - lowest, span)]


def _searched(ids: Ints, keys: Ints, places: Ints) -> Ints:
    """The same where ids are so large that a table of all between them would take too much memory."""
    by_key, by_id = np.argsort(keys), np.argsort(ids)  # looked up in order, which is several times quicker
    at = np.empty_like(by_id)
    at[by_id] = by_key[np.minimum(np.searchsorted(keys, ids[by_id], sorter=by_key), len(keys) - 1)]
    return np.where(keys[at] == ids, places[at], -1)


def _is_whole(key: object) -> bool:
    """Whether a number equals one that a column may have (2.0 is the id 2)."""
    return isinstance(key, (int, float)) and abs(key) <= LARGEST and key == int(key)  # NaN and infinity are not


def _repeated(entries: Entries) -> Bools:
    """bool[N]: the rows whose id stands in the document more than once."""
    ordered = np.sort(entries.id[~entries.odd])
    odd = [int(key) for key in entries.odd_ids if _is_whole(key)]
    twice = np.concatenate([ordered[1:][ordered[1:] == ordered[:-1]], np.array(odd, dtype=np.int64)])
    return np.isin(entries.id, twice) if len(twice) else np.zeros(len(entries), dtype=bool)


class _OneByOne:
    """Annotations that something is to be said of, looked at in the order of the file."""

    def __init__(
        self, rows: _Numbered, entries: Entries, images: Images, classes: Mapping[Any, str], file: str, form: str
    ) -> None:
        self.rows, self.entries, self.images, self.classes, self.form = rows, entries, images, classes, form
        self.file = file
        self.found: list[tuple[int, Finding]] = []
        self.refused: dict[int, set[str]] = {}
        self.doubtful: set[int] = set()
        self.odd_ids: dict[int, object] = {}
        self._seen: dict[Any, tuple[Any, ...]] = {}

    def look_at(self, index: int) -> bool:
        """Whether an annotation is kept; then its row says what it is."""
        entry = self.entries.entry(index)
        place = f"{self.file}: annotations[{index}]"
        if entry is None:
            return self._tell(index, "malformed_annotation", place)
        place = f"{place} (id {entry.id})"
        if self.entries.odd[index]:
            self.odd_ids[index] = entry.id
        if not is_id(entry.image_id) or entry.image_id not in self.images:
            return self._tell(index, "unknown_image", place, f"image_id {entry.image_id!r}")
        image, name = self.images[entry.image_id]
        if name is None:
            reason = "image_refused" if not coco_names(image.file_name, image.coco_url) else "ambiguous_image"
            return self._tell(index, reason, place, f"image_id {entry.image_id!r}")
        if is_id(entry.id):
            content = (entry.image_id, entry.category_id, entry.bbox, entry.iscrowd)
            if self._seen.setdefault(entry.id, content) is not content:
                same = self._seen[entry.id] == content
                self._tell(index, "repeated_annotation" if same else "repeated_annotation_id", place, name)
                if same:
                    return False
        return self._sort_in(index, entry, place)

    def _sort_in(self, index: int, entry: CocoAnnotation, place: str) -> bool:
        """Puts an annotation of a known image where it belongs: kept, or refused with its class remembered."""
        number = self.rows.image_of[entry.image_id]
        category = self.classes.get(entry.category_id) if is_id(entry.category_id) else None
        if category is None:
            self.doubtful.add(number)
            return self._tell(index, "unknown_category", place, f"category_id {entry.category_id!r}")
        fault, xyxy = _corners(entry, self.form)
        if entry.iscrowd not in (None, 0, 1):
            fault = "malformed_annotation"
        if fault is not None or xyxy is None:
            self.refused.setdefault(number, set()).add(category)
            return self._tell(index, fault or "malformed_box", place, f"{category}, bbox {entry.bbox!r}")
        if entry.bbox is None:
            self._tell(index, "box_from_mask", place, category)
        if entry.iscrowd:
            self._tell(index, "crowd", place, category)
        rows = self.rows
        rows.image[index], rows.category[index] = number, rows.class_of[entry.category_id]
        rows.xyxy_px[index], rows.crowd[index] = xyxy, bool(entry.iscrowd)
        return True

    def _tell(self, index: int, reason: str, place: str, found: str = "") -> bool:
        self.found.append((index, Finding(reason, place, found)))
        return False


def _corners(entry: CocoAnnotation, form: str) -> tuple[str | None, XYXY | None]:
    """(reason to refuse, None) or (None, xyxy_px) of a `bbox`, or of the segmentation where there is none."""
    if entry.bbox is None and entry.segmentation is None:
        return "missing_box", None
    if entry.bbox is None:
        xyxy = box_of_mask(entry.segmentation)
        return ("unreadable_mask", None) if xyxy is None else (box_fault(xyxy), xyxy)
    numbers = four_numbers(entry.bbox)
    if numbers is None:
        return "malformed_box", None
    xyxy = corners(numbers, form)
    return box_fault(xyxy), xyxy
