"""Samples for the tests: one plain, one with every key, and a strategy for any that is right."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from grounding.samples import LANGUAGES, TASKS, Sample

PLAIN: dict[str, Any] = {
    "id": "a",
    "image": "dogs/1.jpg",
    "width": 640,
    "height": 480,
    "prompt": "Where is dog?",
    "label": "[[086,540,400,760]]",
    "phrase": "dog",
    "category": "dog",
    "boxes": [[55.0, 259.2, 256.0, 364.8]],
}
TEXT: dict[str, Any] = {
    "id": "t",
    "image": None,
    "width": None,
    "height": None,
    "prompt": "Say hello.",
    "label": "Hello.",
    "boxes": None,
    "task": "text",
}


def make(**changes: Any) -> Sample:
    """The plain sample with some keys changed."""
    return Sample(**{**PLAIN, **changes})


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
said = words.filter(lambda text: bool(text.strip()))
number = st.floats(0, 1e6)


@st.composite
def a_box(draw: st.DrawFn) -> list[float]:
    x0, y0 = draw(number), draw(number)
    return [x0, y0, x0 + draw(st.floats(1, 1e6)), y0 + draw(st.floats(1, 1e6))]


@st.composite
def any_sample(draw: st.DrawFn) -> Sample:
    """Any sample that `problems` finds nothing in."""
    with_image = draw(st.booleans())
    boxes = draw(st.none() | st.lists(a_box(), max_size=3)) if with_image else None
    sized = with_image and (boxes is not None or draw(st.booleans()))
    return Sample(
        id=draw(said),
        image=draw(said) if with_image else None,
        width=draw(st.integers(1, 10**6)) if sized else None,
        height=draw(st.integers(1, 10**6)) if sized else None,
        prompt=draw(st.sampled_from(["", "<image>", "<image>\n", "x\n<image>"])) + draw(words),
        label=draw(said),
        phrase=draw(st.none() | words),
        category=draw(st.none() | words),
        boxes=boxes,
        categories=None if boxes is None or draw(st.booleans()) else [draw(words) for _ in boxes],
        ignore=draw(st.lists(a_box(), max_size=2)) if boxes is not None else [],
        task=draw(st.sampled_from(TASKS)),
        lang=draw(st.sampled_from(LANGUAGES)),
        upright=draw(st.booleans()),
        history=draw(st.lists(st.tuples(words, words), max_size=2)),
    )
