"""The named protocols: which boxes of an answer count, on which scale overlaps are taken, and what a hit is.

Knows the rules as data; does not know samples or how rates are made of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grounding.errors import InputError
from grounding.geometry import envelope


@dataclass(frozen=True)
class Protocol:
    """How an answer is held against the truth.

    Args:
        name: as given to `--protocol`.
        on_grid: overlaps between grid boxes, the truth quantised, instead of pixels of the original frame.
        merged: the boxes of the first group that has a valid one, merged to their envelope, stand for the answer.
        strict: a hit is IoU > threshold instead of IoU >= threshold.
        changes: what it changes against the default, one sentence each, for the report.
    """

    name: str
    on_grid: bool = False
    merged: bool = False
    strict: bool = False
    changes: tuple[str, ...] = ()

    def hits(self, iou: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
        """Whether each IoU reaches the threshold."""
        return iou > threshold if self.strict else iou >= threshold


DEFAULT = Protocol("default")

# CogVLM's own RefCOCO numbers, by the evaluator of its authors (qijimrc/mm_evaluation, task refcoco).
COGVLM_REFCOCO = Protocol(
    "cogvlm-refcoco",
    on_grid=True,
    merged=True,
    strict=True,
    changes=(
        "Of an answer only the first group with a valid box counts, its boxes merged to one envelope.",
        "A hit is IoU > threshold, not >=.",
        "Overlaps are taken on the box grid with the true boxes rounded to it, which hides the grid's own error "
        "(the grid ceiling is still that of pixels).",
    ),
)

PROTOCOLS = {protocol.name: protocol for protocol in (DEFAULT, COGVLM_REFCOCO)}


def protocol_named(name: str) -> Protocol:
    """The protocol of that name; InputError with the names that there are."""
    if name not in PROTOCOLS:
        raise InputError(f"there is no protocol {name!r}; there are {', '.join(PROTOCOLS)}.", where="--protocol")
    return PROTOCOLS[name]


def answer_boxes(protocol: Protocol, xyxy_grid: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64[N, 4]: the boxes that stand for an answer, out of all that it gives."""
    if not protocol.merged or not len(xyxy_grid):
        return xyxy_grid
    merged = envelope(xyxy_grid[groups == groups[0]].astype(np.float64))
    return merged.round().astype(np.int64)[None, :]
