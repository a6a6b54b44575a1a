"""Unreadable parts beside good boxes leave every rate; they are counted and said, so that nobody overlooks them."""

from __future__ import annotations

from grounding.evaluation.evaluate import score
from grounding.evaluation.predictions import Prediction
from grounding.evaluation.report.headline import warnings
from grounding.samples import Sample


def test_they_are_counted_apart_by_reason() -> None:
    def sample(name: str, boxes: list[list[float]]) -> Sample:
        box = {"prompt": "?", "label": "?", "phrase": "cat", "category": "cat", "boxes": boxes}
        return Sample(id=name, image="a.png", width=1000, height=1000, **box)

    samples = [sample("a", [[100, 100, 200, 200]]), sample("b", [[100, 100, 200, 200]]), sample("c", [])]
    texts = ["[[100,100,200,200;900,100,100,900;900,1,100,2]]", "[[100,100,200,200;1,2,3]]", "[[1,2,3]]"]
    metrics = score(samples, [Prediction(id=one.id, text=text) for one, text in zip(samples, texts, strict=True)])
    assert metrics["refused_parts"] == {"n": 3, "samples": 2, "by_reason": {"inverted": 2, "count": 1}}
    assert metrics["unparsable"]["n"] == 1  # the answer without any good box is told there, and not here again
    assert metrics["precision_50"]["value"] == 1.0

    report = {
        "data": {"limit": None},
        "missing_predictions": 0,
        "constrained_predictions": 0,
        "protocol": {"name": "default"},
        "metrics": metrics,
    }
    assert any("2 answers with boxes also hold unreadable parts, 3 in all" in said for said in warnings(report))
