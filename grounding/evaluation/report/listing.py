"""The listed samples as the page's script takes them: compact columns, whole numbers where they can be, words once.

Knows an evaluation and what is listed of it; does not know how it is shown (`templates/report.js` does).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grounding.evaluation.breakdowns import size_classes
from grounding.evaluation.evaluate import Evaluation
from grounding.evaluation.match import Ints
from grounding.evaluation.metrics import OUTCOMES
from grounding.evaluation.mistakes import KINDS
from grounding.evaluation.neighbours import NO_CLASS
from grounding.evaluation.report.gallery import Gallery
from grounding.page.layout import visible
from grounding.samples import pick

TENTHS = 10  # of a pixel, in which boxes are told
THOUSANDTHS = 1000  # in which IoUs are told
SCORE_DIGITS = 4
NONE = -1
# What became of an answered box.
ON_NOTHING, HIT, LEFT_OUT = 0, 1, 2


def listing(evaluation: Evaluation, gallery: Gallery) -> dict[str, Any]:
    """Columns of equal length, worst sample first, and the words that their numbers stand for.

    Returns:
        `outcomes`, `kinds`, `classes`, `tasks`, `langs`, `images`: words, of which a column holds the place; `total`:
        samples measured; `columns`:

        - `id`, `prompt`, `answer` (null where there is none), `label`, `reason` (null but for the unparsable): texts;
        - `outcome`, `class`, `task`, `lang`, `image` (-1: none), `picture` (the thumbnail, -1: none): places;
        - `place`: in the data; `width`, `height`: of the frame; `iou`: mean over the true boxes, in thousandths, or -1;
        - `sizes`, `mistakes`: bits, of `breakdowns.SIZES` and `kinds`;
        - for each sample a list: `true`, `boxes` and `ignore` of x, y, width, height in tenths of a pixel, one box
          after another; `ious` of the true boxes in thousandths and `found` 0 or 1; of the answered boxes `on` (the
          true box matched, or -1), `overlap` with it in thousandths, `state` (0 on nothing, 1 a hit, 2 left out) and
          `scores` (empty where the answer has none); `refusals`, their reasons.
    """
    places = gallery.places
    scored, truth = evaluation.scored, evaluation.scored.truth
    samples = list(pick(truth.samples, places.tolist()))
    predictions = pick(evaluation.predictions, truth.asked[places].tolist())
    true, answered, ignored = (
        _Boxes(sample, places) for sample in (truth.box_sample, scored.answered_sample, truth.ignore_sample)
    )
    images = _Numbered(visible(sample.image) for sample in samples)
    classes = _Numbered(visible(sample.category or NO_CLASS) for sample in samples)
    tasks, langs = _Numbered(sample.task for sample in samples), _Numbered(sample.lang for sample in samples)
    pictures = _Numbered([*gallery.thumbnails.sizes])
    first_true = np.searchsorted(truth.box_sample, scored.answered_sample)
    on = np.where(scored.matched_true >= 0, scored.matched_true - first_true, NONE)
    state = np.where(scored.left_out, LEFT_OUT, np.where(scored.hit, HIT, ON_NOTHING))
    ious = np.rint(scored.true_iou * THOUSANDTHS).astype(np.int64)
    outcomes = list(OUTCOMES)
    columns = {
        "id": [visible(sample.id) for sample in samples],
        "prompt": [visible(sample.prompt) for sample in samples],
        "answer": [None if one is None else visible(one.text) for one in predictions],
        "label": [visible(sample.label) for sample in samples],
        "reason": [scored.answers.reason.get(place) for place in places.tolist()],
        "outcome": [outcomes.index(evaluation.outcome[place]) for place in places.tolist()],
        "class": classes.column,
        "task": tasks.column,
        "lang": langs.column,
        "image": [NONE if not sample.image else images.number[visible(sample.image)] for sample in samples],
        "picture": [NONE if key is None else pictures.number[key] for key in gallery.pictures],
        "place": truth.asked[places].tolist(),
        "width": truth.sizes[places, 0].astype(np.int64).tolist(),
        "height": truth.sizes[places, 1].astype(np.int64).tolist(),
        "iou": _mean_iou(evaluation)[places].tolist(),
        "sizes": _bits(len(truth.count), _samples_of_sizes(evaluation))[places].tolist(),
        "mistakes": _bits(len(truth.count), evaluation.mistaken.values())[places].tolist(),
        "true": true.corners(truth.boxes),
        "ious": true.of(ious),
        "found": true.of(scored.found.astype(np.int64)),
        "boxes": answered.corners(scored.answered),
        "on": answered.of(on),
        "overlap": answered.of(np.rint(scored.matched_iou * THOUSANDTHS).astype(np.int64)),
        "state": answered.of(state),
        "scores": [_scores(some) for some in answered.of(np.round(scored.scores, SCORE_DIGITS))],
        "ignore": ignored.corners(truth.ignore),
        "refusals": [[part.reason for part in scored.answers.refusals.get(place, ())] for place in places.tolist()],
    }
    return {
        "total": len(truth.count),
        "outcomes": outcomes,
        "kinds": list(KINDS),
        "classes": classes.words,
        "tasks": tasks.words,
        "langs": langs.words,
        "images": images.words,
        "columns": columns,
    }


class _Numbered:
    """Words in the order in which they come first, and which of them each thing has."""

    def __init__(self, words: Iterable[str]) -> None:
        self.number: dict[str, int] = {}
        self.column = [self.number.setdefault(word, len(self.number)) for word in words]

    @property
    def words(self) -> list[str]:
        return list(self.number)


class _Boxes:
    """Cuts what is told of many boxes into a list for each listed sample.

    Args:
        sample: int64[B], the sample of each box, ascending.
        places: int64[L], the samples that are listed, in their order.
    """

    def __init__(self, sample: Ints, places: Ints) -> None:
        start = np.searchsorted(sample, places)
        self._count = np.searchsorted(sample, places, side="right") - start
        first = np.cumsum(self._count) - self._count
        self._rows = np.repeat(start - first, self._count) + np.arange(self._count.sum())

    def of(self, values: NDArray[Any], each: int = 1) -> list[list[Any]]:
        """`values` [B] or [B, each], flat for each sample."""
        flat: list[Any] = values[self._rows].ravel().tolist()
        edges = accumulate((each * self._count).tolist(), initial=0)
        return [flat[begin:end] for begin, end in pairwise(edges)]

    def corners(self, xyxy_px: NDArray[np.float64]) -> list[list[Any]]:
        """x, y, width and height of each box in tenths of a pixel."""
        tenths = np.rint(xyxy_px * TENTHS).astype(np.int64)
        return self.of(np.concatenate([tenths[:, :2], tenths[:, 2:] - tenths[:, :2]], axis=1), 4)


def _mean_iou(evaluation: Evaluation) -> Ints:
    """int64[N], in thousandths; -1 where there is no true box."""
    truth = evaluation.scored.truth
    total = np.bincount(truth.box_sample, evaluation.scored.true_iou, minlength=len(truth.count))
    mean = np.rint(THOUSANDTHS * total / np.maximum(truth.count, 1)).astype(np.int64)
    return np.where(truth.count > 0, mean, NONE)


def _samples_of_sizes(evaluation: Evaluation) -> list[Ints]:
    """For each class of size the samples that have a true box of it."""
    truth = evaluation.scored.truth
    size = size_classes(truth.boxes)
    return [truth.box_sample[size == number] for number in range(3)]


def _bits(count: int, having: Iterable[Ints]) -> Ints:
    """int64[count]: bit k is set for the samples in the k-th array."""
    bits = np.zeros(count, dtype=np.int64)
    for number, samples in enumerate(having):
        bits[samples] |= 1 << number
    return bits


def _scores(scores: Sequence[float]) -> list[float]:
    """Those of an answer; none where they are not known (NaN is no JSON)."""
    return [] if any(score != score for score in scores) else list(scores)
