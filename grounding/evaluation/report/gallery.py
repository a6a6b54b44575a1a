"""Which samples the page lists and which of them get their picture; the thumbnails; boxes as they are drawn.

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
from grounding.evaluation.match import Ints
from grounding.evaluation.report.rows import DIGITS
from grounding.samples import Sample, open_image, pick

THUMBNAIL = 448  # pixels of the longer side
# WebP, the quicker of its searches: two thirds of JPEG's bytes at a like quality (photographs: 10.5 KB), which is what
# a page of hundreds of pictures takes its time to open for.
FORMAT: dict[str, Any] = {"format": "WEBP", "quality": 75, "method": 2}
LISTED = 20_000  # samples on the page
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


@dataclass
class Thumbnails:
    """Thumbnails by key: `inside` as data URIs, `beside` as file names in `FILES`; `missing` names images and why."""

    inside: dict[str, str] = field(default_factory=dict)
    beside: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)


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


def box_shape(xyxy_px: list[float], kind: str, **flags: bool) -> Shape:
    x0, y0, x1, y1 = xyxy_px
    return Shape(round(x0, 1), round(y0, 1), round(x1 - x0, 1), round(y1 - y0, 1), kind, **flags)


def thumbnail_key(sample: Sample) -> str | None:
    """The same for samples about the same image in the same frame; None without image."""
    return None if sample.image is None else f"{sample.image}{'#upright' if sample.upright else ''}"


def add_thumbnail(
    sample: Sample, image_root: Path, folder: Path, thumbnails: Thumbnails, follow_links: bool
) -> tuple[str | None, str | None]:
    """(key of the sample's thumbnail, None), made once per image and frame; (None, why) where there is none."""
    key = thumbnail_key(sample)
    if sample.image is None or key is None:
        return None, "this sample has no image"
    if sample.image in thumbnails.missing:
        return None, thumbnails.missing[sample.image]
    if key in thumbnails.sizes:
        return key, None
    try:
        with open_image(image_root, sample, follow_links) as image:
            image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.BICUBIC, reducing_gap=2.0)
            encoded = io.BytesIO()
            image.save(encoded, **FORMAT)
    except InputError as error:
        thumbnails.missing[sample.image] = str(error)
        return None, str(error)
    thumbnails.sizes[key] = image.size
    if len(thumbnails.inside) < INSIDE:
        thumbnails.inside[key] = "data:image/webp;base64," + base64.b64encode(encoded.getvalue()).decode("ascii")
    else:
        name = f"{len(thumbnails.beside) + 1:05d}.webp"
        (folder / FILES).mkdir(exist_ok=True)
        (folder / FILES / name).write_bytes(encoded.getvalue())
        thumbnails.beside[key] = name
    return key, None
