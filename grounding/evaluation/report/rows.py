"""One line of `samples.jsonl` for each sample: its status, IoUs and refusals, and what was answered, in pixels.

Knows an evaluation; does not know pages or pictures. Rows are made one after another and none is kept. What a row holds
is enough to measure the answer again.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from grounding.errors import InputError, ManyErrors
from grounding.evaluation.evaluate import Evaluation
from grounding.evaluation.other_tasks import is_exact
from grounding.evaluation.predictions import Prediction
from grounding.samples import Lang, Sample, Task
from grounding.samples.decoding import decode, read_places
from grounding.samples.sample import Box

DIGITS = 4  # decimals of IoUs and pixels in the file
ROWS_AT_ONCE = 1000  # few, so that what is made for them is gone before the garbage collector looks at it


class _Head(msgspec.Struct, gc=False):
    """What every row begins with: the sample, and its answer exactly as generated."""

    id: str
    image: str | None
    task: str
    lang: str
    phrase: str | None
    category: str | None
    prompt: str
    text: str | None
    constrained: bool | None


class TextRow(_Head, gc=False):
    """The row of a sample that asks for no box."""

    status: None
    label: str
    exact_match: bool


class Row(_Head, gc=False, omit_defaults=True):
    """The row of a sample that asks for boxes: what it takes to measure the answer again, and what came of it.

    Attributes:
        status, reason: of the answer. outcome: what became of it, a key of `metrics.OUTCOMES`.
        right: whether it is what `grec_50` asks for. quality: 0..1, to sort by.
        first_iou: of the first counted box with the one true box; None where there are more or none.
        ious: of each true box with the box matched to it.
        boxes_px: the answered boxes; matched: the number of the true box of each, or None.
        left_out: whether each lies on an ignored area and does not count.
        true_px, ignore_px: as in the data.
        refusals: `{"reason", "start", "end"}` of each part that could not be read.
        width, height: of the frame, pixels.
        categories, upright: as in the data; cut: whether the token budget ended the answer. These are left out of the
            file where they say nothing.
    """

    status: str
    reason: str | None
    outcome: str
    right: bool
    quality: float
    first_iou: float | None
    ious: list[float]
    boxes_px: list[list[float]]
    matched: list[int | None]
    left_out: list[bool]
    true_px: list[list[float]]
    ignore_px: list[list[float]]
    refusals: list[dict[str, Any]]
    width: int | None
    height: int | None
    categories: list[str] | None = None
    upright: bool = False
    cut: bool = False


class StoredRow(msgspec.Struct, gc=False):
    """What is read of a row of either kind to measure its answer again; a `TextRow` has no `true_px`."""

    id: str
    image: str | None
    task: Task
    lang: Lang
    phrase: str | None
    category: str | None
    prompt: str
    text: str | None
    constrained: bool | None
    status: str | None
    label: str = ""
    true_px: list[Box] | None = None
    ignore_px: list[Box] = []
    width: int | None = None
    height: int | None = None
    categories: list[str] | None = None
    upright: bool = False
    cut: bool = False

    def sample(self) -> Sample:
        """The question and its truth; the label of one that asks for boxes, which nothing here reads, is empty."""
        return Sample(
            id=self.id,
            image=self.image,
            width=self.width,
            height=self.height,
            prompt=self.prompt,
            label=self.label,
            phrase=self.phrase,
            category=self.category,
            boxes=self.true_px,
            categories=self.categories,
            ignore=self.ignore_px,
            task=self.task,
            lang=self.lang,
            upright=self.upright,
        )

    def prediction(self) -> Prediction | None:
        """The answer, None where there was none; its scores are not kept."""
        if self.text is None:
            return None
        finish: Literal["eos", "length"] = "length" if self.cut else "eos"
        return Prediction(id=self.id, text=self.text, finish=finish, constrained=bool(self.constrained))


def read_rows(path: Path) -> list[StoredRow]:
    """The rows of a samples.jsonl, in its order.

    Raises:
        InputError: the file cannot be read, has no rows, or not all that is needed.
    """
    decoder = msgspec.json.Decoder(StoredRow)
    rows, problems = [], []
    for number, _, line in read_places(path):
        try:
            rows.append(decode(line, decoder))
            if rows[-1].true_px is not None and not (rows[-1].width and rows[-1].height):
                raise ValueError("`width` and `height` are missing")
        except ValueError as error:
            problems.append(InputError(str(error), where=f"line {number}"))
    if problems or not rows:
        fix = "Run `grounding benchmark` again; with --predictions that takes seconds."
        heading = f"{path}: not the samples of a report as this version writes it"
        raise ManyErrors(heading, problems or ["it holds none"], fix=fix)
    return rows


def sample_rows(evaluation: Evaluation) -> Iterator[Row | TextRow]:
    """The rows, in the order of the data."""
    measured = _measured(evaluation)
    for sample, prediction in zip(evaluation.samples, evaluation.predictions, strict=True):
        yield _text_row(sample, prediction) if sample.boxes is None else _boxed_row(sample, prediction, next(measured))


def _head(sample: Sample, prediction: Prediction | None) -> tuple[Any, ...]:
    answer = (None, None) if prediction is None else (prediction.text, prediction.constrained)
    phrase = (sample.phrase, sample.category, sample.prompt)
    return (sample.id, sample.image, sample.task, sample.lang, *phrase, *answer)


def _boxed_row(sample: Sample, prediction: Prediction | None, measured: tuple[Any, ...]) -> Row:
    *values, refusals = measured
    parts = [refusal._asdict() for refusal in refusals]
    frame = (sample.width, sample.height, sample.categories, sample.upright)
    cut = prediction is not None and prediction.finish == "length"
    fields = (*_head(sample, prediction), *values, sample.boxes or [], sample.ignore, parts, *frame, cut)
    return Row(*fields)


def _text_row(sample: Sample, prediction: Prediction | None) -> TextRow:
    exact = is_exact(sample, None if prediction is None else prediction.text)
    fields = (*_head(sample, prediction), None, sample.label, exact)
    return TextRow(*fields)


def _measured(evaluation: Evaluation) -> Iterator[tuple[Any, ...]]:
    """What was measured of each sample that asks for boxes, in order: a `Row` from `status` to `left_out`, refusals."""
    count = len(evaluation.scored.status)
    for start in range(0, count, ROWS_AT_ONCE):
        yield from _some_measured(evaluation, start, min(start + ROWS_AT_ONCE, count))


def _some_measured(evaluation: Evaluation, start: int, stop: int) -> Iterator[tuple[Any, ...]]:
    """The same of the samples from one place to another, column by column."""
    scored, truth = evaluation.scored, evaluation.scored.truth
    samples = np.arange(start, stop + 1)
    answered_edges = np.searchsorted(scored.answered_sample, samples)
    true_edges = np.searchsorted(truth.box_sample, samples)
    answered, true = slice(answered_edges[0], answered_edges[-1]), slice(true_edges[0], true_edges[-1])
    partner = scored.matched_true[answered]
    # Numbered within the sample; none is null.
    inside = (partner - np.repeat(true_edges[:-1], np.diff(answered_edges))).tolist()
    matched = [number if paired else None for number, paired in zip(inside, (partner >= 0).tolist(), strict=True)]
    single = (truth.count[start:stop] == 1).tolist()
    first = zip(_rounded(scored.first_iou[start:stop]), single, strict=True)
    answers = scored.answers
    return zip(
        answers.status[start:stop].tolist(),
        map(answers.reason.get, range(start, stop)),
        evaluation.outcome[start:stop],
        scored.right[start:stop].tolist(),
        _rounded(scored.quality[start:stop]),
        [iou if is_single else None for iou, is_single in first],
        _cut(_rounded(scored.true_iou[true]), true_edges),
        _cut(_rounded(scored.answered[answered]), answered_edges),
        _cut(matched, answered_edges),
        _cut(scored.left_out[answered].tolist(), answered_edges),
        (answers.refusals.get(number, ()) for number in range(start, stop)),
        strict=True,
    )


def _cut(values: list[Any], edges: NDArray[np.int64]) -> Iterator[list[Any]]:
    """The values of each sample; the first edge is the place of the first value."""
    places = (edges - edges[0]).tolist()
    return (values[begin:end] for begin, end in pairwise(places))


def _rounded(values: NDArray[np.float64]) -> list[Any]:
    rounded: list[Any] = np.round(values, DIGITS).tolist()
    return rounded
