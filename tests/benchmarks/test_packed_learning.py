"""The prompts that `benchmarks/packed_learning.py` learns from, and how it compares runs of different speed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.packed_learning import SHOWN, WORDINGS, Point, at, compared, write_data
from grounding.errors import InputError
from grounding.pocket.scenes import draw_scenes
from grounding.samples import read_dataset


def test_every_prompt_is_either_learned_or_kept_back(tmp_path: Path) -> None:
    write_data(tmp_path / "data", 12)
    train, val = (read_dataset(tmp_path / "data" / f"{split}.jsonl").samples for split in ("train", "val"))
    asked = Counter((sample.image, sample.category) for sample in val)
    learned = Counter((sample.image, sample.category) for sample in train)
    assert asked.keys() == learned.keys()
    assert set(asked.values()) == {1} and set(learned.values()) == {len(WORDINGS) - 1}
    assert len({sample.prompt.replace(str(sample.category), "") for sample in val}) == len(WORDINGS)
    assert sum(not sample.boxes for sample in val) == len(val) / 2
    scenes = draw_scenes(12, seed=0)
    for sample in val:
        drawn = scenes[int(Path(str(sample.image)).stem)].objects
        assert sample.boxes == [list(one.xyxy_px) for one in drawn if one.category == sample.category]


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
