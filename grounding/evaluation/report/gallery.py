"""The cards of the gallery: a picture with true and answered boxes, the question and the answer, worst first.

Knows an evaluation and where images lie; does not know the page's layout.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from grounding.errors import InputError
from grounding.evaluation.evaluate import Evaluation
from grounding.evaluation.report.rows import DIGITS, rows_of
from grounding.samples import Sample, open_image

THUMBNAIL = 360  # pixels of the longer side
QUALITY = 78  # of JPEG
INSIDE = 300  # thumbnails inside the page; more lie in FILES
FILES = "report_files"

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
class Shape:
    """A box on a picture, x, y, width and height in pixels of the sample's frame.

    `kind` is true, answered or ignore; `alone` marks a true box not found at 0.5, or an answered one that hit nothing;
    `left_out` an answered one that lies on an ignored area and does not count.
    """

    x: float
    y: float
    width: float
    height: float
    kind: str
    alone: bool = False
    left_out: bool = False


@dataclass(frozen=True)
class Card:
    """One sample as shown. `picture` is the key of its thumbnail; None where there is none, and `lack` says why."""

    sample: Sample
    row: dict[str, Any]
    shapes: tuple[Shape, ...]
    picture: str | None
    lack: str | None


@dataclass
class Thumbnails:
    """Thumbnails by key: `inside` as data URIs, `beside` as file names in `FILES`; `missing` names images and why."""

    inside: dict[str, str] = field(default_factory=dict)
    beside: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)


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


def box_shape(xyxy_px: list[float], kind: str, **flags: bool) -> Shape:
    x0, y0, x1, y1 = xyxy_px
    return Shape(round(x0, 1), round(y0, 1), round(x1 - x0, 1), round(y1 - y0, 1), kind, **flags)


def add_thumbnail(
    sample: Sample, image_root: Path, folder: Path, thumbnails: Thumbnails, follow_links: bool
) -> tuple[str | None, str | None]:
    """(key of the sample's thumbnail, None), made once per image and frame; (None, why) where there is none."""
    if sample.image is None:
        return None, "this sample has no image"
    if sample.image in thumbnails.missing:
        return None, thumbnails.missing[sample.image]
    key = f"{sample.image}{'#upright' if sample.upright else ''}"
    if key in thumbnails.sizes:
        return key, None
    try:
        with open_image(image_root, sample, follow_links) as image:
            image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.BICUBIC, reducing_gap=2.0)
            encoded = io.BytesIO()
            image.save(encoded, "JPEG", quality=QUALITY, optimize=True)
    except InputError as error:
        thumbnails.missing[sample.image] = str(error)
        return None, str(error)
    thumbnails.sizes[key] = image.size
    if len(thumbnails.inside) < INSIDE:
        thumbnails.inside[key] = "data:image/jpeg;base64," + base64.b64encode(encoded.getvalue()).decode("ascii")
    else:
        name = f"{len(thumbnails.beside) + 1:05d}.jpg"
        (folder / FILES).mkdir(exist_ok=True)
        (folder / FILES / name).write_bytes(encoded.getvalue())
        thumbnails.beside[key] = name
    return key, None
