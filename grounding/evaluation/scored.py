"""Truth and answers of many samples as flat arrays: the one pass that every number is read from.

Knows samples, judged answers and a protocol; does not know rates, intervals or reports. Truth comes from pixels only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grounding.errors import InputError
from grounding.evaluation.match import Floats, Ints, largest_iou, match
from grounding.evaluation.parse import Judged
from grounding.evaluation.protocols import DEFAULT, Protocol, answer_boxes
from grounding.geometry import as_boxes, iou_pairs
from grounding.samples import Sample
from grounding.text import grid_ceiling, to_grid, to_pixels

HIT = 0.5
IGNORED_FROM = 0.5  # IoU with an ignore box from which an unmatched answered box is left out


@dataclass(frozen=True)
class Truth:
    """What is true of the samples that ask for boxes.

    Args:
        samples: those whose `boxes` is not null, in the order of the data. N of them.
        sizes: float64[N, 2], (width, height) in pixels.
        images: int64[N], the same number for samples about the same image.
        boxes: float64[T, 4] xyxy_px of all samples, one after another; box_sample: int64[T], ascending.
        ignore: float64[G, 4] xyxy_px; ignore_sample: int64[G], ascending.
        count: int64[N], true boxes of each sample.
        ceiling: float64[T], IoU of each true box with itself, written to the grid and read.
    """

    samples: tuple[Sample, ...]
    sizes: Floats
    images: Ints
    boxes: Floats
    box_sample: Ints
    ignore: Floats
    ignore_sample: Ints
    count: Ints
    ceiling: Floats

    @cached_property
    def on_grid(self) -> tuple[Floats, Floats]:
        """(boxes, ignore) as grid boxes, float64."""
        return (
            _by_size(lambda boxes, size: to_grid(boxes, size)[0], self.boxes, self.sizes[self.box_sample]),
            _by_size(lambda boxes, size: to_grid(boxes, size)[0], self.ignore, self.sizes[self.ignore_sample]),
        )


@dataclass(frozen=True)
class Scored:
    """Answers held against the truth. N samples, T true boxes, P answered boxes.

    Args:
        truth: the samples and their boxes.
        judged: the answer to each sample.
        protocol: the rules used.
        status: str[N].
        answered: float64[P, 4] xyxy_px, in text order within a sample; answered_sample: int64[P], ascending.
        matched_true: int64[P], index of the matched true box or -1; matched_iou: float64[P].
        left_out: bool[P], the answered boxes that hit nothing but lie on an ignore box: they leave every count.
        true_iou: float64[T], IoU with the box matched to it, 0 where none is.
        first_iou: float64[N], IoU of the first counted box with the one true box; 0 where there is no such pair.
    """

    truth: Truth
    judged: tuple[Judged, ...]
    protocol: Protocol
    status: NDArray[np.str_]
    answered: Floats
    answered_sample: Ints
    matched_true: Ints
    matched_iou: Floats
    left_out: NDArray[np.bool_]
    true_iou: Floats
    first_iou: Floats

    @cached_property
    def found(self) -> NDArray[np.bool_]:
        """bool[T]: true boxes matched at IoU 0.5."""
        return (self.true_iou > 0) & self.protocol.hits(self.true_iou, HIT)

    @cached_property
    def counts(self) -> dict[str, Ints]:
        """int64[N] each: `answered` boxes that count, `found` true boxes."""
        return {
            "answered": self.per_sample(~self.left_out, self.answered_sample),
            "found": self.per_sample(self.found, self.truth.box_sample),
        }

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """bool[N]: every true box found and no box left over; for an absent sample: answered not found."""
        present = self.truth.count > 0
        found, answered = self.counts["found"], self.counts["answered"]
        return np.where(present, (found == self.truth.count) & (answered == found), self.status == "not_found")

    @cached_property
    def quality(self) -> Floats:
        """float64[N] in 0..1, to sort by: the F1 with IoU in place of hits; for an absent sample 1 or 0."""
        overlap = np.bincount(self.truth.box_sample, self.true_iou, minlength=len(self.status))
        boxes = np.maximum(self.truth.count + self.counts["answered"], 1)
        return np.where(self.truth.count > 0, np.minimum(2 * overlap / boxes, 1.0), self.right.astype(np.float64))

    def per_sample(self, values: NDArray[Any], sample: Ints) -> Ints:
        """int64[N]: the sum of `values` (bool) over the boxes of each sample."""
        return np.bincount(sample[values], minlength=len(self.status)).astype(np.int64)


def gather_truth(samples: Sequence[Sample]) -> Truth:
    """The truth of the samples that ask for boxes; the others (`boxes` null) are left to `other_tasks`.

    Raises:
        InputError: a sample asks for boxes but has no width and height, so no frame that they could be in.
    """
    asked = tuple(sample for sample in samples if sample.boxes is not None)
    for sample in asked:
        if not (sample.width and sample.height):
            raise InputError("it asks for boxes but has no width and height.", where=f"sample {sample.id!r}")
    sizes = np.array([(sample.width, sample.height) for sample in asked], dtype=np.float64).reshape(-1, 2)
    numbers: dict[str | None, int] = {}
    images = np.array([numbers.setdefault(sample.image, len(numbers)) for sample in asked], dtype=np.int64)
    boxes, box_sample = _flatten([sample.boxes or [] for sample in asked])
    ignore, ignore_sample = _flatten([sample.ignore for sample in asked])
    ceiling = _by_size(grid_ceiling, boxes, sizes[box_sample])
    count = np.bincount(box_sample, minlength=len(asked)).astype(np.int64)
    return Truth(asked, sizes, images, boxes, box_sample, ignore, ignore_sample, count, ceiling)


def hold_against(truth: Truth, judged: Sequence[Judged], protocol: Protocol = DEFAULT) -> Scored:
    """Matches the answers (one for each sample of the truth, in its order) with the true boxes."""
    grid = [answer_boxes(protocol, one.xyxy_grid, one.groups) for one in judged]
    cells, sample = _flatten(grid)
    answered = _by_size(to_pixels, cells, truth.sizes[sample])
    if protocol.on_grid:
        compared, (true, ignore) = cells, truth.on_grid
    else:
        compared, true, ignore = answered, truth.boxes, truth.ignore

    matches = match(compared, sample, true, truth.box_sample)
    missed = ~((matches.true >= 0) & protocol.hits(matches.iou, HIT))
    on_ignore = largest_iou(compared, sample, ignore, truth.ignore_sample) >= IGNORED_FROM
    left_out = missed & on_ignore
    true_iou = np.zeros(len(true))
    true_iou[matches.true[matches.true >= 0]] = matches.iou[matches.true >= 0]
    first_iou = _first_iou(truth, compared, sample, true, left_out)
    status = np.array([one.status for one in judged], dtype=np.str_)
    return Scored(
        truth=truth,
        judged=tuple(judged),
        protocol=protocol,
        status=status,
        answered=answered,
        answered_sample=sample,
        matched_true=matches.true,
        matched_iou=matches.iou,
        left_out=left_out,
        true_iou=true_iou,
        first_iou=first_iou,
    )


def _first_iou(truth: Truth, compared: Floats, sample: Ints, true: Floats, left_out: NDArray[np.bool_]) -> Floats:
    """float64[N]: IoU of the first counted box of each sample that has one true box with that box."""
    first_iou = np.zeros(len(truth.count))
    with_answer, position = np.unique(sample[~left_out], return_index=True)
    single = truth.count[with_answer] == 1
    with_answer, first = with_answer[single], np.flatnonzero(~left_out)[position[single]]
    only = np.searchsorted(truth.box_sample, with_answer)
    first_iou[with_answer] = iou_pairs(compared[first], true[only])
    return first_iou


def _flatten(boxes: Sequence[Any]) -> tuple[Floats, Ints]:
    """Boxes of many samples one after another, float64[M, 4], and the number of the sample of each, int64[M]."""
    sample = np.repeat(np.arange(len(boxes)), [len(some) for some in boxes]).astype(np.int64)
    filled = [np.asarray(some, dtype=np.float64) for some in boxes if len(some)]
    return as_boxes(np.concatenate(filled) if filled else []), sample


def _by_size(function: Callable[[Any, Any], Any], boxes: Floats, sizes: Floats) -> Floats:
    """`function(boxes, (width, height))` for boxes of many frames, one call per size, in the order of the boxes."""
    kinds, kind = np.unique(sizes, axis=0, return_inverse=True)
    order = np.argsort(kind, kind="stable")
    pieces = np.split(order, np.cumsum(np.bincount(kind, minlength=len(kinds)))[:-1]) if len(order) else []
    result: Floats | None = None
    for piece, (width, height) in zip(pieces, kinds, strict=True):
        values = np.asarray(function(boxes[piece], (float(width), float(height))), dtype=np.float64)
        if result is None:
            result = np.empty((len(boxes), *values.shape[1:]))
        result[piece] = values
    return np.asarray(function(boxes, (1.0, 1.0)), dtype=np.float64) if result is None else result
