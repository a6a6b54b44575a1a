"""The prompts that `benchmarks/packed_learning.py` learns from, and how it compares runs of different speed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from benchmarks import packed_learning
from benchmarks.packed_learning import SHOWN, Point, at, compared
from grounding.errors import InputError
from grounding.samples import read_dataset


def test_photographs_asked_about_are_not_those_learned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_learning, "PHOTOS", 12)
    monkeypatch.setattr(packed_learning, "UNSEEN", 8)
    packed_learning.write_data(tmp_path / "data")
    sets = [read_dataset(tmp_path / "data" / name / "train.jsonl") for name in ("train", "val")]
    pictures = [
        {hashlib.sha256((data.image_root / str(sample.image)).read_bytes()).digest() for sample in data.samples}
        for data in sets
    ]
    assert len(pictures[0]) > len(pictures[1]) > 0 and not pictures[0] & pictures[1]
    for data in sets:
        absent = sum(not sample.boxes for sample in data.samples)
        assert absent == 2 * (len(data.samples) - absent)


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
