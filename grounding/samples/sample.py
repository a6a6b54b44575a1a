"""The Sample: one prompt, one label, the true boxes in pixels; and what must hold for one. Knows no file and no model.

Truth stays in pixels: nothing here reads the label's text.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias, get_args

import msgspec

Task = Literal[
    "phrase_to_boxes",
    "phrase_to_box",
    "all_to_boxes",
    "next_box",
    "box_to_phrase",
    "presence",
    "caption_with_boxes",
    "text",
]
Lang = Literal["en", "zh"]

TASKS: tuple[str, ...] = get_args(Task)
LANGUAGES: tuple[Lang, ...] = get_args(Lang)

Box: TypeAlias = Annotated[list[float], msgspec.Meta(min_length=4, max_length=4)]
Turn: TypeAlias = tuple[str, str]


class Sample(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One line of a dataset; the attributes stand in the order of its keys in a file.

    Attributes:
        id: unique in its dataset.
        image: path below the image root, or None for text only.
        width, height: of the frame that the boxes are in, pixels. None without an image; may be None where `boxes` is.
        prompt: the bare query, without chat template or image mark.
        label: the answer to train.
        phrase, category: what was asked for, as worded, and the class it belongs to.
        boxes: the truth as [x0, y0, x1, y1] in pixels. [] is truly absent; None asks for no box.
        categories: parallel to `boxes` where they are of several classes.
        ignore: boxes of crowds and difficult objects: a predicted box that matches one is neither hit nor error.
        task, lang: one of `TASKS`, one of `LANGUAGES`.
        upright: boxes and size are in the EXIF-rotated frame, else in the stored one. Left out of the file when False.
        history: earlier turns as (query, answer). Left out of the file when empty.
    """

    id: str
    image: str | None
    width: int | None
    height: int | None
    prompt: str
    label: str
    phrase: str | None = None
    category: str | None = None
    boxes: list[Box] | None
    categories: list[str] | None = None
    ignore: list[Box] = []
    task: Task = "phrase_to_boxes"
    lang: Lang = "en"
    upright: bool = False
    history: list[Turn] = []


KEYS: tuple[str, ...] = Sample.__struct_fields__


def written_keys(sample: Sample) -> Iterator[str]:
    """The keys that a sample has in a file, in order: all but `upright` and `history` where these say nothing."""
    for key in KEYS:
        if key not in ("upright", "history") or getattr(sample, key):
            yield key


def problems(sample: Sample) -> Iterator[str]:
    """What is wrong with a sample taken by itself, one sentence each: the key, what was found, what is allowed.

    Whether the label says what the boxes say is not looked at.
    """
    if not sample.id:
        yield "`id` is empty; each sample needs one of its own"
    if sample.image == "":
        yield "`image` is empty; it must be a path below the image root, or null"
    if not sample.label.strip():
        yield "`label` is empty; it must be the answer to train"
    if not (sample.image and sample.width and sample.height and sample.width > 0 and sample.height > 0):
        yield from _frame_problems(sample)
    for key, boxes in (("boxes", sample.boxes or []), ("ignore", sample.ignore)):
        for index, box in enumerate(boxes):
            if len(box) == 4 and -math.inf < box[0] < box[2] < math.inf and -math.inf < box[1] < box[3] < math.inf:
                continue
            yield f"`{key}[{index}]` is {box}, {_box_fault(box)}"
    if sample.categories is not None:
        count = None if sample.boxes is None else len(sample.boxes)
        if count != len(sample.categories):
            found = "null" if count is None else f"of length {count}"
            yield f"`categories` has length {len(sample.categories)} but `boxes` is {found}; they must be parallel"


def is_plain(sample: Sample) -> bool:
    """Whether the sample is of the usual kind and nothing is wrong with it: quick to see, true of nearly all."""
    if not (sample.id and sample.image and sample.width and sample.height and sample.label.strip()):
        return False
    if sample.boxes is None or sample.categories is not None or sample.width < 0 or sample.height < 0:
        return False
    try:
        for x0, y0, x1, y1 in [*sample.boxes, *sample.ignore] if sample.ignore else sample.boxes:
            if not (_LEAST < x0 < x1 < _MOST and _LEAST < y0 < y1 < _MOST):
                return False
    except ValueError:  # not four numbers
        return False
    return True


_LEAST, _MOST = -math.inf, math.inf


def _frame_problems(sample: Sample) -> Iterator[str]:
    """What is wrong with image, width and height, and with having boxes or not having them."""
    sizes = (sample.width, sample.height)
    asks_boxes = sample.boxes is not None or bool(sample.ignore)
    if sample.image is None:
        if asks_boxes:
            yield "`boxes` or `ignore` is given but `image` is null; without an image `boxes` must be null"
        if sizes != (None, None):
            yield "`width` and `height` must be null where `image` is null"
    elif sizes == (None, None):
        if asks_boxes:
            yield "`width` and `height` are null; they must be the size of the frame that the boxes are in"
    elif not all(size is not None and size > 0 for size in sizes):
        yield f"`width` and `height` are {sample.width} and {sample.height}; both must be positive integers"


def _box_fault(box: list[float]) -> str:
    """Why these are no true box."""
    if len(box) != 4:
        return "four numbers x0, y0, x1, y1 are needed"
    return "x0 < x1 and y0 < y1 are needed" if all(map(math.isfinite, box)) else "every number must be finite"
