"""From samples and answer texts to every number of a report: read, match, count.

Knows no model, no picture and no page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grounding.errors import InputError
from grounding.evaluation.baselines import baselines, perfect_answers
from grounding.evaluation.breakdowns import breakdowns
from grounding.evaluation.intervals import check_seed
from grounding.evaluation.metrics import curve, histogram, metrics, outcomes
from grounding.evaluation.other_tasks import score_texts
from grounding.evaluation.parse import Judged, judge
from grounding.evaluation.predictions import Prediction
from grounding.evaluation.protocols import DEFAULT, Protocol, protocol_named
from grounding.evaluation.scored import Scored, gather_truth, hold_against
from grounding.samples import Sample


@dataclass(frozen=True)
class Evaluation:
    """All that was measured.

    Args:
        samples, predictions: the data and its answers, in the same order; None where an answer is missing.
        protocol: the rules used.
        scored: the samples that ask for boxes, held against their answers.
        outcome: str for each of those, a key of `metrics.OUTCOMES`.
        metrics: the contract's table, `baselines` included.
        perfect: the same for the truth itself, written to the grid.
        default_metrics: the same by the default protocol, where another one was asked for.
        breakdowns, other_tasks, curve, histogram: see the functions of these names.
    """

    samples: tuple[Sample, ...]
    predictions: tuple[Prediction | None, ...]
    protocol: Protocol
    scored: Scored
    outcome: tuple[str, ...]
    metrics: dict[str, Any]
    perfect: dict[str, Any]
    default_metrics: dict[str, Any] | None
    breakdowns: dict[str, dict[str, Any]]
    other_tasks: dict[str, Any]
    curve: dict[str, list[float]]
    histogram: dict[str, Any]


def evaluate(
    samples: Sequence[Sample],
    predictions: Sequence[Prediction | None],
    *,
    not_found: Mapping[str, str] | None = None,
    protocol: str = DEFAULT.name,
    seed: int = 0,
    base: Sequence[Prediction | None] | None = None,
) -> Evaluation:
    """Measures the answers to the samples.

    Args:
        samples: at least one.
        predictions: one for each sample, in the same order (see `predictions.align`); None is scored as unparsable.
        not_found: the not-found sentences by language, of the dataset's manifest.
        protocol: a name out of `protocols.PROTOCOLS`.
        seed: of the intervals and of the constant baseline's candidates.
        base: answers of the untuned model to the same samples, for `baselines.untuned_base`.

    Raises:
        InputError: no sample, an unknown protocol, or a sample that asks for boxes without saying its frame.
    """
    rules = protocol_named(protocol)
    check_seed(seed)
    if not samples:
        raise InputError("the data has no samples; there is nothing to measure.")
    truth = gather_truth(samples)
    judged = _judge_asked(samples, predictions, not_found)
    scored = hold_against(truth, judged, rules)
    table = metrics(scored, seed=seed)
    table["baselines"] = baselines(truth, rules, seed=seed)
    if base is not None:
        answers = hold_against(truth, _judge_asked(samples, base, not_found), rules)
        table["baselines"]["untuned_base"] = metrics(answers, seed=seed)
    texts = [prediction.text if prediction is not None else None for prediction in predictions]
    return Evaluation(
        samples=tuple(samples),
        predictions=tuple(predictions),
        protocol=rules,
        scored=scored,
        outcome=tuple(outcomes(scored)),
        metrics=table,
        perfect=perfect_answers(truth, rules, seed=seed),
        default_metrics=None if rules == DEFAULT else metrics(hold_against(truth, judged), seed=seed),
        breakdowns=breakdowns(scored, seed=seed),
        other_tasks=score_texts(samples, texts, seed=seed),
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
    truth = gather_truth(samples)
    return metrics(hold_against(truth, _judge_asked(samples, predictions, not_found), protocol_named(protocol)))


def _judge_asked(
    samples: Sequence[Sample], predictions: Sequence[Prediction | None], not_found: Mapping[str, str] | None
) -> list[Judged]:
    """The judged answers of the samples that ask for boxes."""
    return [
        judge(None) if prediction is None else judge(prediction.text, prediction.finish, not_found)
        for sample, prediction in zip(samples, predictions, strict=True)
        if sample.boxes is not None
    ]
