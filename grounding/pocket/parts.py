"""Six small metal parts as a workshop has them, drawn at any angle: a shaded picture of one and the mask of its area.

Knows outlines and metals; it does not know scenes, files or what a part is called in Chinese.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from grounding.pocket.drawing import SUPERSAMPLING, Pixels, tight_box

MARGIN = 1.25  # half of a stencil's side in units of the part's half length; the bracket's corner reaches 1.2
# Of each metal the colour of its shadows and of its lights.
METALS = {
    "steel": ((52, 58, 68), (214, 220, 228)),
    "brass": ((92, 66, 14), (244, 214, 122)),
    "copper": ((84, 36, 18), (236, 158, 112)),
    "zinc": ((96, 100, 104), (240, 240, 236)),
    "burnt": ((18, 18, 22), (112, 110, 116)),
    "anodised": ((16, 38, 96), (112, 168, 250)),
}
# As in a real workshop, most parts of a kind come in one finish; the others are of any metal.
USUAL = {"bolt": "zinc", "bracket": "anodised", "gear": "steel", "key": "brass", "nut": "copper", "spring": "burnt"}
USUAL_SHARE = 0.9

Point = tuple[float, float]


class Part(NamedTuple):
    """A drawn part: float32[H, W, 3] in 0..255 and its mask, float32[H, W] in 0..1, cut to where the mask is 0.5."""

    picture: Pixels
    mask: Pixels


class Stencil:
    """Tone and area of a part while it is drawn: centre 0, half its length 1, y down, then turned by an angle."""

    def __init__(self, length_px: int, angle: float) -> None:
        self.scale = length_px * SUPERSAMPLING / 2
        self.cosine, self.sine = math.cos(angle), math.sin(angle)
        side = round(2 * MARGIN * self.scale)
        self.tone, self.mask = Image.new("L", (side, side)), Image.new("L", (side, side))

    def polygon(self, points: Sequence[Point], tone: int) -> None:
        """Fills a polygon."""
        self._both("polygon", [self._place(point) for point in points], tone)

    def ring(self, centre: Point, radius: float, tone: int) -> None:
        """Fills a disc."""
        self._both("ellipse", self._around(centre, radius), tone)

    def hole(self, centre: Point, radius: float) -> None:
        """Cuts a disc out: the ground shows through."""
        ImageDraw.Draw(self.mask).ellipse(self._around(centre, radius), fill=0)

    def stroke(self, points: Sequence[Point], width: float, tone: int) -> None:
        """Draws a line of some width with round joints, part of the area."""
        placed, thick = [self._place(point) for point in points], max(1, round(width * self.scale))
        for image, fill in ((self.tone, tone), (self.mask, 255)):
            ImageDraw.Draw(image).line(placed, fill=fill, width=thick, joint="curve")

    def score(self, points: Sequence[Point], width: float, tone: int) -> None:
        """Draws a line upon the part that adds nothing to its area."""
        thick = max(1, round(width * self.scale))
        ImageDraw.Draw(self.tone).line([self._place(point) for point in points], fill=tone, width=thick)

    def _both(self, kind: str, shape: Sequence[Point], tone: int) -> None:
        for image, fill in ((self.tone, tone), (self.mask, 255)):
            getattr(ImageDraw.Draw(image), kind)(shape, fill=fill)

    def _place(self, point: Point) -> Point:
        x, y = point
        turned = (x * self.cosine - y * self.sine, x * self.sine + y * self.cosine)
        return (turned[0] + MARGIN) * self.scale, (turned[1] + MARGIN) * self.scale

    def _around(self, centre: Point, radius: float) -> list[Point]:
        (x, y), reach = self._place(centre), radius * self.scale
        return [(x - reach, y - reach), (x + reach, y + reach)]


def draw_nut(stencil: Stencil) -> None:
    """A hexagon with a chamfer and a bore of less than half its width."""
    stencil.polygon(_regular(6, 1.0), 120)
    stencil.ring((0, 0), 0.84, 190)
    stencil.ring((0, 0), 0.52, 90)
    stencil.hole((0, 0), 0.42)


def draw_bolt(stencil: Stencil) -> None:
    """A wide head, a shank and its thread."""
    stencil.polygon([(-1, -0.6), (-0.5, -0.6), (-0.5, 0.6), (-1, 0.6)], 150)
    stencil.polygon([(-1, -0.24), (-0.5, -0.24), (-0.5, 0.24), (-1, 0.24)], 215)
    stencil.polygon([(-0.5, -0.3), (0.92, -0.3), (1, -0.18), (1, 0.18), (0.92, 0.3), (-0.5, 0.3)], 170)
    stencil.score([(-0.5, -0.1), (1, -0.1)], 0.14, 225)
    for step in range(8):
        x = 0.05 + step * 0.115
        stencil.score([(x, -0.31), (x + 0.06, 0.31)], 0.045, 60)


def draw_bracket(stencil: Stencil) -> None:
    """Two flat arms at a right angle, two screw holes in each."""
    stencil.polygon([(-0.85, -0.85), (-0.4, -0.85), (-0.4, 0.4), (0.85, 0.4), (0.85, 0.85), (-0.85, 0.85)], 185)
    stencil.score([(-0.81, -0.85), (-0.81, 0.81), (0.85, 0.81)], 0.07, 235)
    stencil.score([(-0.4, -0.85), (-0.4, 0.4), (0.85, 0.4)], 0.08, 105)
    for centre in ((-0.62, -0.55), (-0.62, 0.05), (-0.05, 0.62), (0.55, 0.62)):
        stencil.hole(centre, 0.11)


def draw_gear(stencil: Stencil) -> None:
    """Ten teeth about a disc with a small bore."""
    teeth = 10
    points = []
    for tooth in range(teeth):
        start = 2 * math.pi * tooth / teeth
        for share, radius in ((-0.26, 0.74), (-0.16, 1.0), (0.16, 1.0), (0.26, 0.74)):
            points.append(_polar(start + share * 2 * math.pi / teeth, radius))
    stencil.polygon(points, 160)
    stencil.ring((0, 0), 0.6, 110)
    stencil.ring((0, 0), 0.54, 185)
    stencil.ring((0, 0), 0.28, 220)
    stencil.hole((0, 0), 0.16)


def draw_spring(stencil: Stencil) -> None:
    """A coil seen from the side: the turns behind, then those in front."""
    turns, top = 6, 0.42
    step = 1.84 / turns
    for turn in range(turns):
        x = -0.92 + turn * step
        stencil.stroke([(x + step * 0.6, top), (x + step, -top)], 0.11, 70)
    for turn in range(turns):
        x = -0.92 + turn * step
        stencil.stroke([(x, -top), (x + step * 0.6, top)], 0.13, 205)


def draw_key(stencil: Stencil) -> None:
    """A bow, a thin blade and two bits on one side of it."""
    stencil.polygon([(-0.3, -0.1), (1, -0.1), (1, 0.1), (-0.3, 0.1)], 180)
    stencil.polygon([(0.46, 0), (0.6, 0), (0.6, 0.36), (0.46, 0.36)], 150)
    stencil.polygon([(0.78, 0), (0.98, 0), (0.98, 0.44), (0.78, 0.44)], 150)
    stencil.ring((-0.56, 0), 0.44, 130)
    stencil.ring((-0.56, 0), 0.38, 205)
    stencil.hole((-0.56, 0), 0.2)


PARTS: dict[str, Callable[[Stencil], None]] = {
    "bolt": draw_bolt,
    "bracket": draw_bracket,
    "gear": draw_gear,
    "key": draw_key,
    "nut": draw_nut,
    "spring": draw_spring,
}


def draw_part(rng: random.Random, kind: str, length_px: int) -> Part:
    """One part of a kind (a key of `PARTS`), mostly of its usual metal; `length_px` is twice the stencil's unit."""
    stencil = Stencil(length_px, rng.uniform(0, 2 * math.pi))
    PARTS[kind](stencil)
    tone, mask = (_unit(image.reduce(SUPERSAMPLING)) for image in (stencil.tone, stencil.mask))
    metal = USUAL[kind] if rng.random() < USUAL_SHARE else rng.choice(sorted(METALS))
    shadows, lights = np.array(METALS[metal], dtype=np.float32)
    picture: Pixels = shadows + (lights - shadows) * tone[..., None]
    # The light falls from one side, so that the other is darker.
    fall = np.linspace(0.8, 1.0, picture.shape[0], dtype=np.float32)[:, None, None]
    x0, y0, x1, y1 = tight_box(mask >= 0.5)
    return Part((picture * fall)[y0:y1, x0:x1], mask[y0:y1, x0:x1])


def _unit(image: Image.Image) -> Pixels:
    return np.asarray(image, dtype=np.float32) / np.float32(255)


def _regular(corners: int, radius: float) -> list[Point]:
    return [_polar(2 * math.pi * corner / corners, radius) for corner in range(corners)]


def _polar(angle: float, radius: float) -> Point:
    return radius * math.cos(angle), radius * math.sin(angle)
