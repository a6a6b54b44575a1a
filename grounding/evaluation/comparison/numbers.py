"""The numbers of several runs over the same samples: every rate of each, what differs, and whether that is chance.

Measures every run anew from its answers, so that all of them are measured alike. Knows runs; does not know pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grounding.evaluation.breakdowns import BREAKDOWNS, Part, cut_in_parts
from grounding.evaluation.comparison.measures import COMPARED, MEDIAN, TESTED
from grounding.evaluation.comparison.runs import Run
from grounding.evaluation.evaluate import hold
from grounding.evaluation.intervals import Measure, median, rates
from grounding.evaluation.match import Floats, Ints
from grounding.evaluation.metrics import measures, outcomes
from grounding.evaluation.mistakes import KINDS, kinds_of_mistakes, sample_of
from grounding.evaluation.neighbours import find_neighbours, gather_classes
from grounding.evaluation.other_tasks import is_exact
from grounding.evaluation.paired import difference_of_medians, differences, holm, swap_test
from grounding.evaluation.scored import Scored

SURE = 0.05  # an adjusted p-value below it is called a difference


@dataclass(frozen=True)
class Answered:
    """A run, measured.

    Attributes:
        run: the run.
        scored: its answers to the samples that ask for boxes.
        outcome: what became of each of these, a key of `metrics.OUTCOMES`.
    """

    run: Run
    scored: Scored
    outcome: tuple[str, ...]


def measure(run: Run) -> Answered:
    """The run's answers held against the truth, as its report says that it was done."""
    scored = hold(
        run.samples,
        run.predictions,
        not_found=run.report["data"].get("not_found"),
        protocol=run.protocol,
        dialect=run.dialect,
    )
    return Answered(run, scored, tuple(outcomes(scored)))


def headline(runs: Sequence[Answered], *, seed: int) -> dict[str, dict[str, Any]]:
    """An entry (see `entries`) for each measure of the headline."""
    images = runs[0].scored.truth.images
    table = entries([measures(one.scored) for one in runs], images, seed=seed, only=tuple(COMPARED))
    table[MEDIAN] = _median_entry([one.scored for one in runs], seed=seed)
    adjust(table.values())
    return {key: table[key] for key in COMPARED}


def breakdowns(runs: Sequence[Answered], *, seed: int) -> dict[str, dict[str, Any]]:
    """For each breakdown and each of its values the counts of that part, and `measures` with an entry for each."""
    classes = gather_classes(runs[0].scored.truth.samples)
    table: dict[str, dict[str, Any]] = {kind: {} for kind in BREAKDOWNS}
    for parts in zip(*(cut_in_parts(one.scored, classes) for one in runs), strict=True):
        kind, name, part = parts[0]
        table[kind][name] = {**part.counts, "measures": _of_part([cut for _, _, cut in parts], seed)}
    adjust(entry for parts in table.values() for part in parts.values() for entry in part["measures"].values())
    return table


def mistakes(runs: Sequence[Answered], *, seed: int) -> dict[str, dict[str, Any]]:
    """For each kind of mistake an entry whose rates are mistakes a sample, and `counts`, how many each run made."""
    sides: list[dict[str, Measure]] = []
    for one in runs:
        made = kinds_of_mistakes(one.scored, find_neighbours(one.scored))
        everywhere = np.ones(len(one.scored.status))
        sides.append(
            {
                kind: Measure(
                    one.scored.per_sample(which, sample_of(one.scored, kind)).astype(np.float64),
                    everywhere,
                    high=np.inf,
                )
                for kind, which in made.items()
            }
        )
    table = entries(sides, runs[0].scored.truth.images, seed=seed, tested=tuple(KINDS))
    adjust(table.values())
    for kind in KINDS:
        table[kind]["counts"] = [round(float(side[kind].parts.sum())) for side in sides]
    return table


def found_by_both(base: Answered, other: Answered, *, seed: int) -> dict[str, Any]:
    """The mean IoU of the true boxes that both runs found: whether boxes became tighter, whatever was found besides."""
    truth = base.scored.truth
    both = base.scored.found & other.scored.found
    rows = len(truth.count)
    sides = [
        {
            "iou": Measure(
                np.bincount(truth.box_sample[both], one.scored.true_iou[both], minlength=rows).astype(np.float64),
                np.bincount(truth.box_sample[both], minlength=rows).astype(np.float64),
            )
        }
        for one in (base, other)
    ]
    return entries(sides, truth.images, seed=seed)["iou"]


