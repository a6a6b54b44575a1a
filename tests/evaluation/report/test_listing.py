"""What the gallery lists: the worst and an even draw, and columns that say what samples.jsonl says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from grounding.evaluation.evaluate import Evaluation, evaluate
from grounding.evaluation.mistakes import KINDS
from grounding.evaluation.parse import judge
from grounding.evaluation.report import gallery
from grounding.evaluation.report.gallery import make_gallery, worst_and_others
from grounding.evaluation.report.listing import listing
from grounding.evaluation.report.write import write_rows
from tests.evaluation.making import boxes_text, predictions, random_set, sample


def listed(evaluation: Evaluation, folder: Path) -> dict[str, Any]:
    return listing(evaluation, make_gallery(evaluation, folder, folder, most=0))


@given(st.integers(0, 500), st.integers(0, 500))
def test_half_are_the_worst_and_the_others_spread_evenly(count: int, most: int) -> None:
    chosen = worst_and_others(count, most).tolist()
    assert len(chosen) == len(set(chosen)) == min(count, most)
    assert all(0 <= place < count for place in chosen)
    if most < count:
        worst, others = chosen[::2], chosen[1::2]
        assert worst == list(range(len(worst)))
        steps = np.diff(others)
        assert not len(steps) or steps.max() - steps.min() <= 1


@pytest.mark.parametrize("seed", range(5))
def test_columns_say_what_the_rows_say(tmp_path: Path, seed: int) -> None:
    samples, texts = random_set(seed, 60)
    samples.insert(3, sample(90, None, task="presence"))
    texts.insert(3, "yes")
    evaluation = evaluate(samples, predictions(*texts))
    write_rows(tmp_path / "samples.jsonl", evaluation)
    rows = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text("utf-8").splitlines()]
    shown = listed(evaluation, tmp_path)
    columns = shown["columns"]
    assert shown["total"] == 60 and {len(column) for column in columns.values()} == {60}
    assert sorted(columns["place"]) == [place for place, row in enumerate(rows) if row["status"] is not None]
    for number, place in enumerate(columns["place"]):
        row, told = rows[place], {name: column[number] for name, column in columns.items()}
        assert (told["id"], told["prompt"], told["answer"]) == (row["id"], row["prompt"], row["text"])
        assert (told["reason"], shown["outcomes"][told["outcome"]]) == (row["reason"], row["outcome"])
        assert shown["classes"][told["class"]] == row["category"] and shown["images"][told["image"]] == row["image"]
        assert [iou / 1000 for iou in told["ious"]] == pytest.approx(row["ious"], abs=6e-4)
        mean = np.mean(row["ious"]) if row["ious"] else -0.001
        assert told["iou"] / 1000 == pytest.approx(mean, abs=6e-4)
        assert [None if true < 0 else true for true in told["on"]] == row["matched"]
        assert [state == 2 for state in told["state"]] == row["left_out"]
        assert told["refusals"] == [refusal["reason"] for refusal in row["refusals"]]
        for name, boxes in (("true", row["true_px"]), ("boxes", row["boxes_px"]), ("ignore", row["ignore_px"])):
            corners = np.array(told[name]).reshape(-1, 4) / 10
            corners[:, 2:] += corners[:, :2]
            assert corners == pytest.approx(np.array(boxes).reshape(-1, 4), abs=0.11)
    quality = [rows[place]["quality"] for place in columns["place"]]
    assert quality == sorted(quality), "worst first"


def test_mistakes_and_sizes_are_bits(tmp_path: Path) -> None:
    true, wide = [20.0, 10.0, 40.0, 30.0], [60.0, 1.0, 160.0, 99.0]
    samples = [sample(0, [true, wide]), sample(1, [])]
    shown = listed(evaluate(samples, predictions(boxes_text(true, true, [20, 10, 40, 100]), "?")), tmp_path)
    columns = shown["columns"]
    kinds = {
        name: {kind for bit, kind in enumerate(KINDS) if bits >> bit & 1}
        for name, bits in zip(columns["id"], columns["mistakes"], strict=True)
    }
    assert kinds == {"s0": {"duplicate", "localisation", "missed"}, "s1": {"unreadable"}}
    assert dict(zip(columns["id"], columns["sizes"], strict=True)) == {"s0": 0b101, "s1": 0}
    assert columns["found"][columns["id"].index("s0")] == [1, 0]


def test_scores_stand_beside_their_boxes_or_are_left_out(tmp_path: Path) -> None:
    samples = [sample(number, [[20.0, 10.0, 60.0, 50.0]]) for number in range(2)]
    given = predictions(*[boxes_text([20, 10, 60, 50], [1, 1, 9, 9])] * 2)
    assert given[0] is not None and len(judge(given[0].text).xyxy_grid) == 2
    given[0] = replace(given[0], scores=[-0.25, -1.5])
    columns = listed(evaluate(samples, given), tmp_path)["columns"]
    assert dict(zip(columns["id"], columns["scores"], strict=True)) == {"s0": [-0.25, -1.5], "s1": []}


def test_of_a_large_set_a_part_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "LISTED", 10)
    samples, texts = random_set(2, 40)
    evaluation = evaluate(samples, predictions(*texts))
    shown = listed(evaluation, tmp_path)
    quality = evaluation.scored.quality[shown["columns"]["place"]]
    assert shown["total"] == 40 and len(quality) == 10
    assert quality.tolist() == sorted(quality) and quality[-1] > 0.9 > quality[0]
