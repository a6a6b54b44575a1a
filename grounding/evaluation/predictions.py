"""Reads and writes a predictions file: JSONL, one answer text for each sample id.

Knows ids and texts; does not read what a text says, and does not know which model wrote it.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from grounding.counted import counted
from grounding.errors import InputError, ManyErrors
from grounding.samples import Lines, Sample, atomic_path, ids_of
from grounding.samples.decoding import decode, read_places
from grounding.samples.lines import NONE

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
    return [prediction for _, prediction in _read(path)]


def open_aligned(path: Path, samples: Sequence[Sample], *, allow_missing: bool = False) -> Sequence[Prediction | None]:
    """The prediction of each sample, left in the file and read again each time they are used; see `align`.

    Raises:
        InputError: as `read_predictions` and `align`.
    """
    ids: list[str] = []
    offsets = array("q")
    for offset, prediction in _read(path):
        ids.append(prediction.id)
        offsets.append(offset)
    wanted = ids_of(samples)
    order = _order(ids, wanted, where=str(path), allow_missing=allow_missing)
    starts = np.where(order < 0, NONE, np.append(np.array(offsets, dtype=np.int64), NONE)[order])
    return Lines(path, starts, _DECODER.decode, ids=wanted)


def _read(path: Path) -> Iterator[tuple[int, Prediction]]:
    """The byte at which each line starts, and what it says; what is wrong is raised behind the last one."""
    problems = []
    for number, offset, line in read_places(path):
        try:
            yield offset, decode(line, _DECODER)
        except ValueError as error:
            problems.append(InputError(str(error), where=f"line {number}"))
    if problems:
        raise ManyErrors(
            f"{path}: not a predictions file",
            problems,
            fix='A line is {"id": "...", "text": "..."}, and may have "scores", "not_found_logprob", "finish" and '
            '"constrained".',
        )


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
    order = _order([one.id for one in predictions], ids_of(samples), where=where, allow_missing=allow_missing)
    return [predictions[place] if place >= 0 else None for place in order.tolist()]


def _order(answered: Sequence[str], asked: Sequence[str], *, where: str, allow_missing: bool) -> NDArray[np.int64]:
    """int64[N]: the place of the prediction of each sample, by their ids; -1 for a missing one where that is allowed.

    Raises:
        InputError: as `align`.
    """
    place = {name: number for number, name in enumerate(answered)}
    order = np.array([place.get(name, -1) for name in asked], dtype=np.int64)
    problems = []
    if len(place) < len(answered):
        twice = [name for name, times in Counter(answered).items() if times > 1]
        problems.append(f"{_ids(twice)} more than once in the predictions: {_names(twice)}")
    missing = [asked[number] for number in np.flatnonzero(order < 0).tolist()]
    if len(place) > len(asked) - len(missing):
        wanted = set(asked)
        unknown = [name for name in place if name not in wanted]
        problems.append(f"{_ids(unknown)} not in the data: {_names(unknown)}")
    if missing and not allow_missing:
        problems.append(f"{_ids(missing)} of the data without a prediction: {_names(missing)}")
    if problems:
        fix = "Each id of the data must stand there once."
        if missing and not allow_missing:
            fix += " With --allow-missing, those without a prediction are scored as unparsable (reason: missing)."
        raise ManyErrors(f"{where}: the predictions do not fit the data", problems, fix=fix)
    return order


def _ids(names: Sequence[str]) -> str:
    return counted(len(names), "id")


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:NAMED])
    return shown + (f", ... and {len(names) - NAMED} more" if len(names) > NAMED else "")
