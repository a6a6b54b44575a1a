"""Which boxes of a class an image has, and whether they are all of it. Knows no task and no wording."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import numpy as np

from data_tools.annotations import Rows, boxes_px_of, by_columns, categories_of, ignored_of, rows_of
from data_tools.records import Annotation, Record
from data_tools.selection import Question
from data_tools.wording import Drawn
from grounding.samples import Sample


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


Boxes = list[list[float]]


class Held(NamedTuple):
    """The boxes of a class in an image, xyxy_px: those to ask for, and those to ignore."""

    asked: Boxes
    ignored: Boxes


NO_BOXES = Held([], [])


def held(asked: Sequence[tuple[Record, str]]) -> list[Held]:
    """The boxes of each (image, class), as `boxes_of`; quick where the classes of an image are asked for in turn."""
    found = [
        NO_BOXES if isinstance(record.annotations, Rows) else _by_class(record).get(category, NO_BOXES)
        for record, category in asked
    ]
    for places in by_columns([record.annotations for record, _ in asked]):
        for place, own in zip(places, _held_in_columns([asked[place] for place in places]), strict=True):
            found[place] = own
    return found


def _held_in_columns(asked: Sequence[tuple[Record, str]]) -> list[Held]:
    """The same where the boxes of all of the images are rows of the same columns."""
    runs: list[Rows] = []
    run = np.empty(len(asked), dtype=np.int64)
    for place, (record, _) in enumerate(asked):
        if not runs or runs[-1] is not record.annotations:
            runs.append(cast(Rows, record.annotations))
        run[place] = len(runs) - 1
    columns, (row, its_run) = runs[0].columns, rows_of(runs)
    unknown = len(columns.classes)  # the number of a class that no box here is of
    classes = {columns.classes[number]: number for number in np.unique(columns.category[row]).tolist()}
    wanted = np.fromiter((classes.get(category, unknown) for _, category in asked), np.int64, len(asked))
    keys = (its_run * (unknown + 1) + columns.category[row]) * 2 + (columns.ignore[row] > 0)
    order = np.argsort(keys, kind="stable")
    boxes_px = columns.xyxy_px[row[order]].tolist()
    first = (run * (unknown + 1) + wanted) * 2  # of the boxes asked for; those to ignore have the next
    ends = np.searchsorted(keys[order], np.stack((first, first + 1, first + 2), axis=1))
    return [Held(boxes_px[start:middle], boxes_px[middle:end]) for start, middle, end in ends.tolist()]


def _by_class(record: Record) -> Mapping[str, Held]:
    """Class -> its boxes in an image."""
    if _last.record is not record:
        classes: dict[str, Held] = {}
        for annotation in record.annotations:
            own = classes.get(annotation.category)
            if own is None:
                own = classes[annotation.category] = Held([], [])
            own[annotation.ignore is not None].append(list(annotation.xyxy_px))
        _last.record, _last.classes = record, classes
    return _last.classes


class _Last(threading.local):
    """The image that was asked about last."""

    record: Record | None = None
    classes: Mapping[str, Held] = {}


_last = _Last()


def asked_for(record: Record) -> list[Annotation]:
    """The annotations that are neither crowd nor difficult."""
    return [annotation for annotation in record.annotations if annotation.ignore is None]


def size_of(record: Record) -> tuple[int, int]:
    """(width, height) in px."""
    assert record.size_wh is not None  # settled by the check of the images
    return record.size_wh


def sample_id(question: Question) -> str:
    """The id of what a question becomes; it tells task and detail but for `phrase_to_boxes`."""
    record, category, _, task, detail, phrase = question
    if task == "phrase_to_boxes":
        return f"{record.name}#{question.words if phrase else category}"
    return "#".join([record.name, *filter(None, [task, category, str(detail)])])


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
    record, category, _, task, _, _ = question
    width, height = size_of(record)
    return Sample(
        id=sample_id(question),
        image=record.name,
        width=width,
        height=height,
        prompt=prompt,
        label=label,
        phrase=phrase,
        category=category or None,
        boxes=boxes,
        categories=categories,
        ignore=ignore or [],
        task=task,
        lang=drawn.language.lang,
        upright=record.upright,
    )
