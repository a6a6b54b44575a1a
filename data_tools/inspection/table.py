"""All samples of all splits as columns of numbers, made in one pass. Knows samples; opens no image.

N samples, M boxes as the samples hold them, K objects: the boxes again, each once, however many prompts ask for it.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_tools.stats import NO_CLASS, label_tokens
from grounding.geometry import iou_matrix
from grounding.samples import LANGUAGES, TASKS, Dataset, Sample, image_key
from grounding.text import GRID

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
NONE = -1
ASKS_NO_BOX = -1  # in the column of counts
DOUBLE = 0.9  # IoU of two boxes of a class from which they may be of one object


@dataclass(frozen=True)
class Picture:
    """An image file in the frame that samples claim for it; `sample` is the first of them."""

    image_root: Path
    name: str
    sample: Sample

    @property
    def path(self) -> Path:
        return self.image_root / self.name


@dataclass(frozen=True)
class Table:
    """The columns.

    Attributes:
        splits, classes: names that `split` and the columns of classes have the places of.
        pictures: every image file, once for each frame and size that is claimed for it.
        split, place: int64[N], the split and the place in it.
        picture: int64[N] into `pictures`, NONE for text only.
        task, lang: int64[N] into `TASKS` and `LANGUAGES`.
        count: int64[N], true boxes, ASKS_NO_BOX where none is asked for.
        ignored: int64[N], ignored areas.
        tokens: int64[N], label tokens, estimated.
        category: int64[N] into `classes`, NONE where the boxes are of several.
        size: float64[N, 2], width and height of the frame, NaN where there is none.
        box, box_sample, box_class: float64[M, 4] xyxy_px, int64[M], int64[M].
    """

    splits: tuple[str, ...]
    classes: tuple[str, ...]
    pictures: tuple[Picture, ...]
    split: Ints
    place: Ints
    picture: Ints
    task: Ints
    lang: Ints
    count: Ints
    ignored: Ints
    tokens: Ints
    category: Ints
    size: Floats
    box: Floats
    box_sample: Ints
    box_class: Ints

    @cached_property
    def object(self) -> Ints:
        """int64[K]: of every box of a class in a picture, the first place among the boxes."""
        rows = np.column_stack([self.picture[self.box_sample], self.box_class, self.box])
        return np.sort(np.unique(rows, axis=0, return_index=True)[1]).astype(np.int64)

    @cached_property
    def object_split(self) -> Ints:
        """int64[K]."""
        return self.split[self.box_sample[self.object]]

    @cached_property
    def object_class(self) -> Ints:
        """int64[K]."""
        return self.box_class[self.object]

    @cached_property
    def object_part(self) -> Floats:
        """float64[K, 4]: x0, y0, x1, y1 as shares of the frame's sides."""
        return self.box[self.object] / np.tile(self.size[self.box_sample[self.object]], 2)

    @cached_property
    def object_cells(self) -> Floats:
        """float64[K]: the shorter of a box's two sides, each in cells of the grid."""
        parts, _ = GRID.parts((1.0, 1.0))
        return (self.object_part[:, 2:] - self.object_part[:, :2]).min(axis=1, initial=np.inf) * parts

    @cached_property
    def object_ceiling(self) -> Floats:
        """float64[K]: the IoU that a perfect answer reaches."""
        return GRID.ceiling(self.object_part, (1.0, 1.0))

    @cached_property
    def doubled(self) -> Ints:
        """int64[D]: samples in which two boxes of a class nearly cover each other."""
        starts = np.searchsorted(self.box_sample, np.arange(len(self.count) + 1))
        found = []
        for sample in np.flatnonzero(self.count > 1).tolist():
            own = slice(starts[sample], starts[sample + 1])
            same_class = self.box_class[own, None] == self.box_class[own]
            overlap = iou_matrix(self.box[own], self.box[own])
            if (np.triu(same_class, k=1) & (overlap >= DOUBLE)).any():
                found.append(sample)
        return np.array(found, dtype=np.int64)


def make_table(datasets: Mapping[str, Dataset], advance: Callable[[int], None] = lambda _: None) -> Table:
    """Goes through all samples once.

    Args:
        advance: told 1 for each sample.
    """
    pictures: dict[tuple[object, ...], int] = {}
    seen: list[Picture] = []
    classes: dict[str, int] = {}
    rows, sizes = array("q"), array("d")
    boxes, box_class = array("d"), array("q")
    for split, dataset in enumerate(datasets.values()):
        for place, sample in enumerate(dataset.samples):
            key = (dataset.image_root, *image_key(sample))
            if sample.image is not None and key not in pictures:
                pictures[key] = len(seen)
                seen.append(Picture(dataset.image_root, sample.image, sample))
            held = sample.boxes or []
            own = sample.categories or [sample.category or NO_CLASS] * max(len(held), 1)
            numbers = [classes.setdefault(name, len(classes)) for name in own]
            rows.extend(
                (
                    split,
                    place,
                    pictures.get(key, NONE),
                    TASKS.index(sample.task),
                    LANGUAGES.index(sample.lang),
                    ASKS_NO_BOX if sample.boxes is None else len(held),
                    len(sample.ignore),
                    label_tokens(sample),
                    NONE if sample.categories is not None else numbers[0],
                )
            )
            sizes.extend((sample.width or np.nan, sample.height or np.nan))
            boxes.extend(chain.from_iterable(held))
            box_class.extend(numbers[: len(held)])
            advance(1)
    split_of, place_of, picture, task, lang, count, ignored, tokens, category = np.array(rows).reshape(-1, 9).T
    return Table(
        tuple(datasets),
        tuple(classes),
        tuple(seen),
        split_of,
        place_of,
        picture,
        task,
        lang,
        count,
        ignored,
        tokens,
        category,
        size=np.array(sizes).reshape(-1, 2),
        box=np.array(boxes).reshape(-1, 4),
        box_sample=np.repeat(np.arange(len(count)), np.maximum(count, 0)),
        box_class=np.array(box_class, dtype=np.int64),
    )
