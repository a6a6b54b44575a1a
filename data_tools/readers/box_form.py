"""Whether four numbers are corners, or corner and size: as the format says, unless only the other form fits.

People store width and height where xmax and ymax belong, and the other way round. Such a box alone cannot be told from
a sound one; a set can, since of the boxes that are wrongly read some are bound to leave their image. Knows no format.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Literal, get_args

from data_tools.records import XYXY
from grounding.errors import InputError

BoxForm = Literal["auto", "corners", "xywh"]
FORMS: tuple[str, ...] = get_args(BoxForm)

LOOKED_AT = 2000  # boxes that the choice is made from
LEAST, SHARE = 3, 0.05  # so many boxes, and this share, must be impossible as stated before the other form is taken
SLACK = 1.0  # px that a box may leave its image by; annotation tools round

Stated = tuple[XYXY, tuple[int, int]]  # four numbers as they stand, and (width, height) of their image


def choose_form(boxes: Iterable[Stated], declared: str, option: str) -> tuple[str, str | None]:
    """The form to read boxes in, and why where it is not the declared one.

    Args:
        boxes: as stated, of images whose size is stated.
        declared: the form of the format, "corners" or "xywh".
        option: one of FORMS; all but "auto" are taken at their word.

    Raises:
        InputError: the option is no form.
    """
    if option not in FORMS:
        raise InputError(f"{option!r} is no form of boxes; allowed: {', '.join(FORMS)}", where="--box-form")
    if option != "auto":
        return option, None if option == declared else "as set"
    other = "xywh" if declared == "corners" else "corners"
    looked_at = list(islice(boxes, LOOKED_AT))
    impossible = sum(not _fits(four, size, declared) for four, size in looked_at)
    if impossible < max(LEAST, SHARE * len(looked_at)) or not all(_fits(four, size, other) for four, size in looked_at):
        return declared, None
    return other, f"read as {declared}, {impossible} of {len(looked_at)} boxes leave their image or are inside out"


def _fits(four: XYXY, size_wh: tuple[int, int], form: str) -> bool:
    x0, y0, x1, y1 = corners(four, form)
    width, height = size_wh
    return -SLACK <= x0 < x1 <= width + SLACK and -SLACK <= y0 < y1 <= height + SLACK


def corners(four: XYXY, form: str) -> XYXY:
    """x0, y0, x1, y1 of four numbers in a form."""
    x, y, third, fourth = four
    return four if form == "corners" else (x, y, x + third, y + fourth)
