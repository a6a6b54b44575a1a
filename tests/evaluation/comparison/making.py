"""Makes report folders to be compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grounding.evaluation.comparison.compare import Comparison, compare
from grounding.evaluation.comparison.runs import read_runs
from grounding.evaluation.evaluate import evaluate
from grounding.evaluation.report.write import summarise, write_rows
from grounding.samples import Sample, write_json_atomic
from tests.evaluation.making import NOT_FOUND_TEXT, boxes_text, predictions, sample

TRUE, WRONG = [20.0, 10.0, 60.0, 50.0], [120.0, 50.0, 160.0, 90.0]
SAMPLES = [sample(0, [TRUE]), sample(1, []), sample(2, [TRUE]), sample(3, [TRUE, WRONG])]
BEFORE = [boxes_text(WRONG), NOT_FOUND_TEXT, boxes_text(TRUE), "no idea"]
AFTER = [boxes_text(TRUE), NOT_FOUND_TEXT, boxes_text(WRONG), boxes_text(TRUE)]


def write_run(
    out: Path, samples: Sequence[Sample], texts: Sequence[str | None], *, also: Any = None, **more: Any
) -> dict[str, Any]:
    """What of a report folder of such answers is compared."""
    data = {
        "file": "data/test.jsonl",
        "name": "test.jsonl",
        "sha256": more.pop("sha256", "0" * 64),
        "image_root": str(more.pop("image_root", out)),
        "not_found": {},
        "samples_in_file": len(samples),
        "limit": None,
    }
    about = {"data": data, "answers": {"name": more.pop("name", "a model")}, "settings": {"seed": 0}, "versions": {}}
    evaluation = evaluate(samples, predictions(*texts), **more)
    report = summarise(evaluation, {**about, "also": also or {}})
    out.mkdir(parents=True, exist_ok=True)
    write_rows(out / "samples.jsonl", evaluation)
    write_json_atomic(out / "report.json", report)
    return report


def compared(folder: Path, *runs: Sequence[str | None], samples: Sequence[Sample] = SAMPLES) -> Comparison:
    """Runs with such answers to the same samples, compared; their headings are a, b, ..."""
    for name, texts in zip("abc", runs, strict=False):
        write_run(folder / name, samples, texts)
    return compare(read_runs([(None, folder / name) for name, _ in zip("abc", runs, strict=False)]))
