"""What the main report says of a set that rode along: its headline, and what the untuned base had there.

Knows the set's own report; what is written of it stands under `also` in report.json.
"""

from __future__ import annotations

from typing import Any

from grounding.cli.answers import Answered, Asked
from grounding.evaluation.comparison import numbers
from grounding.evaluation.comparison.measures import COMPARED
from grounding.evaluation.comparison.runs import ALSO, Run
from grounding.evaluation.report.headline import pick


def rider(asked: Asked, answers: Answered, report: dict[str, Any], *, seed: int) -> dict[str, Any]:
    """The set's entry: where its report lies, its headline rates, and those of the base with the differences to them.

    Returns:
        `folder` (below the report), `data` and `sha256`, `n`, `metrics` {measure: rate}; `base` and `differences` of
        the same form, null where the base did not answer; a difference is this run's rate less that of the base.
    """
    entry: dict[str, Any] = {
        "folder": f"{ALSO}/{asked.name}",
        "data": report["data"]["file"],
        "sha256": report["data"]["sha256"],
        "n": report["metrics"]["n"],
        "metrics": {key: pick(report["metrics"], key) for key in COMPARED},
        "base": None,
        "differences": None,
    }
    if answers.base is None or not entry["n"]:
        return entry
    samples = list(asked.dataset.samples)
    base, tuned = (
        numbers.measure(Run(heading, asked.out, report, samples, given))
        for heading, given in (("untuned base", answers.base), ("this run", answers.predictions))
    )
    found = numbers.headline([base, tuned], seed=seed)
    entry["base"] = {key: one["rates"][0] for key, one in found.items()}
    entry["differences"] = {key: one["differences"][0] for key, one in found.items()}
    return entry
