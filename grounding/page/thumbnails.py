"""Small pictures inside a page, and the boxes drawn over them. Knows samples and where their images lie."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from grounding.errors import InputError
from grounding.samples import Sample, open_image

THUMBNAIL = 448  # pixels of the longer side
# WebP, the quicker of its searches: two thirds of JPEG's bytes at a like quality (photographs: 10.5 KB), which is what
# a page of hundreds of pictures takes its time to open for.
FORMAT: dict[str, Any] = {"format": "WEBP", "quality": 75, "method": 2}
INSIDE = 300  # thumbnails inside a page; more lie in FILES
FILES = "report_files"


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
