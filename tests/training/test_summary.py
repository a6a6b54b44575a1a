"""What a run says before its first step: only what is so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grounding.samples import Dataset
from grounding.settings import FinetuneSettings
from grounding.training.checks import TokenStatistics
from grounding.training.summary import say_notes

STATISTICS = TokenStatistics(9, 0, 20.0, 300, 400, 0)
ASKED = Dataset([], Path(), {}, Path("val.jsonl"))


def settings(**evaluation: Any) -> FinetuneSettings:
    return FinetuneSettings.model_validate(
        {
            "output": "x",
            "model": {"path": "m"},
            "data": {"train": "t.jsonl", "val": "val.jsonl"},
            "evaluation": evaluation,
        }
    )


def test_long_labels_are_told_where_answers_are_made() -> None:
    (note,) = say_notes(settings(), STATISTICS, ASKED)
    assert "labels have up to 300 tokens" in note and note.endswith("evaluation.max_new_tokens=300")
    assert not list(say_notes(settings(max_new_tokens=300), STATISTICS, ASKED))
    assert not list(say_notes(settings(samples=0), STATISTICS, None)), "the setting would have no effect"


def test_settings_that_nothing_reads_are_told() -> None:
    (note,) = say_notes(settings(samples=0, max_new_tokens=300), STATISTICS, None)
    assert note == (
        "Note: evaluation.max_new_tokens has no effect: evaluation.samples is 0, so that nothing is answered."
    )
