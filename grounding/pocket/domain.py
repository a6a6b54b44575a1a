"""Photographs of small parts on a workbench, with exact boxes, annotated as a shop would: a domain that pocket never saw.

It stands for a user's own data, usual faults of annotations included (`plant_faults`), so that converting it has
something to say. Knows nothing of prompts, grids or models.

    python -m grounding.pocket.domain runs/parts/coco --format coco --photos 400 --seed 0
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from PIL import Image

from grounding.pocket.drawing import Box, Pixels, lay_over, to_image
from grounding.pocket.parts import PARTS, Part, draw_part
from grounding.pocket.scenes import Drawn, Scene
from grounding.pocket.surfaces import camera_noise, lay_surface

CATEGORIES = tuple(sorted(PARTS))
CHINESE = {"bolt": "螺栓", "bracket": "角铁", "gear": "齿轮", "key": "钥匙", "nut": "螺母", "spring": "弹簧"}
PHOTO_WH = (256, 192)
PARTS_A_PHOTO = (1, 1, 2, 2, 3)  # to draw from
LENGTHS = (0.34, 0.58)  # of a part before it is turned, as shares of the photo's height
TWINS = 0.12  # how often a part is of the kind of the one before it
GAP_PX = 3  # between two boxes
TRIES = 60
ORIENTATION, TURNED = 0x0112, 6  # EXIF: stored lying, to be seen after a quarter turn clockwise


def draw_scene(rng: random.Random, size_wh: tuple[int, int] = PHOTO_WH) -> Scene:
    """One photograph: one to three parts that do not touch, each with its shadow, on some surface.

    A part that finds no free place is left out of the picture and of the truth alike; the first is always there.
    """
    noise = np.random.default_rng(rng.getrandbits(64))
    picture = lay_surface(noise, size_wh)
    drawn: list[Drawn] = []
    for _ in range(rng.choice(PARTS_A_PHOTO)):
        category = drawn[-1].category if drawn and rng.random() < TWINS else rng.choice(CATEGORIES)
        part = draw_part(rng, category, round(rng.uniform(*LENGTHS) * size_wh[1]))
        box = _free_place(rng, part, size_wh, drawn)
        if box is None:
            continue
        picture = _put(picture, part, box)
        drawn.append(Drawn(category, box))
    return Scene(to_image(camera_noise(noise, picture)), tuple(drawn))


def draw_scenes(count: int, *, seed: int) -> list[Scene]:
    """`count` photographs, each a function of (seed, its number) alone."""
    return [draw_scene(random.Random(f"parts/{seed}/{number}")) for number in range(count)]


def _free_place(rng: random.Random, part: Part, size_wh: tuple[int, int], drawn: Sequence[Drawn]) -> Box | None:
    """Where the part touches no other, or None after some tries."""
    height, width = part.mask.shape
    for _ in range(TRIES):
        x0, y0 = rng.randint(1, size_wh[0] - width - 1), rng.randint(1, size_wh[1] - height - 1)
        box = (x0, y0, x0 + width, y0 + height)
        if all(_apart(box, other.xyxy_px) for other in drawn):
            return box
    return None


def _apart(a: Box, b: Box) -> bool:
    return a[2] + GAP_PX <= b[0] or b[2] + GAP_PX <= a[0] or a[3] + GAP_PX <= b[1] or b[3] + GAP_PX <= a[1]


def _put(picture: Pixels, part: Part, box: Box) -> Pixels:
    """The picture with the part at its box, upon its shadow."""
    shadow = _shifted(part.mask, box, picture.shape[:2], by=3)
    lit = lay_over(picture, np.zeros_like(picture), 0.45 * shadow)
    mask = _shifted(part.mask, box, picture.shape[:2], by=0)
    fill = np.zeros_like(picture)
    fill[box[1] : box[3], box[0] : box[2]] = part.picture
    return lay_over(lit, fill, mask)


def _shifted(mask: Pixels, box: Box, shape_hw: tuple[int, ...], by: int) -> Pixels:
    """The mask in an empty picture, moved to the right and down by some pixels; what falls out is cut."""
    whole = np.zeros((shape_hw[0] + by, shape_hw[1] + by), dtype=np.float32)
    whole[box[1] + by : box[3] + by, box[0] + by : box[2] + by] = mask
    return whole[: shape_hw[0], : shape_hw[1]]
