"""Outlines, fills and boxes: a mask fills its frame, a box is tight, and nothing is random but the generator."""

from __future__ import annotations

import random

import numpy as np
import pytest

from grounding.pocket.drawing import (
    BACKGROUNDS,
    TEXTURES,
    background,
    lay_over,
    mask_of,
    regular,
    shade_of,
    star,
    tight_box,
    to_image,
)
from grounding.pocket.scenes import SHAPES


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size_wh", [(22, 16), (40, 40), (31, 56)])
def test_an_outline_touches_all_four_sides_of_its_frame(shape: str, size_wh: tuple[int, int]) -> None:
    mask = mask_of(SHAPES[shape], size_wh)
    assert mask.shape == size_wh[::-1]
    assert mask.min() >= 0 and mask.max() == 1
    assert tight_box(mask > 0) == (0, 0, *size_wh)


def test_a_second_polygon_makes_a_hole() -> None:
    disc, ring = mask_of((regular(48),), (40, 40)), mask_of((regular(48), regular(48, radius=0.5)), (40, 40))
    assert disc[20, 20] == 1 and ring[20, 20] == 0
    assert ring.sum() == pytest.approx(disc.sum() * 0.75, rel=0.03)


def test_a_star_has_twice_as_many_corners_as_points() -> None:
    assert len(star(5, inner=0.4)) == 10


def test_a_box_is_tight() -> None:
    mask = np.zeros((9, 12), dtype=bool)
    mask[2:5, 7:11] = True
    assert tight_box(mask) == (7, 2, 11, 5)
    with pytest.raises(ValueError, match="empty"):
        tight_box(np.zeros((3, 3), dtype=bool))


@pytest.mark.parametrize("fill", [*TEXTURES.values(), *BACKGROUNDS.values()])
def test_a_fill_is_a_function_of_the_generator(fill) -> None:
    colours = (np.array([200, 30, 30], dtype=np.float32), shade_of((200, 30, 30)))
    first, second = (fill(random.Random(3), (24, 18), colours) for _ in range(2))
    assert first.shape == (18, 24, 3) and first.dtype == np.float32
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("kind", BACKGROUNDS)
def test_backgrounds_leave_room_for_black_and_white(kind: str) -> None:
    for seed in range(20):
        picture = background(random.Random(seed), (32, 32), kinds=[kind])
        assert 70 < picture.mean() < 225


def test_laying_over_mixes_by_the_mask() -> None:
    below, above = np.zeros((1, 3, 3), dtype=np.float32), np.full((1, 3, 3), 100, dtype=np.float32)
    mask = np.array([[0, 0.5, 1]], dtype=np.float32)
    assert np.asarray(to_image(lay_over(below, above, mask)))[0, :, 0].tolist() == [0, 50, 100]