def other_tasks(runs: Sequence[Run], *, seed: int) -> dict[str, dict[str, Any]]:
    """For each task of words an entry of `exact_match`, tested."""
    asked = [number for number, sample in enumerate(runs[0].samples) if sample.boxes is None]
    by_task: dict[str, list[int]] = {}
    for number in asked:
        by_task.setdefault(runs[0].samples[number].task, []).append(number)
    table = {}
    for task, chosen in sorted(by_task.items()):
        names = [runs[0].samples[number].image or f"\0{number}" for number in chosen]
        images = np.unique(names, return_inverse=True)[1]
        sides = [{"exact_match": _exact(run, chosen)} for run in runs]
        table[task] = entries(sides, images, seed=seed, tested=("exact_match",))["exact_match"]
    adjust(table.values())
    return table


def entries(
    sides: Sequence[Mapping[str, Measure]],
    images: Ints,
    *,
    seed: int,
    only: Sequence[str] | None = None,
    tested: Sequence[str] = TESTED,
) -> dict[str, dict[str, Any]]:
    """For each measure `rates`, one a run; `differences` from the first run and `tests`, one for each other run.

    Args:
        sides: the measures of each run, the first being the one that others are held against.
        images: int64[N]. only: the names that are wanted; all where None.
        tested: those of them whose parts are counts, mostly 0 or 1; the others have `tests` null.
    """
    wanted = [{name: side[name] for name in (only or side) if name in side} for side in sides]
    divided = [rates(side, images, seed=seed) for side in wanted]
    against = [differences(wanted[0], side, images, seed=seed) for side in wanted[1:]]
    return {
        name: {
            "rates": [side[name] for side in divided],
            "differences": [side[name] for side in against],
            "tests": [_test(wanted[0][name], side[name], images) for side in wanted[1:]] if name in tested else None,
        }
        for name in wanted[0]
    }


def adjust(table: Iterable[Mapping[str, Any]]) -> None:
    """Puts `p_holm` into every test of some entries: Holm's correction for all of them together.

    Tests in which the runs never differ, which no counts could have made small, are not among those that are corrected
    for (R. E. Tarone, Biometrics 46 (1990) 515).
    """
    table = list(table)
    tests, telling = [test for entry in table for test in entry["tests"] or ()], telling_tests(table)
    for test, p in zip(telling, holm([test["p"] for test in telling]), strict=True):
        test["p_holm"] = p
    for test in tests:
        test.setdefault("p_holm", 1.0)


def telling_tests(table: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The tests of some entries in which the runs differ somewhere: those that Holm's correction is for."""
    tests = [test for entry in table for test in entry["tests"] or ()]
    return [test for test in tests if test["only_base"] + test["only_other"]]


def verdict(entry: Mapping[str, Any], number: int, key: str) -> str:
    """`better`, `worse` or `` of an entry's other run by its number: by its test alone, where p_holm is below 0.05.

    An entry without a test is never called either: intervals are not corrected for their number.
    """
    difference = entry["differences"][number]
    if not difference["value"] or entry["tests"] is None or entry["tests"][number]["p_holm"] >= SURE:
        return ""
    less_is_better = key in KINDS or (key in COMPARED and COMPARED[key].less_is_better)
    return "better" if (difference["value"] > 0) != less_is_better else "worse"


def _test(base: Measure, other: Measure, images: Ints) -> dict[str, Any]:
    """The exact test of the samples that the rate is about, which are the same for both runs."""
    about = base.wholes > 0
    counts = [np.rint(side.parts[about]).astype(np.int64) for side in (base, other)]
    return swap_test(counts[0], counts[1], images[about])


def _of_part(parts: Sequence[Part], seed: int) -> dict[str, dict[str, Any]]:
    """The entries of one part of the data, those left out that are about nothing."""
    made = entries([part.measures for part in parts], parts[0].images, seed=seed)
    return {name: entry for name, entry in made.items() if name != "grid_ceiling" and entry["rates"][0]["n"]}


def _median_entry(runs: Sequence[Scored], *, seed: int) -> dict[str, Any]:
    truth = runs[0].truth
    images = truth.images[truth.box_sample]
    made = [median(one.true_iou, images, seed=seed) for one in runs]
    against = []
    for one, found in zip(runs[1:], made[1:], strict=True):
        values: tuple[Floats, Floats] = (runs[0].true_iou, one.true_iou)
        against.append(difference_of_medians(made[0], found, values, images, seed=seed))
    return {"rates": made, "differences": against, "tests": None}


def _exact(run: Run, chosen: Sequence[int]) -> Measure:
    """Whether the answer to each of some samples says what its label says."""

    def hits() -> Iterator[float]:
        for number in chosen:
            prediction = run.predictions[number]
            yield float(is_exact(run.samples[number], None if prediction is None else prediction.text))

    return Measure(np.fromiter(hits(), np.float64), np.ones(len(chosen)))
