"""Reads and writes a predictions file: JSONL, one answer text for each sample id.

Knows ids and texts; does not read what a text says, and does not know which model wrote it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from grounding.errors import ManyErrors
from grounding.samples import Sample, atomic_path
from grounding.samples.decoding import decode, read_lines

NAMED = 10  # ids that an error names before it only counts


class Prediction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a predictions file. Keys that are not listed here are read over.

    Args:
        id: of the sample that it answers.
        text: the answer exactly as generated.
        scores: one per box in text order: the mean log-probability of its tokens under the unconstrained softmax.
        not_found_logprob: log-probability of the not-found answer.
        finish: "eos" when the model ended the answer itself, "length" when it was cut off.
        constrained: whether the model was kept to readable answers.
    """

    id: str
    text: str
    scores: list[float] | None = None
    not_found_logprob: float | None = None
    finish: Literal["eos", "length"] | None = None
    constrained: bool = False


_DECODER = msgspec.json.Decoder(Prediction)
_ENCODER = msgspec.json.Encoder()


def encode_line(prediction: Prediction) -> bytes:
    """One line of the file, newline included."""
    return _ENCODER.encode(prediction) + b"\n"


def decode_line(line: bytes) -> Prediction:
    """One line of the file; ValueError where it is not one."""
    return decode(line, _DECODER)


def read_predictions(path: Path) -> list[Prediction]:
    """All predictions of a JSONL file, in its order; empty lines are allowed.

    Raises:
        InputError: a missing or unreadable file, or lines that are not predictions (all of them are named, by number).
    """
    predictions, problems = [], []
    for number, line in read_lines(path):
        try:
            predictions.append(decode(line, _DECODER))
        except ValueError as error:
            problems.append(f"line {number}: {error}")
    if problems:
        raise ManyErrors(
            f"{path}: not a predictions file",
            problems,
            fix='A line is {"id": "...", "text": "..."}, and may have "scores", "not_found_logprob", "finish" and '
            '"constrained".',
        )
    return predictions


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Writes the file under a temporary name and renames it."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.writelines(encode_line(prediction) for prediction in predictions)


def align(
    predictions: Iterable[Prediction], samples: Sequence[Sample], *, where: str, allow_missing: bool = False
) -> list[Prediction | None]:
    """The prediction of each sample, in the order of the samples; None for a missing one where that is allowed.

    Raises:
        InputError: ids that are missing, stand twice or are not in the data, with their names and numbers.
    """
    predictions = list(predictions)
    by_id = {prediction.id: prediction for prediction in predictions}
    wanted = {sample.id for sample in samples}
    problems = []
    twice = [name for name, times in Counter(prediction.id for prediction in predictions).items() if times > 1]
    if twice:
        problems.append(f"{_ids(twice)} more than once in the predictions: {_names(twice)}")
    unknown = [name for name in by_id if name not in wanted]
    if unknown:
        problems.append(f"{_ids(unknown)} not in the data: {_names(unknown)}")
    missing = [sample.id for sample in samples if sample.id not in by_id]
    if missing and not allow_missing:
        problems.append(f"{_ids(missing)} of the data without a prediction: {_names(missing)}")
    if problems:
        fix = "Each id of the data must stand there once."
        if missing and not allow_missing:
            fix += " With --allow-missing, those without a prediction are scored as unparsable (reason: missing)."
        raise ManyErrors(f"{where}: the predictions do not fit the data", problems, fix=fix)
    return [by_id.get(sample.id) for sample in samples]


def _ids(names: Sequence[str]) -> str:
    return f"{len(names)} id" + ("s" if len(names) != 1 else "")


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:NAMED])
    return shown + (f", ... and {len(names) - NAMED} more" if len(names) > NAMED else "")
