"""Which boxes of a class an image has, and whether they are all of it. Knows no task and no wording."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import NamedTuple

from data_tools.annotations import boxes_px_of, categories_of, ignored_of
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


def by_class(record: Record) -> Mapping[str, Held]:
    """Class -> its boxes in an image, as `boxes_of`; quick where one asks for the classes of an image in turn."""
    if _last.record is not record:
        held: dict[str, Held] = {}
        rows = record.annotations
        for box, category, aside in zip(boxes_px_of(rows), categories_of(rows), ignored_of(rows), strict=True):
            own = held.get(category)
            if own is None:
                own = held[category] = Held([], [])
            own[aside].append(box)
        _last.record, _last.held = record, held
    return _last.held


class _Last(threading.local):
    """The image that was asked about last."""

    record: Record | None = None
    held: Mapping[str, Held] = {}


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
