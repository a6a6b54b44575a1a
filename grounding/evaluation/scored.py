"""Truth and answers of many samples as flat arrays: the one pass that every number is read from.

Knows samples, what answers say and a protocol; does not know rates, intervals or reports. Truth comes from pixels only.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grounding.errors import InputError
from grounding.evaluation.match import Floats, Ints, best_overlap
from grounding.evaluation.parse import Answers
from grounding.evaluation.protocols import DEFAULT, HIT, Protocol, first_groups
from grounding.geometry import iou_pairs
from grounding.samples import Sample, pick
from grounding.text import GRID, Scale

IGNORED_FROM = 0.5  # overlap with an ignore box from which an unmatched answered box is left out


@dataclass(frozen=True)
class Truth:
    """What is true of the samples that ask for boxes.

    Args:
        samples: those whose `boxes` is not null, in the order of the data. N of them.
        asked: int64[N], their places in the data.
        sizes: float64[N, 2], (width, height) in pixels.
        images: int64[N], the same number for samples about the same image.
        boxes: float64[T, 4] xyxy_px of all samples, one after another; box_sample: int64[T], ascending.
        ignore: float64[G, 4] xyxy_px; ignore_sample: int64[G], ascending.
        count: int64[N], true boxes of each sample.
        scale: what the numbers of answers mean.
    """

    samples: Sequence[Sample]
    asked: Ints
    sizes: Floats
    images: Ints
    boxes: Floats
    box_sample: Ints
    ignore: Floats
    ignore_sample: Ints
    count: Ints
    scale: Scale

    @cached_property
    def ceiling(self) -> Floats:
        """float64[T], IoU of each true box with itself, written in cells and read."""
        return self.by_frame(self.scale.ceiling, self.boxes, self.box_sample)

    def in_cells(self, scale: Scale) -> tuple[Floats, Floats]:
        """(boxes, ignore) in cells of a scale, float64."""
        return (
            self.by_frame(lambda boxes, size: scale.to_cells(boxes, size)[0], self.boxes, self.box_sample),
            self.by_frame(lambda boxes, size: scale.to_cells(boxes, size)[0], self.ignore, self.ignore_sample),
        )

    @cached_property
    def _frames(self) -> tuple[Floats, Ints]:
        """The sizes of frames that there are, float64[F, 2], and which of them each sample has, int64[N]."""
        kinds, kind = np.unique(self.sizes @ [1j, 1], return_inverse=True)  # a number of two parts sorts like a pair
        return np.stack([kinds.imag, kinds.real], axis=1), kind

    def by_frame(self, function: Callable[[Any, Any], Any], boxes: NDArray[Any], sample: Ints) -> Floats:
        """`function(boxes, (width, height))` for boxes of many samples, one call per size of frame, in their order."""
        if not len(boxes):
            return np.asarray(function(boxes, (1.0, 1.0)), dtype=np.float64)
        kinds, kind = self._frames
        order = np.argsort(kind[sample], kind="stable")
        edges = np.cumsum(np.bincount(kind[sample], minlength=len(kinds)))[:-1]
        result: Floats | None = None
        for piece, (width, height) in zip(np.split(order, edges), kinds.tolist(), strict=True):
            values = np.asarray(function(boxes[piece], (width, height)), dtype=np.float64)
            if result is None:
                result = np.empty((len(boxes), *values.shape[1:]))
            result[piece] = values
        assert result is not None, "there is a box, so there is a frame"
        return result


@dataclass(frozen=True)
class Scored:
    """Answers held against the truth. N samples, T true boxes, P answered boxes.

    Args:
        truth: the samples and their boxes.
        answers: what the answer to each sample says.
        protocol: the rules used.
        answered: float64[P, 4] xyxy_px, in text order within a sample; answered_sample: int64[P], ascending.
        scores: float64[P], what the answers say of their boxes, NaN where nothing.
        matched_true: int64[P], index of the matched true box or -1; matched_iou: float64[P].
        hit: bool[P], matched with an overlap of 0.5.
        left_out: bool[P], the answered boxes that hit nothing but lie on an ignore box: they leave every count.
        true_iou: float64[T], IoU with the box matched to it, 0 where none is.
        true_overlap: the same in the protocol's overlap, which is what thresholds are for.
        first_iou: float64[N], IoU of the first counted box with the one true box; 0 where there is no such pair.
        first_overlap: the same in the protocol's overlap.
    """

    truth: Truth
    answers: Answers
    protocol: Protocol
    answered: Floats
    answered_sample: Ints
    scores: Floats
    matched_true: Ints
    matched_iou: Floats
    hit: NDArray[np.bool_]
    left_out: NDArray[np.bool_]
    true_iou: Floats
    true_overlap: Floats
    first_iou: Floats
    first_overlap: Floats

    @property
    def status(self) -> NDArray[np.str_]:
        """str[N]."""
        return self.answers.status

    @cached_property
    def found(self) -> NDArray[np.bool_]:
        """bool[T]: true boxes matched with an overlap of 0.5."""
        found = np.zeros(len(self.truth.boxes), dtype=bool)
        found[self.matched_true[self.hit]] = True
        return found

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


def gather_truth(samples: Sequence[Sample], scale: Scale = GRID) -> Truth:
    """The truth of the samples that ask for boxes; the others (`boxes` null) are left to `other_tasks`.

    The samples are looked at once, one after another; those that lie in a file need not all be in memory.

    Raises:
        InputError: a sample asks for boxes but has no width and height, so no frame that they could be in.
    """
    asked, count, ignored, images = array("q"), array("q"), array("q"), array("q")
    sizes, boxes, ignore = array("d"), array("d"), array("d")
    numbers: dict[str | None, int] = {}
    for place, sample in enumerate(samples):
        if sample.boxes is None:
            continue
        if not (sample.width and sample.height):
            raise InputError("it asks for boxes but has no width and height.", where=f"sample {sample.id!r}")
        asked.append(place)
        count.append(len(sample.boxes))
        ignored.append(len(sample.ignore))
        images.append(numbers.setdefault(sample.image, len(numbers)))
        sizes.extend((sample.width, sample.height))
        boxes.extend(chain.from_iterable(sample.boxes))
        ignore.extend(chain.from_iterable(sample.ignore))
    rows = np.arange(len(asked))
    return Truth(
        samples=samples if len(asked) == len(samples) else pick(samples, asked),
        asked=np.array(asked, dtype=np.int64),
        sizes=np.array(sizes).reshape(-1, 2),
        images=np.array(images, dtype=np.int64),
        boxes=np.array(boxes).reshape(-1, 4),
        box_sample=np.repeat(rows, count),
        ignore=np.array(ignore).reshape(-1, 4),
        ignore_sample=np.repeat(rows, ignored),
        count=np.array(count, dtype=np.int64),
        scale=scale,
    )


def hold_against(truth: Truth, answers: Answers, protocol: Protocol = DEFAULT, scale: Scale | None = None) -> Scored:
    """Matches the answers (one for each sample of the truth, in its order) with the true boxes.

    Args:
        scale: what the answers' cells mean; that of the truth where None.
    """
    scale = truth.scale if scale is None else scale
    cells, sample, scores = answers.cells, answers.sample, answers.scores
    if protocol.merged:
        cells, sample = first_groups(cells, sample, answers.group)
        scores = np.full(len(cells), np.nan)
    answered = truth.by_frame(scale.to_pixels, cells, sample)
    if protocol.on_grid:
        compared, (true, ignore) = cells.astype(np.float64), truth.in_cells(scale)
    else:
        compared, true, ignore = answered, truth.boxes, truth.ignore

    matches = protocol.match(compared, sample, true, truth.box_sample, scores)
    paired = np.flatnonzero(matches.true >= 0)
    partner = matches.true[paired]
    matched_iou = np.zeros(len(cells))
    matched_iou[paired] = iou_pairs(compared[paired], true[partner])
    hit = np.zeros(len(cells), dtype=bool)
    hit[paired] = protocol.hits(matches.overlap[paired], HIT)
    on_ignored = best_overlap(compared, sample, ignore, truth.ignore_sample, overlap=protocol.on_ignored).overlap
    left_out = ~hit & (on_ignored >= IGNORED_FROM)
    true_iou, true_overlap = np.zeros(len(true)), np.zeros(len(true))
    true_iou[partner], true_overlap[partner] = matched_iou[paired], matches.overlap[paired]
    asked, first, only = _first_boxes(truth, sample, left_out)
    first_iou, first_overlap = np.zeros(len(truth.count)), np.zeros(len(truth.count))
    first_iou[asked] = iou_pairs(compared[first], true[only])
    first_overlap[asked] = protocol.overlap(compared[first], true[only])
    return Scored(
        truth=truth,
        answers=answers,
        protocol=protocol,
        answered=answered,
        answered_sample=sample,
        scores=scores,
        matched_true=matches.true,
        matched_iou=matched_iou,
        hit=hit,
        left_out=left_out,
        true_iou=true_iou,
        true_overlap=true_overlap,
        first_iou=first_iou,
        first_overlap=first_overlap,
    )


def _first_boxes(truth: Truth, sample: Ints, left_out: NDArray[np.bool_]) -> tuple[Ints, Ints, Ints]:
    """The samples with one true box and a counted one, the first counted box of each, and its true box: int64[M]."""
    counted = np.flatnonzero(~left_out)
    with_answer, position = np.unique(sample[counted], return_index=True)
    single = truth.count[with_answer] == 1
    asked = with_answer[single]
    return asked, counted[position[single]], np.searchsorted(truth.box_sample, asked)
