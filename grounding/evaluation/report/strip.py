"""A picture of a few questions, the answers of one run above those of another: for a README or a message.

Knows comparisons and where images lie; does not know pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from grounding.evaluation.comparison.compare import Comparison
from grounding.evaluation.comparison.numbers import Answered
from grounding.evaluation.report.compare_cards import shapes_of
from grounding.samples import Sample, open_image

COLOURS = {"true": "#12a150", "answered": "#ff5a1f"}  # as in page.css
SIDE, TEXT = 256, 34  # pixels of a picture's width, and of the line under it


def picture_strip(comparison: Comparison, image_root: Path, *, most: int) -> Image.Image:
    """Some English questions, chosen by the truth alone; the answers of the first run above those of the second.

    They are the first of the data about a single thing, each phrase once, and the first about what is not there.

    Raises:
        InputError: an image is missing or broken.
    """
    asked = _chosen(comparison.runs[0].scored.truth.samples, most)
    rows = [[_answered_picture(one, number, image_root) for number in asked] for one in comparison.runs[:2]]
    height = max((tile.height for row in rows for tile in row), default=1)
    strip = Image.new("RGB", (SIDE * max(1, len(asked)), height * len(rows)), "white")
    for top, row in enumerate(rows):
        for left, tile in enumerate(row):
            strip.paste(tile, (left * SIDE, top * height))
    return strip


def _chosen(samples: Sequence[Sample], most: int) -> list[int]:
    """Places of the questions, by the truth alone."""
    english = [number for number, sample in enumerate(samples) if sample.lang == "en" and sample.boxes is not None]
    first: dict[str | None, int] = {}
    for number in english:
        if len(samples[number].boxes or ()) == 1:
            first.setdefault(samples[number].phrase, number)
    absent = [number for number in english if not samples[number].boxes][:1]
    return [*list(first.values())[: most - len(absent)], *absent]


def _answered_picture(one: Answered, number: int, image_root: Path) -> Image.Image:
    """A picture with true and answered boxes, and under it who was asked for what and what became of it."""
    sample = one.scored.truth.samples[number]
    with open_image(image_root, sample) as photo:
        scale = SIDE / photo.width
        picture = photo.resize((SIDE, round(scale * photo.height)), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    for box in shapes_of(one.scored, number):
        if box.kind in COLOURS:
            corners = (box.x, box.y, box.x + box.width, box.y + box.height)
            pen.rectangle([scale * edge for edge in corners], outline=COLOURS[box.kind], width=3)
    tile = Image.new("RGB", (SIDE, picture.height + TEXT), "white")
    tile.paste(picture)
    text = f"{one.run.heading}: {sample.phrase}? {one.outcome[number].replace('_', ' ')}"
    ImageDraw.Draw(tile).text((6, picture.height + 8), text, fill="black", font=ImageFont.load_default(size=15))
    return tile
