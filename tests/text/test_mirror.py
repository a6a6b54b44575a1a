"""Mirrored texts: sides swap and nothing else does, twice is as before, and boxes are those of the mirrored picture."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grounding.text import (
    GEOMETRIES,
    expressions,
    fill_expression,
    load_wordings,
    mirror_boxes,
    mirror_words,
    read_boxes,
    to_grid,
    write_boxes,
)
from grounding.text.prompts import LANGUAGES, tasks

SAMPLES = [(task, lang, w) for task in tasks() for lang in LANGUAGES for w in load_wordings(task, lang)]


@pytest.mark.parametrize(
    ("text", "mirrored"),
    [
        ("the leftmost dog", "the rightmost dog"),
        ("the second RBC from the left", "the second RBC from the right"),
        ("Left-hand door, RIGHT side", "Right-hand door, LEFT side"),
        ("man on left, in the right half", "man on right, in the left half"),
        ("the one left of the tree", "the one right of the tree"),
        ("左起第二个红细胞，最右边的杯子", "右起第二个红细胞，最左边的杯子"),
        ("左右两侧的门", "左右两侧的门"),
        ("a bright cat", "a bright cat"),
        ("nothing to say", "nothing to say"),
        (
            "Show it with left, top, right and bottom as numbers.",
            "Show it with left, top, right and bottom as numbers.",
        ),
        ("请用左上角和右下角坐标指出左边的狗", "请用左上角和右下角坐标指出右边的狗"),
        ("from the top left corner and the left", "from the top right corner and the right"),
    ],
)
def test_sides_are_swapped(text: str, mirrored: str) -> None:
    assert mirror_words(text) == mirrored
    assert mirror_words(mirrored) == text


@pytest.mark.parametrize(
    "text",
    [
        "the only cake that is left",
        "what is left on the plate",
        "leftover food",
        "the sign says turn right",
        "the man right in front",
        "it is all right",
        "a left-handed player",
        "right now",
        "the cars turning clockwise",
        "右键菜单",
        "左轮手枪",
        "顺时针第二个",
    ],
)
def test_what_swapping_cannot_say_is_told(text: str) -> None:
    assert mirror_words(text) is None


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_geometry_has_phrases_and_they_swap_like_it(geometry: str, lang: str) -> None:
    swapped = {"left": "right", "right": "left"}
    side = next((side for side in swapped if geometry.startswith(side)), "")
    other = swapped.get(side, "") + geometry.removeprefix(side)
    phrases = expressions(geometry, lang)
    assert phrases and all(phrase.count("{phrase}") == 1 for phrase in phrases)
    assert tuple(mirror_words(phrase) for phrase in phrases) == expressions(other, lang)
    assert fill_expression(phrases[0], "a {phrase}").count("a {phrase}") == 1


@pytest.mark.parametrize(("task", "lang", "wording"), SAMPLES, ids=[w.prompt for _, _, w in SAMPLES])
def test_every_packaged_wording_stays_as_it_is(task: str, lang: str, wording: object) -> None:
    prompt, answer = wording  # type: ignore[misc]
    assert (mirror_words(prompt), mirror_words(answer)) == (prompt, answer)


@given(st.lists(st.tuples(*[st.integers(0, 99)] * 2, *[st.integers(1, 60)] * 2), min_size=1, max_size=6))
def test_boxes_are_those_of_the_mirrored_picture(some: list[tuple[int, int, int, int]]) -> None:
    size = (160, 160)
    boxes = [[float(x), float(y), float(x + w), float(y + h)] for x, y, w, h in some]
    mirrored = [[160 - x1, y0, 160 - x0, y1] for x0, y0, x1, y1 in boxes]
    text, expected = (f"A {write_boxes(b, size).text}." for b in (boxes, mirrored))
    pairs = [map(tuple, to_grid(b, size)[0].tolist()) for b in (boxes, mirrored)]
    exact = dict(zip(*pairs, strict=True))
    assert mirror_boxes(text, exact) == expected  # type: ignore[arg-type]
    # From cells alone they may be a cell off.
    near, true = read_boxes(mirror_boxes(text, {}) or ""), read_boxes(expected)
    assert abs(sorted(near.xyxy_grid[:, 0]) - true.xyxy_grid[true.xyxy_grid[:, 0].argsort(), 0]).max() <= 1


def test_the_form_in_a_prompt_stays_and_what_is_not_as_written_is_told() -> None:
    assert mirror_boxes("as [[x0,y0,x1,y1]]: [[000,100,250,200]]", {}) == "as [[x0,y0,x1,y1]]: [[750,100,999,200]]"
    assert mirror_boxes("[[900,100,999,200]]", {}) == "[[000,100,100,200]]"
    for text in ("[[1,2,3,4]]", "[[000,100,250]] and [[x]]"):
        assert mirror_boxes(text, {}) is None
