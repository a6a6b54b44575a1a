"""What is singled out is so by a margin, whatever the boxes; mirrored and transposed pictures say the same, swapped."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_tools.tasks.clear_cases import APART, APART_OUTERMOST, LARGER, SEEN, clear_cases
from grounding.text import GEOMETRIES

SIDE = 1000
SWAPPED = {"left": "right", "right": "left"}
TRANSPOSED = {"left": "top", "right": "bottom", "top": "left", "bottom": "right"}


@st.composite
def boxes(draw: Any) -> list[list[float]]:
    corner, extent = st.integers(0, 800), st.integers(60, 200)
    some = st.tuples(corner, corner, extent, extent)
    drawn = draw(st.lists(some, min_size=0, max_size=7))
    return [[float(x), float(y), float(x + w), float(y + h)] for x, y, w, h in drawn]


def renamed(cases: dict[str, int], words: dict[str, str]) -> dict[str, int]:
    def name(geometry: str) -> str:
        side = next((side for side in words if geometry.startswith(side)), "")
        return words.get(side, side) + geometry.removeprefix(side)

    return {name(geometry): number for geometry, number in cases.items()}


@given(boxes())
def test_what_a_phrase_says_is_true_by_a_margin(some: list[list[float]]) -> None:
    cases = clear_cases(some, (SIDE, SIDE))
    assert set(cases) <= set(GEOMETRIES)
    centres = [((x0 + x1) / 2, (y0 + y1) / 2) for x0, y0, x1, y1 in some]
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in some]
    for geometry, number in cases.items():
        others = [n for n in range(len(some)) if n != number]
        if geometry == "largest":
            assert all(areas[number] >= LARGER * areas[n] for n in others)
        elif geometry == "smallest":
            assert all(areas[n] >= LARGER * areas[number] for n in others)
        else:
            side = geometry.removesuffix("most").split("_")[0]
            place = 1 if geometry.endswith("most") else int(geometry[-1])
            axis, sign = (0 if side in SWAPPED else 1), (1 if side in ("left", "top") else -1)
            ahead = [n for n in others if sign * (centres[number][axis] - centres[n][axis]) >= APART * SIDE]
            behind = [n for n in others if sign * (centres[n][axis] - centres[number][axis]) >= APART * SIDE]
            assert len(ahead) == place - 1
            assert len(ahead) + len(behind) == len(others)
            assert place == 1 or behind
            if place == 1:
                ends = [sign * box[axis if sign == 1 else axis + 2] for box in some]
                assert all(ends[n] - ends[number] >= APART_OUTERMOST * SIDE for n in others)


@given(boxes())
def test_a_mirrored_picture_swaps_the_sides(some: list[list[float]]) -> None:
    mirrored = [[SIDE - x1, y0, SIDE - x0, y1] for x0, y0, x1, y1 in some]
    assert clear_cases(mirrored, (SIDE, SIDE)) == renamed(clear_cases(some, (SIDE, SIDE)), SWAPPED)


@given(boxes())
def test_a_transposed_picture_swaps_the_axes(some: list[list[float]]) -> None:
    transposed = [[y0, x0, y1, x1] for x0, y0, x1, y1 in some]
    assert clear_cases(transposed, (SIDE, SIDE)) == renamed(clear_cases(some, (SIDE, SIDE)), TRANSPOSED)


def row(*starts: float, size: float = 100) -> list[list[float]]:
    return [[start, 400, start + size, 400 + size] for start in starts]


@pytest.mark.parametrize(
    ("some", "expected"),
    [
        (row(100), {}),  # one is not singled out
        (row(100, 300), {"leftmost": 0, "rightmost": 1}),  # the last of two is not called the second
        (row(100, 300, 500), {"leftmost": 0, "rightmost": 2, "left_2": 1, "right_2": 1}),
        (row(100, 300, 320, 700), {"leftmost": 0, "rightmost": 3}),  # two in the middle stand together
        (row(100, 120), {}),
        ([[100, 400, 300, 500], [100, 400, 420, 500]], {}),  # they begin at the same place
        ([[100, 400, 300, 500], [130, 400, 600, 500]], {"rightmost": 1}),  # they begin nearly at the same place
        ([*row(100), [100, 400, 102, 402]], {}),  # one is so small that it could be overlooked
        ([[400, 400, 700, 700], [425, 425, 525, 525]], {"largest": 0, "smallest": 1}),
        ([[0, 400, 300, 700], [0, 500, 100, 600]], {"largest": 0}),  # the small one goes on outside
        ([[400, 400, 700, 700], [400, 400, 700, 700]], {}),
    ],
)
def test_cases_by_hand(some: list[list[float]], expected: dict[str, int]) -> None:
    found = clear_cases(some, (SIDE, SIDE))
    assert {name: n for name, n in found.items() if not name.startswith(("top", "bottom"))} == expected


def test_the_size_of_the_image_decides_what_is_overlooked() -> None:
    assert clear_cases(row(100, 300), (SIDE, SIDE))
    assert not clear_cases(row(100, 300), (int(100 / SEEN) + 1, int(100 / SEEN) + 1))
