"""What parts lie on, as a camera sees it: planks, brushed steel, concrete, a mat, cloth; uneven light and noise.

Knows pixels alone. Noise is summed over scales, each drawn coarse and enlarged (value noise).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from PIL import Image

from grounding.pocket.drawing import Pixels

Surface: TypeAlias = Callable[[np.random.Generator, tuple[int, int]], Pixels]
"""Draws float[H, W, 3] in about 0..255, of a size (width, height) in pixels."""


def smooth_noise(rng: np.random.Generator, size_wh: tuple[int, int], cells_wh: tuple[int, int]) -> Pixels:
    """float32[H, W] in about -1..1: a grid of so many random numbers, enlarged to the size bicubically."""
    coarse = Image.fromarray(rng.uniform(-1, 1, cells_wh[::-1]).astype(np.float32), mode="F")
    return np.asarray(coarse.resize(size_wh, Image.Resampling.BICUBIC))


def wood(rng: np.random.Generator, size_wh: tuple[int, int]) -> Pixels:
    """Planks with grain along them."""
    width, height = size_wh
    light = np.array([rng.uniform(150, 205), rng.uniform(105, 150), rng.uniform(62, 98)])
    grain = smooth_noise(rng, size_wh, (3, height // 6)) + 0.6 * smooth_noise(rng, size_wh, (6, height // 2))
    planks = np.zeros((height, width))
    for edge in range(int(rng.integers(8, 30)), height, int(rng.integers(38, 70))):
        planks[edge : edge + 2] = -70
    return np.asarray(light * (1 + 0.11 * grain[..., None]) + planks[..., None], dtype=np.float32)


def brushed_steel(rng: np.random.Generator, size_wh: tuple[int, int]) -> Pixels:
    """Fine streaks in one direction."""
    width, height = size_wh
    base = rng.uniform(110, 175)
    streaks = smooth_noise(rng, size_wh, (4, height)) + 0.5 * smooth_noise(rng, size_wh, (width // 8, height // 2))
    return (base + 14 * streaks)[..., None] * np.array([0.97, 1.0, 1.04])


def concrete(rng: np.random.Generator, size_wh: tuple[int, int]) -> Pixels:
    """Grey blotches of all sizes, with pores."""
    width, height = size_wh
    base = rng.uniform(125, 185)
    blotches = sum(smooth_noise(rng, size_wh, (cells, cells)) / (1 + level) for level, cells in enumerate((3, 9, 30)))
    pores = -55 * (rng.random((height, width)) > 0.994)
    return (base + 16 * blotches + pores)[..., None] * np.array([1.02, 1.0, 0.96])


def cutting_mat(rng: np.random.Generator, size_wh: tuple[int, int]) -> Pixels:
    """A green or blue mat with a pale grid of lines."""
    width, height = size_wh
    colour = np.array([[38, 92, 74], [34, 66, 104]][int(rng.integers(2))], dtype=np.float32) * rng.uniform(0.8, 1.25)
    step, left, top = int(rng.integers(20, 34)), int(rng.integers(20)), int(rng.integers(20))
    lines = np.zeros((height, width))
    lines[top::step] = lines[:, left::step] = 38
    return np.asarray(colour + lines[..., None] + 5 * smooth_noise(rng, size_wh, (12, 9))[..., None], dtype=np.float32)


def cloth(rng: np.random.Generator, size_wh: tuple[int, int]) -> Pixels:
    """A rag with a weave and soft folds."""
    width, height = size_wh
    colour = np.array([[168, 62, 52], [62, 82, 138], [176, 164, 142]][int(rng.integers(3))], dtype=np.float32)
    rows, columns = np.mgrid[0:height, 0:width]
    weave = 9.0 * (((rows // 2) + (columns // 2)) % 2)
    folds = 26 * smooth_noise(rng, size_wh, (4, 3))
    return colour + (weave + folds)[..., None]


SURFACES: dict[str, Surface] = {
    "brushed_steel": brushed_steel,
    "cloth": cloth,
    "concrete": concrete,
    "cutting_mat": cutting_mat,
    "wood": wood,
}


def lay_surface(rng: np.random.Generator, size_wh: tuple[int, int]) -> Pixels:
    """One of the surfaces, float32[H, W, 3], under a light that comes from one side."""
    names = sorted(SURFACES)
    ground = SURFACES[names[int(rng.integers(len(names)))]](rng, size_wh)
    light = 1 + 0.16 * smooth_noise(rng, size_wh, (2, 2))
    return (ground * light[..., None]).astype(np.float32)


def camera_noise(rng: np.random.Generator, picture: Pixels, deviation: float = 4.0) -> Pixels:
    """The picture with the sensor's noise, of so many of 255 steps, on every pixel and channel."""
    return picture + np.float32(deviation) * rng.standard_normal(picture.shape, dtype=np.float32)
