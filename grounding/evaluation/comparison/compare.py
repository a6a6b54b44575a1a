"""Several runs over the same samples held against the first of them: all that compare.json holds.

Joins numbers and changes; does not know pages, pictures or the command line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grounding import __version__
from grounding.counted import counted
from grounding.evaluation.comparison import numbers
from grounding.evaluation.comparison.changes import Changes, changes_of, told
from grounding.evaluation.comparison.numbers import SURE, Answered
from grounding.evaluation.comparison.runs import Run, notes, settings_that_differ
from grounding.evaluation.intervals import FEW, RESAMPLES, check_seed
from grounding.evaluation.paired import FEW_DIFFER
from grounding.evaluation.parse import STATUSES
from grounding.evaluation.ranking import STATISTICS
from grounding.evaluation.report.headline import pick

SAME = 1e-9  # two ways of adding up the same numbers


@dataclass(frozen=True)
class Comparison:
    """Runs, measured, and what they have to say of each other.

    Attributes:
        runs: the first is the one that the others are held against.
        changes: of each other run, in their order.
        table: what compare.json holds.
    """

    runs: tuple[Answered, ...]
    changes: tuple[Changes, ...]
    table: dict[str, Any]


def compare(runs: Sequence[Run], *, seed: int = 0) -> Comparison:
    """Two runs or more, as `runs.read_runs` gives them, held against the first.

    Args:
        seed: of the intervals.
    """
    check_seed(seed)
    measured = tuple(numbers.measure(run) for run in runs)
    base, *others = measured
    changes = tuple(changes_of(base, other) for other in others)
    truth = base.scored.truth
    asked = len(truth.samples) > 0
    headline = numbers.headline(measured, seed=seed) if asked else {}
    unlike = [note for one in measured for note in _measured_otherwise(one, seed)]
    table = {
        "runs": [_about(run) for run in runs],
        "data": runs[0].report["data"],
        "n": len(truth.samples),
        "notes": [*notes(runs), *unlike, *_too_few_images(base, headline)],
        "settings": settings_that_differ(runs),
        "headline": headline,
        "breakdowns": numbers.breakdowns(measured, seed=seed) if asked else {},
        "mistakes": numbers.mistakes(measured, seed=seed) if asked else {},
        "found_by_both": [numbers.found_by_both(base, other, seed=seed) for other in others] if asked else [],
        "statuses": {name: [int((one.scored.status == name).sum()) for one in measured] for name in STATUSES},
        "average_precision": _average_precision(runs),
        "changes": [told(base, other, change) for other, change in zip(others, changes, strict=True)],
        "other_tasks": numbers.other_tasks(runs, seed=seed),
        "intervals": {"level": 0.95, "resamples": RESAMPLES, "wilson_below": FEW, "few_differ_below": FEW_DIFFER},
        "seed": seed,
        "version": __version__,
    }
    return Comparison(measured, changes, table)


def _about(run: Run) -> dict[str, Any]:
    return {
        "heading": run.heading,
        "folder": str(run.folder),
        "answers": run.report.get("answers", {}),
        "protocol": run.protocol,
        "dialect": run.dialect,
        "made": run.report.get("made"),
    }


def _average_precision(runs: Sequence[Run]) -> dict[str, list[Any]] | None:
    """The reports' own average precisions with their own intervals, where all runs have scores; they are not paired."""
    tables = [run.report.get("average_precision", {}) for run in runs]
    names = [name for name in STATISTICS[:3] if all(name in table for table in tables)]
    return {name: [table[name] for table in tables] for name in names} or None


def _too_few_images(base: Answered, headline: Mapping[str, Any]) -> list[str]:
    """That no test of the headline can tell anything, where it cannot: they swap the answers of whole images.

    Of M images the most extreme of 2**M ways to swap has a two-sided p of 2**(1 - M), and Holm's correction multiplies
    the least of K by K.
    """
    tests = len(numbers.telling_tests(headline.values()))
    images = len(np.unique(base.scored.truth.images))
    least = 2.0 ** (1 - images)
    if not tests or least * tests < SURE:
        return []
    return [
        f"Only {counted(images, 'image')}: even where every one changes alike, p is {least:.2g} before it is corrected "
        f"for {counted(tests, 'test')}, so that nothing of the headline can be told from chance (p < {SURE}). Measure "
        "more images."
    ]


def _measured_otherwise(one: Answered, seed: int) -> list[str]:
    """That a report was made by a version which measured differently, if it was."""
    now = numbers.headline([one], seed=seed) if len(one.scored.truth.samples) else {}
    unlike = []
    for key in now:
        try:
            before = pick(one.run.report["metrics"], key)["value"]
        except (KeyError, TypeError):
            continue  # an older report without this measure
        value = now[key]["rates"][0]["value"]
        if (value is None) != (before is None) or (value is not None and abs(value - before) > SAME):
            unlike.append(key)
    if not unlike:
        return []
    return [
        f"The report of {one.run.heading} was made by another version that measured {', '.join(unlike)} otherwise; "
        "here all runs are measured anew from their answers."
    ]
