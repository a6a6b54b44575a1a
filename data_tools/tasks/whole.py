"""Which boxes of a class an image has, and whether they are all of it. Knows no task and no wording."""

from __future__ import annotations

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
    own = [annotation for annotation in record.annotations if annotation.category == category]
    in_part = record.refused | record.not_exhaustive
    return known and bool(own) and category not in in_part and all(a.ignore is None for a in own)


def boxes_of(record: Record, category: str, *, ignored: bool = False) -> list[list[float]]:
    """The boxes of a class in an image, xyxy_px, in the order of the annotations: those asked for, or to ignore."""
    return [
        list(annotation.xyxy_px)
        for annotation in record.annotations
        if annotation.category == category and (annotation.ignore is not None) == ignored
    ]


def asked_for(record: Record) -> list[Annotation]:
    """The annotations that are neither crowd nor difficult."""
    return [annotation for annotation in record.annotations if annotation.ignore is None]


def size_of(record: Record) -> tuple[int, int]:
    """(width, height) in px."""
    assert record.size_wh is not None  # settled by the check of the images
    return record.size_wh


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
    """A sample about the image of a question. The id tells task and detail but for `phrase_to_boxes`."""
    record, category, _, task, detail, words = question
    width, height = size_of(record)
    told = (
        [phrase if words else category]
        if task == "phrase_to_boxes"
        else [task, *([category] if category else []), str(detail)]
    )
    return Sample(
        id="#".join([record.name, *filter(None, told)]),
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
