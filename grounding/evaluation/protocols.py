"""The named protocols: which boxes of an answer count, how they are paired with the true ones, and what a hit is.

Knows the rules as data, and the matching that each asks for; does not know samples or how rates are made of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from grounding.errors import InputError
from grounding.evaluation.match import Floats, Ints, Matches, Overlap, match, match_greedily
from grounding.geometry import covered_pairs, giou_pairs, iou_pairs

HIT = 0.5


@dataclass(frozen=True)
class Protocol:
    """How an answer is held against the truth.

    Args:
        name: as given to `--protocol`.
        on_grid: overlaps between boxes in cells, the truth quantised, instead of pixels of the original frame.
        merged: the boxes of the first group that has a valid one, merged to their envelope, stand for the answer.
        strict: a hit is overlap > threshold instead of overlap >= threshold.
        matching: `total`: the largest total IoU; `greedy`: the largest overlap first; `scores`: the best scored box
            chooses first (the first in the text where there are no scores). The greedy ones take hits at 0.5 only.
        generalised: overlap is GIoU instead of IoU.
        crowd: an answered box is left out for an ignored area by the share of itself that lies on it, not by IoU.
        changes: what it changes against the default, one sentence each, for the report.
    """

    name: str
    on_grid: bool = False
    merged: bool = False
    strict: bool = False
    matching: Literal["total", "greedy", "scores"] = "total"
    generalised: bool = False
    crowd: bool = False
    changes: tuple[str, ...] = ()

    def hits(self, overlap: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
        """Whether each overlap reaches the threshold."""
        return overlap > threshold if self.strict else overlap >= threshold

    @property
    def overlap(self) -> Overlap:
        """Of boxes in the same rows: what the thresholds are for."""
        return giou_pairs if self.generalised else iou_pairs

    @property
    def on_ignored(self) -> Overlap:
        """Of answered boxes with ignored areas in the same rows."""
        return covered_pairs if self.crowd else iou_pairs

    def match(self, answered: Floats, sample: Ints, true: Floats, true_sample: Ints, scores: Floats) -> Matches:
        """The answered boxes paired with the true ones; arguments as in `match.match`, and the boxes' scores."""
        if self.matching == "total":
            return match(answered, sample, true, true_sample)
        first = np.where(np.isnan(scores), -np.inf, scores) if self.matching == "scores" else None
        return match_greedily(answered, sample, true, true_sample, overlap=self.overlap, least=HIT, first=first)


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

# GREC (He et al. 2023), by its authors' evaluator (henghuiding/gRefCOCO, mdetr/datasets/refexp.py).
GREC = Protocol(
    "grec",
    matching="greedy",
    generalised=True,
    changes=(
        "A box is a hit where its generalised IoU reaches 0.5, as in the authors' evaluator.",
        "Pairs are taken greedily, the largest overlap first; other boxes count as matched with nothing.",
        "Unreadable answers stay wrong for absent objects; the authors' evaluator, made for detectors, takes every "
        "answer without a box for a rejection.",
    ),
)

# Detection as pycocotools' COCOeval matches it at IoU 0.5 (cocodataset.org, detection evaluation).
COCO = Protocol(
    "coco",
    matching="scores",
    crowd=True,
    changes=(
        "The box with the highest score chooses its true box first (without scores, the first in the answer); boxes "
        "below IoU 0.5 count as matched with nothing.",
        "A box is left out for an ignored area that covers half of it or more, whatever the area's own size.",
    ),
)

PROTOCOLS = {protocol.name: protocol for protocol in (DEFAULT, COGVLM_REFCOCO, GREC, COCO)}


def protocol_named(name: str) -> Protocol:
    """The protocol of that name; InputError with the names that there are."""
    if name not in PROTOCOLS:
        raise InputError(f"there is no protocol {name!r}; there are {', '.join(PROTOCOLS)}.", where="--protocol")
    return PROTOCOLS[name]


def first_groups(cells: Ints, sample: Ints, group: Ints) -> tuple[Ints, Ints]:
    """The envelope of the first group of each sample: int64[M, 4] and its sample int64[M].

    Args:
        cells: int64[P, 4], in text order; sample: int64[P], ascending; group: int64[P].
    """
    samples, start, run = np.unique(sample, return_index=True, return_inverse=True)
    kept = np.flatnonzero(group == group[start][run])
    if not len(kept):
        return cells[:0], samples
    _, edges = np.unique(sample[kept], return_index=True)
    low = np.minimum.reduceat(cells[kept, :2], edges)
    high = np.maximum.reduceat(cells[kept, 2:], edges)
    return np.concatenate([low, high], axis=1), samples
