"""Paints with numbers: outlines as masks, fills, backgrounds. Knows no classes, scenes or files.

Every picture is float32[H, W, 3] in 0..255, every mask float32[H, W] in 0..1 (the covered part of each pixel). Nothing
is random but what the caller's generator gives.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

Pixels: TypeAlias = NDArray[np.float32]
Polygon: TypeAlias = tuple[tuple[float, float], ...]
Outline: TypeAlias = tuple[Polygon, ...]
"""Closed polygons in any unit, y down; what an odd number of them cover is inside, so a second one makes a hole."""
Colour: TypeAlias = tuple[int, int, int]
Box: TypeAlias = tuple[int, int, int, int]

SUPERSAMPLING = 4
"""Masks are drawn so many times larger and then shrunk: smooth edges."""


def regular(corners: int, *, turn: float = 0.0, radius: float = 1.0) -> Polygon:
    """A regular polygon around the origin; `turn` in corners, the first corner on top."""
    angles = [2 * math.pi * (corner + turn) / corners for corner in range(corners)]
    return tuple((radius * math.sin(angle), -radius * math.cos(angle)) for angle in angles)


def star(points: int, *, inner: float) -> Polygon:
    """A star whose inner corners have the radius `inner`, its points 1."""
    outside, inside = regular(points), regular(points, turn=0.5, radius=inner)
    return tuple(corner for pair in zip(outside, inside, strict=True) for corner in pair)


def mask_of(outline: Outline, size_wh: tuple[int, int]) -> Pixels:
    """An outline stretched so that it touches all four sides of a frame of this size."""
    (width, height), corners = size_wh, [corner for polygon in outline for corner in polygon]
    lowest, highest = np.min(corners, axis=0), np.max(corners, axis=0)
    # Pillow counts the last pixel in: a polygon to size - 1 fills the frame.
    scale = (np.array([width, height]) * SUPERSAMPLING - 1) / (highest - lowest)
    whole = Image.new("1", (width * SUPERSAMPLING, height * SUPERSAMPLING))
    for polygon in outline:
        part = Image.new("1", whole.size)
        ImageDraw.Draw(part).polygon([tuple((np.array(corner) - lowest) * scale) for corner in polygon], fill=1)
        whole = ImageChops.logical_xor(whole, part)
    shrunk = whole.convert("L").resize(size_wh, Image.Resampling.BOX)
    return np.asarray(shrunk, dtype=np.float32) / np.float32(255)


def tight_box(mask: NDArray[np.bool_]) -> Box:
    """The smallest x0, y0, x1, y1 (x1 and y1 exclusive) around what is True in bool[H, W].

    Raises:
        ValueError: nothing is.
    """
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        raise ValueError("an empty mask has no box")
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def shade_of(colour: Colour) -> Pixels:
    """A darker tone of the colour; of a dark colour a lighter one."""
    tone = np.array(colour, dtype=np.float32)
    return tone * 0.62 if tone.mean() > 60 else tone + 70


def plain(rng: random.Random, size_wh: tuple[int, int], colours: Sequence[Pixels]) -> Pixels:
    """The first colour everywhere."""
    return np.broadcast_to(colours[0], (size_wh[1], size_wh[0], 3)).astype(np.float32)


def striped(rng: random.Random, size_wh: tuple[int, int], colours: Sequence[Pixels]) -> Pixels:
    """Bands of the two colours, in one of four directions."""
    across = rng.choice([(1, 0), (0, 1), (1, 1), (1, -1)])
    period = rng.randint(5, 10)
    x, y = _coordinates(size_wh)
    second = ((x * across[0] + y * across[1]) % period) < period / 2
    return np.where(second[..., None], colours[1], colours[0])


def dotted(rng: random.Random, size_wh: tuple[int, int], colours: Sequence[Pixels]) -> Pixels:
    """A lattice of dots of the second colour on the first."""
    period = rng.randint(5, 9)
    x, y = _coordinates(size_wh)
    shifted = x + (y // period) % 2 * (period / 2)
    centre = period / 2 - 0.5
    second = np.hypot(shifted % period - centre, y % period - centre) < period * 0.3
    return np.where(second[..., None], colours[1], colours[0])


def gradient(rng: random.Random, size_wh: tuple[int, int], colours: Sequence[Pixels]) -> Pixels:
    """From the first colour to the second, straight in any direction."""
    angle = rng.uniform(0, 2 * math.pi)
    x, y = _coordinates(size_wh)
    along = x * math.cos(angle) + y * math.sin(angle)
    return _blend(_to_unit(along), colours)


def grain(rng: random.Random, size_wh: tuple[int, int], colours: Sequence[Pixels]) -> Pixels:
    """The first colour under noise of its own in each pixel."""
    noise = np.random.default_rng(rng.getrandbits(64)).normal(0, rng.uniform(6, 16), (size_wh[1], size_wh[0], 1))
    return np.clip(colours[0] + noise, 0, 255).astype(np.float32)


def clouds(rng: random.Random, size_wh: tuple[int, int], colours: Sequence[Pixels]) -> Pixels:
    """Smooth noise between the colours, coarse and fine, as out-of-focus photographs have it."""
    draw = np.random.default_rng(rng.getrandbits(64))
    total = np.zeros((size_wh[1], size_wh[0]), dtype=np.float32)
    for cells, weight in ((3, 1.0), (6, 0.6), (13, 0.3)):
        lattice = Image.fromarray(draw.random((cells, cells), dtype=np.float32))
        total += weight * np.asarray(lattice.resize(size_wh, Image.Resampling.BICUBIC))
    return _blend(_to_unit(total), colours)


Fill: TypeAlias = Callable[[random.Random, tuple[int, int], Sequence[Pixels]], Pixels]
TEXTURES: dict[str, Fill] = {"plain": plain, "striped": striped, "dotted": dotted}
BACKGROUNDS: dict[str, Fill] = {
    "plain": plain,
    "gradient": gradient,
    "striped": striped,
    "grain": grain,
    "clouds": clouds,
}


def background(
    rng: random.Random, size_wh: tuple[int, int], *, kinds: Sequence[str] = tuple(BACKGROUNDS), contrast: float = 25.0
) -> Pixels:
    """A muted picture of middle brightness, on which strong, black and white things stand out.

    Args:
        kinds: of `BACKGROUNDS`, to choose from.
        contrast: how far the second colour may be from the first, in each channel.
    """
    grey = rng.uniform(120, 195)
    first = np.array([grey + rng.uniform(-22, 22) for _ in range(3)], dtype=np.float32)
    shift = rng.uniform(-contrast, contrast)
    second = first + np.array([shift + rng.uniform(-10, 10) for _ in range(3)], dtype=np.float32)
    return BACKGROUNDS[rng.choice(list(kinds))](rng, size_wh, (first, second))


def lay_over(picture: Pixels, fill: Pixels, mask: Pixels) -> Pixels:
    """The picture with the fill where the mask is 1, and in between a mixture; all of one size."""
    return picture + (fill - picture) * mask[..., None]


def to_image(picture: Pixels) -> Image.Image:
    """Rounded to 8 bits, RGB."""
    return Image.fromarray(np.clip(np.rint(picture), 0, 255).astype(np.uint8))


def _coordinates(size_wh: tuple[int, int]) -> tuple[Pixels, Pixels]:
    y, x = np.mgrid[: size_wh[1], : size_wh[0]].astype(np.float32)
    return x, y


def _to_unit(values: Pixels) -> Pixels:
    spread = float(np.ptp(values)) or 1.0
    return (values - values.min()) / spread


def _blend(share: Pixels, colours: Sequence[Pixels]) -> Pixels:
    return (colours[0] + (colours[1] - colours[0]) * share[..., None]).astype(np.float32)
