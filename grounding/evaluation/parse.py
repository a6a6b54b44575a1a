"""Gives every answer exactly one status: cut off, boxes, not found, or unparsable.

Knows what an answer says, through the grammar of `grounding.text`; does not know what would have been right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from grounding.text import Refusal, read_boxes

Status = Literal["cut_off", "boxes", "not_found", "unparsable"]
STATUSES: tuple[Status, ...] = ("boxes", "not_found", "unparsable", "cut_off")  # in the order of display
MISSING = "missing"
BESIDE_NOT_FOUND = "boxes_and_not_found"
NO_BOXES: NDArray[np.int64] = np.zeros((0, 4), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Judged:
    """What an answer says.

    Args:
        status: one of `STATUSES`.
        reason: why it is unparsable (the first refusal in text order, or `missing`); None for every other status.
        xyxy_grid: int64[N, 4], the answered boxes in text order; empty unless the status is `boxes`.
        groups: int64[N], the number of the [[...]] group that each box came from.
        refusals: everything that was refused, in text order, whatever the status.
    """

    status: Status
    reason: str | None
    xyxy_grid: NDArray[np.int64]
    groups: NDArray[np.int64]
    refusals: tuple[Refusal, ...]


def judge(text: str | None, finish: str | None = None, not_found: Mapping[str, str] | None = None) -> Judged:
    """The status of one answer; the first that fits of cut_off, boxes, not_found, unparsable.

    Args:
        text: the answer exactly as generated; None where there is none (unparsable, reason `missing`).
        finish: "length" where the model was cut off; such an answer without one complete box is `cut_off`.
        not_found: the not-found sentences by language; those of the grammar where None.

    An answer with valid boxes and a not-found sentence contradicts itself: unparsable, and its boxes are not counted.
    """
    if text is None:
        return Judged("unparsable", MISSING, NO_BOXES, NO_BOXES[:, 0], ())
    reading = read_boxes(text, not_found)
    refusals = tuple(reading.refusals)
    contradicts = any(refusal.reason == BESIDE_NOT_FOUND for refusal in refusals)
    complete_box = contradicts or len(reading.xyxy_grid) > 0  # the grammar keeps no box of a contradiction
    if finish == "length" and not complete_box:
        return Judged("cut_off", None, NO_BOXES, NO_BOXES[:, 0], refusals)
    if len(reading.xyxy_grid):
        return Judged("boxes", None, reading.xyxy_grid, reading.groups, refusals)
    if reading.not_found:
        return Judged("not_found", None, NO_BOXES, NO_BOXES[:, 0], refusals)
    return Judged("unparsable", refusals[0].reason, NO_BOXES, NO_BOXES[:, 0], refusals)
