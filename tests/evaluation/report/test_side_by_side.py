"""Runs side by side: read from their folders, held against each other question by question, and shown harmlessly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from grounding.errors import InputError
from grounding.evaluation.report.side_by_side import (
    Run,
    changes,
    draw_pairs,
    picture_strip,
    read_run,
    render_side_by_side,
)
from grounding.samples import Dataset
from tests.evaluation.making import NOT_FOUND_TEXT, boxes_text, sample
from tests.evaluation.report.test_write import EVIL, Elements, images, make

TRUE, WRONG = [20.0, 10.0, 60.0, 50.0], [120.0, 50.0, 160.0, 90.0]
SAMPLES = [sample(0, [TRUE]), sample(1, []), sample(2, [TRUE]), sample(3, [TRUE], prompt=EVIL)]
BEFORE = [boxes_text(WRONG), NOT_FOUND_TEXT, boxes_text(TRUE), EVIL]
AFTER = [boxes_text(TRUE), NOT_FOUND_TEXT, boxes_text(WRONG), "no idea"]


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Dataset, Run, Run]:
    root = images(tmp_path, SAMPLES)
    for name, texts in (("before", BEFORE), ("after", AFTER)):
        make(tmp_path / name, SAMPLES, list(texts), root)
    dataset = Dataset(SAMPLES, root, {}, tmp_path / "test.jsonl")
    return dataset, read_run("old", tmp_path / "before"), read_run("new", tmp_path / "after")


def page(runs: tuple[Dataset, Run, Run], **more: Any) -> Elements:
    dataset, before, after = runs
    pairs, thumbnails = draw_pairs(dataset, before, after, most=10, seed=0)
    tile = {"name": "a tile", "before": before.report["metrics"]["acc_50"], "after": after.report["metrics"]["acc_50"]}
    given: dict[str, Any] = {
        "title": "Two runs",
        "lead": "What changed.",
        "groups": [("things", [before, after]), ("others", [before, after])],
        "tiles": [{**tile, "note": "a note"}],
        "pairs": pairs,
        "thumbnails": thumbnails,
        "notes": [("what was said", EVIL)],
        "facts": {"Machine": EVIL},
        "links": {"whole": "reports/whole/report.html"},
    }
    return Elements(render_side_by_side(**{**given, **more}))


def test_what_was_gained_and_lost_is_counted(runs: tuple[Dataset, Run, Run]) -> None:
    assert changes(*runs[1:]) == {"both": 1, "gained": 1, "lost": 1, "neither": 1}
    assert "1 gained (wrong old, right new), 1 lost" in page(runs).text


def test_every_number_stands_in_its_column(runs: tuple[Dataset, Run, Run]) -> None:
    text = " ".join(page(runs).text.split())
    for run in runs[1:]:
        assert f"{100 * run.report['metrics']['mean_iou']['value']:.1f}" in text
    assert "33.3 →" in text and "a tile" in text and "a note" in text


def test_both_answers_are_drawn_with_the_truth(runs: tuple[Dataset, Run, Run]) -> None:
    found = page(runs)
    assert len(found.having("article")) == 4
    assert len(found.having("rect", **{"class": "s-true alone"})) == 5, "0 before, 2 after, 3 both, and the legend"
    assert len(found.having("rect", **{"class": "s-true"})) == 3, "0 after, 2 before, and the legend"
    assert len(found.having("image")) == 4, "each picture once"
    assert "wrong place" in found.text and "rejected" in found.text


def test_texts_of_users_and_models_stay_texts(runs: tuple[Dataset, Run, Run]) -> None:
    found = page(runs)
    assert not found.having("script") and not found.having("img")
    assert found.text.count("{{ 7*7 }}") == 4, "as a prompt, an answer, a note and a fact"


def test_the_draw_is_seeded_and_in_the_order_of_the_data(runs: tuple[Dataset, Run, Run]) -> None:
    draws = [[pair.sample.id for pair in draw_pairs(*runs, most=2, seed=seed)[0]] for seed in range(8)]
    assert draws[0] == [pair.sample.id for pair in draw_pairs(*runs, most=2, seed=0)[0]]
    assert all(draw == sorted(draw) and len(draw) == 2 for draw in draws) and len({tuple(draw) for draw in draws}) > 2


def test_the_strip_shows_one_run_above_the_other(runs: tuple[Dataset, Run, Run]) -> None:
    strip = picture_strip(*runs, most=3)
    assert strip.width == 3 * 256 and strip.height == 2 * (128 + 34)
    answered = {(0xFF, 0x5A, 0x1F), (0x12, 0xA1, 0x50)}
    colours = [{strip.getpixel((x, y)) for x in range(256) for y in range(top, top + 128)} for top in (0, 162)]
    assert answered <= colours[0], "a wrong box beside the true one"


def test_a_folder_without_a_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no report folder"):
        read_run("x", tmp_path)
