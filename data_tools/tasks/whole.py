"""Which boxes of a class an image has, and whether they are all of it. Knows no task and no wording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_tools.annotations import boxes_px_of, by_columns, categories_of, ignored_of
from data_tools.records import Annotation, Record
from data_tools.selection import Question
from data_tools.wording import Drawn
from grounding.samples import Sample

Boxes = list[list[float]]  # xyxy_px of each


def is_whole(record: Record, category: str) -> bool:
    """Whether each object of the class in the image has a box that can be asked for, and there is one at least.

    So that "the leftmost" and "no more" are true: no box of the class was refused, none is a crowd or difficult, none
    is of an unknown class, and the annotators boxed all they saw.
    """
    known = record.absence != "none" and not record.doubtful
    if not known or category in record.refused or category in record.not_exhaustive:
        return False
    each = zip(categories_of(record.annotations), ignored_of(record.annotations), strict=True)
    own = [aside for its_category, aside in each if its_category == category]
    return bool(own) and not any(own)


def boxes_of(record: Record, category: str, *, ignored: bool = False) -> list[list[float]]:
    """The boxes of a class in an image, xyxy_px, in the order of the annotations: those asked for, or to ignore."""
    held = record.annotations
    each = zip(boxes_px_of(held), categories_of(held), ignored_of(held), strict=True)
    return [box for box, its_category, aside in each if its_category == category and aside == ignored]


class Held(NamedTuple):
    """The boxes of classes in images, in one array.

    Attributes:
        xyxy_px: float64[N, 4].
        ends: int64[asked, 3]; the n-th class has the boxes ends[n, 0]..ends[n, 1] to ask for, in the order of the
            annotations, and those up to ends[n, 2] to ignore.
    """

    xyxy_px: NDArray[np.float64]
    ends: NDArray[np.int64]


def held(asked: Sequence[tuple[Sequence[Annotation], str]]) -> Held:
    """The boxes of each (annotations of an image, class); quick where the classes of an image are asked for in turn."""
    images: list[Sequence[Annotation]] = []
    numbers = []
    for boxes, _ in asked:
        if not images or images[-1] is not boxes:
            images.append(boxes)
        numbers.append(len(images) - 1)
    image_of = np.array(numbers, dtype=np.int64)
    parts, ends, start = [np.zeros((0, 4))], np.empty((len(asked), 3), dtype=np.int64), 0
    for among, columns, row, image in by_columns(images):
        place = np.full(len(images), -1)  # of each image among those of these columns
        place[among] = np.arange(len(among))
        here = np.flatnonzero(place[image_of] >= 0)
        unknown = len(columns.classes)  # the number of a class that no box here is of
        class_of = {columns.classes[number]: number for number in np.unique(columns.category[row]).tolist()}
        wanted = np.array([class_of.get(asked[number][1], unknown) for number in here.tolist()])
        # Sorted by image, class, and last whether they are to be ignored, the boxes asked about stand side by side.
        keys = (image * (unknown + 1) + columns.category[row]) * 2 + (columns.ignore[row] > 0)
        order = np.argsort(keys, kind="stable")
        first = (place[image_of[here]] * (unknown + 1) + wanted) * 2
        ends[here] = start + np.searchsorted(keys[order], np.stack((first, first + 1, first + 2), axis=1))
        parts.append(columns.xyxy_px[row[order]])
        start += len(row)
    return Held(np.concatenate(parts), ends)


def asked_for(record: Record) -> list[Annotation]:
    """The annotations that are neither crowd nor difficult."""
    return [annotation for annotation in record.annotations if annotation.ignore is None]


def size_of(record: Record) -> tuple[int, int]:
    """(width, height) in px."""
    assert record.size_wh is not None  # settled by the check of the images
    return record.size_wh


def sample_id(question: Question) -> str:
    """The id of what a question becomes; it tells task and detail but for `phrase_to_boxes`."""
    image, category, task = question.record.name, question.category, question.task
    if task == "phrase_to_boxes":
        return f"{image}#{question.words if question.phrase else category}"
    return "#".join([image, *filter(None, [task, category, str(question.detail)])])


def make_sample(
    question: Question,
    drawn: Drawn,
    prompt: str,
    label: str,
    boxes: list[list[float]] | None,
    *,
    phrase: str | None,
    ignore: list[list[float]] | None = None,
    categories: list[str] | None = None,
) -> Sample:
    """A sample about the image of a question."""
    record = question.record
    width, height = size_of(record)
    return Sample(
        id=sample_id(question),
        image=record.name,
        width=width,
        height=height,
        prompt=prompt,
        label=label,
        phrase=phrase,
        category=question.category or None,
        boxes=boxes,
        categories=categories,
        ignore=ignore or [],
        task=question.task,
        lang=drawn.language.lang,
        upright=record.upright,
    )
