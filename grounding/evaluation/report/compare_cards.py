"""The cards of a comparison: one question, and the picture with the answer of every run.

Knows comparisons and where images lie; does not know the page's layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from random import Random

import numpy as np

from grounding.evaluation.comparison.changes import Changes
from grounding.evaluation.comparison.compare import Comparison
from grounding.evaluation.comparison.numbers import Answered
from grounding.evaluation.scored import Scored
from grounding.page.thumbnails import INSIDE, Shape, Thumbnails, add_thumbnail, box_shape
from grounding.samples import Sample


@dataclass(frozen=True)
class AnswerOf:
    """What one run answered: its text (None where nothing), what became of it, and the boxes to draw."""

    text: str | None
    outcome: str
    reason: str | None
    shapes: tuple[Shape, ...]


@dataclass(frozen=True)
class CompareCard:
    """One sample as shown.

    Attributes:
        picture: the key of its thumbnail; None where there is none, and `lack` says why.
        answers: one of each run.
        change: how much the first other run changed the answer's quality.
        tags: `1-gained`, `1-lost` or `1-same` for each other run by its number, and `reworded`.
    """

    sample: Sample
    place: int
    picture: str | None
    lack: str | None
    answers: tuple[AnswerOf, ...]
    change: float
    tags: tuple[str, ...]


def most_changed(comparison: Comparison, most: int) -> list[int]:
    """The samples whose answers changed most, those gained or lost first; the other runs take turns."""
    lists = [changes.most_changed[:most] for changes in comparison.changes]
    in_turn = (number for numbers in zip_longest(*lists) for number in numbers if number is not None)
    return list(dict.fromkeys(in_turn))[:most]


def drawn(comparison: Comparison, most: int, seed: int) -> list[int]:
    """A seeded draw of samples, in the order of the data: nobody picked them."""
    count = len(comparison.runs[0].scored.truth.samples)
    return sorted(Random(f"{seed}/pairs").sample(range(count), min(most, count)))


def make_compare_cards(
    comparison: Comparison, numbers: Sequence[int], image_root: Path, *, follow_links: bool = False
) -> tuple[list[CompareCard], Thumbnails]:
    """Cards of some samples, at most `INSIDE`, and their thumbnails, all of them inside the page.

    An image that is missing or broken is no error here: its boxes are shown on an empty frame, and it is named.
    """
    thumbnails = Thumbnails()
    cards = []
    for number in numbers[:INSIDE]:
        sample = comparison.runs[0].scored.truth.samples[number]
        key, lack = add_thumbnail(sample, image_root, image_root, thumbnails, follow_links)
        answers = tuple(_answer_of(one, number) for one in comparison.runs)
        change = float(comparison.changes[0].worth[number])
        cards.append(CompareCard(sample, number, key, lack, answers, change, _tags(comparison.changes, number)))
    return cards, thumbnails


def shapes_of(scored: Scored, number: int) -> tuple[Shape, ...]:
    """The boxes of a sample: ignored areas, true boxes and answered ones, in this order."""
    truth = scored.truth
    ignored = truth.ignore[slice(*np.searchsorted(truth.ignore_sample, [number, number + 1]))]
    true = slice(*np.searchsorted(truth.box_sample, [number, number + 1]))
    answered = slice(*np.searchsorted(scored.answered_sample, [number, number + 1]))
    shapes = [box_shape(box, "ignore") for box in ignored.tolist()]
    for box, found in zip(truth.boxes[true].tolist(), scored.found[true].tolist(), strict=True):
        shapes.append(box_shape(box, "true", alone=not found))
    columns = (scored.answered[answered].tolist(), scored.hit[answered].tolist(), scored.left_out[answered].tolist())
    for box, hit, left_out in zip(*columns, strict=True):
        shapes.append(box_shape(box, "answered", alone=not hit, left_out=left_out))
    return tuple(shapes)


def _answer_of(one: Answered, number: int) -> AnswerOf:
    prediction = one.run.predictions[int(one.scored.truth.asked[number])]
    return AnswerOf(
        None if prediction is None else prediction.text,
        one.outcome[number],
        one.scored.answers.reason.get(number),
        shapes_of(one.scored, number),
    )


def _tags(changes: Sequence[Changes], number: int) -> tuple[str, ...]:
    tags = []
    for run, change in enumerate(changes, start=1):
        kind = "gained" if change.gained[number] else "lost" if change.lost[number] else "same"
        tags.append(f"{run}-{kind}")
    return tuple(tags)
