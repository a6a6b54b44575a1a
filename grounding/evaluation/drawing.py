"""Draws boxes into a picture and saves it. Knows pixels only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from grounding.errors import InputError
from grounding.evaluation.fonts import font_for
from grounding.samples import atomic_path

COLOURS = ("#ff5a1f", "#12a150", "#2457d6", "#c026d3", "#d97706", "#0891b2")
PART_OF_SIDE = 250  # a line is this part of the longer side, and at least two pixels
SHOWN = 512  # pixels of the longer side of a picture for a tracker
LEGIBLE = 400  # pixels of the longer side that numbers beside boxes need


def enlarged(image: Image.Image) -> tuple[Image.Image, int]:
    """A small picture, larger by a whole number of times that numbers in it can be read; and that number."""
    times = -(-LEGIBLE // max(image.size))
    return image.resize((times * image.width, times * image.height), Image.Resampling.BICUBIC), times


def draw_boxes(
    image: Image.Image,
    xyxy_px: Sequence[Sequence[float]],
    groups: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
) -> Image.Image:
    """A copy of an RGB picture with each box drawn and numbered from 1, in the given order.

    Args:
        groups: for each box a number, and boxes of one number have one colour; without, each has the next one.
        names: for each box what is written behind its number; as much of it as there is room for, and nothing where
            this machine has no font for it (see `fonts.font_for`).
    """
    drawn = image.copy()
    pen = ImageDraw.Draw(drawn)
    line = max(2, round(max(image.size) / PART_OF_SIDE))
    colours = [COLOURS[group % len(COLOURS)] for group in groups or range(len(xyxy_px))]
    for (x0, y0, x1, y1), colour in zip(xyxy_px, colours, strict=True):
        pen.rectangle((x0, y0, x1, y1), outline="white", width=line + 2)
        pen.rectangle((x0 + 1, y0 + 1, max(x1 - 1, x0 + 1), max(y1 - 1, y0 + 1)), outline=colour, width=line)
    for number, (x0, y0, *_) in enumerate(xyxy_px, start=1):  # above all lines
        _write(pen, number, names[number - 1] if names else "", (x0, y0), line, colours[number - 1], drawn.width)
    return drawn


def _write(
    pen: ImageDraw.ImageDraw, number: int, name: str, corner: tuple[float, float], line: int, colour: str, width: int
) -> None:
    """The number and name of a box inside its upper left corner, moved to the left as far as the picture demands."""
    font = font_for(name, 6 * line)
    if font is None:
        name, font = "", font_for("", 6 * line)
    ends = range(len(name), 0, -1)
    texts = (f"{number} {name[:end]}{'...' if end < len(name) else ''}" for end in ends)
    text = next((text for text in texts if pen.textlength(text, font=font) <= width - 4 * line), str(number))
    place = (max(line, min(corner[0] + 2 * line, width - 2 * line - pen.textlength(text, font=font))), corner[1] + line)
    left, top, right, bottom = pen.textbbox(place, text, font=font)
    pen.rectangle((left - line, top - line, right + line, bottom + line), fill=colour)
    pen.text(place, text, fill="white", font=font)


def draw_truth_and_answer(
    image: Image.Image, true_px: Sequence[Sequence[float]], answered_px: Sequence[Sequence[float]], side: int = SHOWN
) -> Image.Image:
    """A copy of a picture with the answered boxes (orange, numbered first) and the true ones (green).

    Args:
        true_px, answered_px: xyxy_px.
        side: pixels that the longer side is brought down to.
    """
    groups = [0] * len(answered_px) + [1] * len(true_px)
    drawn = draw_boxes(image, [*answered_px, *true_px], groups)
    drawn.thumbnail((side, side), Image.Resampling.BICUBIC)
    return drawn


def check_drawable(path: Path) -> None:
    """Sees that the suffix is one that a picture can be written as.

    Raises:
        InputError: it is not.
    """
    if Image.registered_extensions().get(path.suffix.lower()) not in {"PNG", "JPEG", "WEBP", "BMP", "TIFF"}:
        raise InputError(f"a picture cannot be written as {path.suffix!r}; use .png or .jpg.", where=str(path))


def save_picture(image: Image.Image, path: Path) -> None:
    """Writes a picture under a temporary name and renames it; the suffix says the format."""
    check_drawable(path)
    with atomic_path(path) as temporary:
        image.save(temporary)
