"""From samples and answer texts to every number of a report: read, match, count.

Knows no model, no picture and no page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grounding.errors import InputError
from grounding.evaluation.baselines import baselines, perfect_answers
from grounding.evaluation.breakdowns import breakdowns, place_map
from grounding.evaluation.intervals import check_seed
from grounding.evaluation.match import Ints
from grounding.evaluation.metrics import curve, histogram, metrics, outcomes
from grounding.evaluation.mistakes import confusion, mistaken_samples, mistakes
from grounding.evaluation.neighbours import find_neighbours, gather_classes
from grounding.evaluation.other_tasks import score_texts
from grounding.evaluation.parse import Answers, judge_all
from grounding.evaluation.predictions import Prediction
from grounding.evaluation.protocols import DEFAULT, Protocol, protocol_named
from grounding.evaluation.ranking import average_precision, calibration
from grounding.evaluation.scored import Scored, Truth, gather_truth, hold_against
from grounding.samples import Sample
from grounding.text import COGVLM, Dialect, dialect_named


@dataclass(frozen=True)
class Evaluation:
    """All that was measured.

    Args:
        samples, predictions: the data and its answers, in the same order; None where an answer is missing.
        protocol: the rules used.
        dialect: the form in which the answers write boxes.
        scored: the samples that ask for boxes, held against their answers.
        outcome: str for each of those, a key of `metrics.OUTCOMES`.
        metrics: the contract's table, `baselines` included.
        perfect: the same for the truth itself, written to the grid.
        default_metrics: the same by the default protocol, where another one was asked for.
        mistaken: the numbers of the samples with each kind of mistake.
        breakdowns, place_map, mistakes, confusion, average_precision, calibration, other_tasks, curve, histogram: see
            the functions of these names.
    """

    samples: Sequence[Sample]
    predictions: Sequence[Prediction | None]
    protocol: Protocol
    dialect: Dialect
    scored: Scored
    outcome: tuple[str, ...]
    metrics: dict[str, Any]
    perfect: dict[str, Any]
    default_metrics: dict[str, Any] | None
    breakdowns: dict[str, dict[str, Any]]
    place_map: dict[str, Any]
    mistakes: dict[str, dict[str, Any]]
    mistaken: dict[str, Ints]
    confusion: dict[str, Any]
    average_precision: dict[str, Any]
    calibration: dict[str, Any]
    other_tasks: dict[str, Any]
    curve: dict[str, list[float]]
    histogram: dict[str, Any]


def evaluate(
    samples: Sequence[Sample],
    predictions: Sequence[Prediction | None],
    *,
    not_found: Mapping[str, str] | None = None,
    protocol: str = DEFAULT.name,
    dialect: str = COGVLM.name,
    seed: int = 0,
    base: Sequence[Prediction | None] | None = None,
) -> Evaluation:
    """Measures the answers to the samples.

    Args:
        samples: at least one.
        predictions: one for each sample, in the same order (see `predictions.align`); None is scored as unparsable.
        not_found: the not-found sentences by language, of the dataset's manifest.
        protocol: a name out of `protocols.PROTOCOLS`.
        dialect: the form in which the answers write boxes, as `text.dialect_named` takes it.
        seed: of the intervals and of the constant baseline's candidates.
        base: answers of the untuned model to the same samples, for `baselines.untuned_base`.

    Raises:
        InputError: no sample, an unknown protocol or dialect, or a sample that asks for boxes without its frame.
    """
    rules, form = protocol_named(protocol), dialect_named(dialect)
    check_seed(seed)
    if not samples:
        raise InputError("the data has no samples; there is nothing to measure.")
    truth = gather_truth(samples, form.scale)
    answers = _judge_asked(samples, predictions, truth, not_found, form)
    scored = hold_against(truth, answers, rules)
    table = metrics(scored, seed=seed)
    table["baselines"] = baselines(truth, rules, seed=seed)
    if base is not None:
        untuned = _judge_asked(samples, base, truth, not_found, form)
        table["baselines"]["untuned_base"] = metrics(hold_against(truth, untuned, rules), seed=seed)
    classes, near = gather_classes(truth.samples), find_neighbours(scored)
    return Evaluation(
        samples=samples,
        predictions=predictions,
        protocol=rules,
        dialect=form,
        scored=scored,
        outcome=tuple(outcomes(scored)),
        metrics=table,
        perfect=perfect_answers(truth, rules, seed=seed),
        default_metrics=None if rules == DEFAULT else metrics(hold_against(truth, answers), seed=seed),
        breakdowns=breakdowns(scored, classes, seed=seed),
        place_map=place_map(scored, seed=seed),
        mistakes=mistakes(scored, near),
        mistaken=mistaken_samples(scored, near),
        confusion=confusion(scored, near, classes),
        average_precision=average_precision(scored, classes, seed=seed),
        calibration=calibration(scored),
        other_tasks=score_texts(_texts(samples, predictions), seed=seed) if len(truth.count) < len(samples) else {},
        curve=curve(scored),
        histogram=histogram(scored),
    )


def score(
    samples: Sequence[Sample],
    predictions: Sequence[Prediction | None],
    *,
    not_found: Mapping[str, str] | None = None,
    protocol: str = DEFAULT.name,
) -> dict[str, Any]:
    """The metrics without baselines and breakdowns: what a training run looks at between its steps."""
    return metrics(hold(samples, predictions, not_found=not_found, protocol=protocol))


def hold(
    samples: Sequence[Sample],
    predictions: Sequence[Prediction | None],
    *,
    not_found: Mapping[str, str] | None = None,
    protocol: str = DEFAULT.name,
    dialect: str = COGVLM.name,
) -> Scored:
    """The answers held against the samples, undivided; arguments and errors as of `evaluate`."""
    form = dialect_named(dialect)
    truth = gather_truth(samples, form.scale)
    return hold_against(truth, _judge_asked(samples, predictions, truth, not_found, form), protocol_named(protocol))


def _judge_asked(
    samples: Sequence[Sample],
    predictions: Sequence[Prediction | None],
    truth: Truth,
    not_found: Mapping[str, str] | None,
    dialect: Dialect,
) -> Answers:
    """What the answers to the samples that ask for boxes say."""
    if len(samples) != len(predictions):
        raise ValueError(f"one prediction for each sample is needed, found {len(predictions)} and {len(samples)}")
    asked: Iterable[Prediction | None] = predictions
    if len(truth.count) < len(samples):
        together = zip(samples, predictions, strict=True)
        asked = (prediction for sample, prediction in together if sample.boxes is not None)
    return judge_all(asked, truth.sizes, not_found, dialect)


def _texts(samples: Sequence[Sample], predictions: Sequence[Prediction | None]) -> Iterable[tuple[Sample, str | None]]:
    """Each sample that asks for no box, and the text of its answer."""
    for sample, prediction in zip(samples, predictions, strict=True):
        if sample.boxes is None:
            yield sample, None if prediction is None else prediction.text
