"""The pictures that `benchmarks/packed_learning.py` learns from, and how it compares runs of different speed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.packed_learning import COLOURS, SHOWN, SIDE, Point, at, compared, draw_squares, write_data
from grounding.errors import InputError
from grounding.samples import read_dataset


def test_boxes_are_where_the_squares_are() -> None:
    for seed in range(20):
        image, boxes = draw_squares(random.Random(seed))
        painted = {
            colour: [place for place in _places() if image.getpixel(place) == COLOURS[colour]] for colour in boxes
        }
        for colour, found in boxes.items():
            inside = [(x, y) for x, y in _places() if any(x0 <= x < x1 and y0 <= y < y1 for x0, y0, x1, y1 in found)]
            assert inside == painted[colour]
        assert sum(map(len, boxes.values())) == 2


def _places() -> list[tuple[int, int]]:
    return [(x, y) for y in range(0, SIDE, 4) for x in range(0, SIDE, 4)]


def test_no_picture_is_both_learned_and_asked(tmp_path: Path) -> None:
    write_data(tmp_path / "data", train=150, val=20)
    pictures = {
        split: {
            Image.open(tmp_path / "data" / str(sample.image)).tobytes()
            for sample in read_dataset(tmp_path / "data" / f"{split}.jsonl").samples
        }
        for split in ("train", "val")
    }
    assert pictures["val"] and not pictures["train"] & pictures["val"]


def run_of(seconds: float, gain: float) -> list[Point]:
    """A run that is evaluated after every 10 prompts, each time with so much better numbers."""
    return [
        {"prompts": 10.0 * number, "cpu_s": seconds * number, **dict.fromkeys(SHOWN, gain * number)}
        for number in range(1, 5)
    ]


def test_ways_are_compared_at_equal_prompts_and_at_equal_time() -> None:
    """Packed learns less from a prompt, and takes a third of the time for it."""
    rows = compared({"shuffled": [run_of(3.0, 0.2), run_of(3.0, 0.1)], "packed": [run_of(1.0, 0.1), run_of(1.5, 0.1)]})
    assert rows["equal prompts, shuffled"]["acc_50"] == pytest.approx(0.6)
    assert rows["equal prompts, packed"]["acc_50"] == pytest.approx(0.4)
    assert rows["equal prompts, shuffled"]["acc_50_sd"] == pytest.approx(0.2 * 2**0.5)
    # 4 and 6 seconds: a third of the way from the first to the second evaluation, and the second.
    assert rows["equal CPU time, shuffled"]["acc_50"] == pytest.approx((0.2 * 4 / 3 + 0.1 * 2) / 2)
    assert rows["equal CPU time, shuffled"]["prompts"] == pytest.approx((40 / 3 + 20) / 2)
    assert rows["equal CPU time, packed"] == rows["equal prompts, packed"]


def test_beyond_its_evaluations_nothing_is_known_of_a_run() -> None:
    with pytest.raises(InputError, match="evaluated from 10 to 40 prompts, not at 5"):
        at(run_of(1.0, 0.1), "prompts", 5)
