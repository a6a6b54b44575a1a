"""The cards of the gallery: a picture with true and answered boxes, the question and the answer, worst first.

Knows an evaluation and where images lie; does not know the page's layout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grounding.evaluation.evaluate import Evaluation
from grounding.evaluation.report.rows import DIGITS, rows_of
from grounding.page.thumbnails import Shape, Thumbnails, add_thumbnail, box_shape
from grounding.samples import Sample

# Outcomes from worst to best, to order cards of equal quality.
SEVERITY = (
    "unparsable",
    "cut_off",
    "invented",
    "wrong_place",
    "missed",
    "ignored_only",
    "partly",
    "rejected",
    "all_found",
)


@dataclass(frozen=True)
class Card:
    """One sample as shown. `picture` is the key of its thumbnail; None where there is none, and `lack` says why."""

    sample: Sample
    row: dict[str, Any]
    shapes: tuple[Shape, ...]
    picture: str | None
    lack: str | None


def make_cards(
    evaluation: Evaluation,
    image_root: Path,
    folder: Path,
    *,
    most: int,
    follow_links: bool = False,
    progress: Callable[[int], None] | None = None,
) -> tuple[list[Card], Thumbnails]:
    """The worst samples first, at most so many, and their thumbnails.

    An image that is missing or broken is no error here: its boxes are shown on an empty frame, and it is named.

    Args:
        image_root: folder of the images.
        folder: of the report; thumbnails that do not go into the page are written below it.
        progress: called with 1 for each card.
    """
    severity = np.array([SEVERITY.index(outcome) for outcome in evaluation.outcome], dtype=np.int64)
    order = np.lexsort((severity, np.round(evaluation.scored.quality, DIGITS)))[:most].tolist()
    thumbnails = Thumbnails()
    cards = []
    for number, (sample, row) in zip(order, rows_of(evaluation, order), strict=True):
        key, lack = add_thumbnail(sample, image_root, folder, thumbnails, follow_links)
        cards.append(Card(sample, row, _shapes(evaluation, number, row), key, lack))
        if progress:
            progress(1)
    return cards, thumbnails


def _shapes(evaluation: Evaluation, number: int, row: dict[str, Any]) -> tuple[Shape, ...]:
    scored = evaluation.scored
    first = int(np.searchsorted(scored.truth.box_sample, number))
    found = scored.found[first : first + len(row["true_px"])]
    shapes = [box_shape(box, "ignore") for box in row["ignore_px"]]
    shapes += [box_shape(box, "true", alone=not hit) for box, hit in zip(row["true_px"], found, strict=True)]
    for box, matched, left_out in zip(row["boxes_px"], row["matched"], row["left_out"], strict=True):
        hit = matched is not None and bool(found[matched])
        shapes.append(box_shape(box, "answered", alone=not hit, left_out=left_out))
    return tuple(shapes)
