"""Which name is offered in place of one that there is not."""

from __future__ import annotations

import pytest

from grounding.closest import did_you_mean

NAMES = ("coco", "voc", "visual_genome", "next_box")


@pytest.mark.parametrize(
    ("word", "meant"),
    [("cocoo", "coco"), ("VOC", "voc"), (" vco ", "voc"), ("visual-genome", "visual_genome"), ("nextbox", "next_box")],
)
def test_the_closest_is_offered(word: str, meant: str) -> None:
    assert did_you_mean(word, NAMES) == f"Did you mean {meant!r}?"


@pytest.mark.parametrize("word", ["", "juggling", "x"])
def test_nothing_is_offered_for_what_is_like_none(word: str) -> None:
    assert did_you_mean(word, NAMES) == ""
    assert did_you_mean("coco", ()) == ""
