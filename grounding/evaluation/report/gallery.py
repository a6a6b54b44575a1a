"""Which samples the page lists and which of them get their picture.

Knows an evaluation and where images lie; does not know the page's layout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from grounding.evaluation.evaluate import Evaluation
from grounding.evaluation.match import Ints
from grounding.evaluation.report.rows import DIGITS
from grounding.page.thumbnails import Thumbnails, add_thumbnail, thumbnail_key
from grounding.samples import pick

LISTED = 20_000  # samples on the page

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
class Gallery:
    """The samples listed, worst first.

    Args:
        places: int64[L], their places among the samples that ask for boxes.
        pictures: the key of the thumbnail of each; None where there is none.
        thumbnails: of the listed samples.
    """

    places: Ints
    pictures: list[str | None]
    thumbnails: Thumbnails


def make_gallery(
    evaluation: Evaluation,
    image_root: Path,
    folder: Path,
    *,
    most: int,
    follow_links: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Gallery:
    """Lists the samples and makes thumbnails for so many of them, and for all others about the same images.

    Where not all can be listed or pictured, half of them are the worst, the others an even draw of the rest by quality.
    An image that is missing or broken is no error here: its boxes are shown on an empty frame, and it is named.

    Args:
        image_root: folder of the images.
        folder: of the report; thumbnails that do not go into the page are written below it.
        most: samples that get a picture.
        progress: called with 1 for each of these.
    """
    severity = np.array([SEVERITY.index(outcome) for outcome in evaluation.outcome], dtype=np.int64)
    order = np.lexsort((severity, np.round(evaluation.scored.quality, DIGITS)))
    listed = order[np.sort(worst_and_others(len(order), LISTED))]
    samples = pick(evaluation.scored.truth.samples, listed.tolist())
    thumbnails = Thumbnails()
    pictured = worst_and_others(len(listed), most)
    for sample in pick(samples, pictured.tolist()):
        add_thumbnail(sample, image_root, folder, thumbnails, follow_links)
        if progress:
            progress(1)
    keys = (thumbnail_key(sample) for sample in samples)
    return Gallery(listed, [key if key in thumbnails.sizes else None for key in keys], thumbnails)


def worst_and_others(count: int, most: int) -> Ints:
    """At most so many numbers below `count`: by turns the lowest that is left and one of an even draw of the others."""
    if count <= most:
        return np.arange(count)
    worst = -(-most // 2)
    others = worst + (np.arange(most - worst) * (count - worst)) // max(1, most - worst)
    chosen = np.empty(most, dtype=np.int64)
    chosen[::2], chosen[1::2] = np.arange(worst), others
    return chosen
