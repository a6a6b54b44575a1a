"""Answers every sample of a dataset with a model, into a predictions file that a killed run goes on with.

The one file of this room that needs torch. Knows samples and the engine; does not know what the answers are worth.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from grounding.counted import counted
from grounding.errors import InputError, RunError
from grounding.evaluation.predictions import Prediction, decode_line, encode_line, write_predictions
from grounding.inference.budget import MAX_NEW_TOKENS
from grounding.inference.engine import Answer, Request, answer, share_of
from grounding.models.cogvlm.processor import CogVLMProcessor
from grounding.processes import count, gathered, is_first, number
from grounding.samples import Dataset, Sample, check_images, image_key, open_image
from grounding.text import Wording, answer_automaton, load_wordings, not_found_sentences

# Tasks whose answer is one group of boxes or the not-found sentence, which is what an answer can be kept to. The others
# may also answer with a group for each class, or say that there are no more.
ONE_GROUP = ("phrase_to_boxes", "phrase_to_box")


def predict(
    model: PreTrainedModel,
    processor: CogVLMProcessor,
    dataset: Dataset,
    out_path: Path,
    *,
    fingerprint: str,
    batch_size: int = 8,
    max_new_tokens: int = MAX_NEW_TOKENS,
    constrain: int | None = None,
    follow_links: bool = False,
    progress: Callable[[int], None] | None = None,
) -> list[Prediction]:
    """Writes one prediction for each sample, in the order of the data, and gives them back.

    Answers are written as they come to a hidden file beside `out_path` whose name carries the fingerprint; it takes the
    final name when all are there. A run that was killed and is called again with the same fingerprint keeps them.

    Where several processes run (see `processes.together`), each answers a share of the samples into a hidden file of
    its own, and the first writes what all have found: the same bytes as one process alone. As many processes, called
    again, keep what they had.

    Args:
        fingerprint: of all that an answer depends on (see `fingerprint_of`).
        constrain: keep answers to samples that ask for boxes of one phrase to readable ones, of at most so many.
        progress: called with the number of answers that are there since the last call: kept ones first, those of other
            processes last.

    Raises:
        InputError: missing images, samples that the model's template cannot take, or labels in words that a constrained
            answer could not have; all before any answer.
        RunError: out of memory, a full disk.
    """
    check_history(processor, dataset)
    check_images(dataset, follow_links=follow_links)
    out_path.parent.mkdir(parents=True, exist_ok=True)
    requests = [_request(sample, dataset, follow_links, constrain) for sample in dataset.samples]
    check_words(dataset, requests)
    share = share_of(requests, batch_size, number(), count())
    samples, requests = dataset.samples[share.start : share.stop], requests[share.start : share.stop]
    unfinished = unfinished_path(out_path, fingerprint, number(), count())
    kept = _keep(unfinished, samples)
    if progress and kept:
        progress(len(kept))
    requests = requests[len(kept) :]
    made = answer(model, processor, requests, batch_size=batch_size, max_new_tokens=max_new_tokens, progress=progress)
    predictions = list(kept)
    try:
        with unfinished.open("ab") as file:
            for sample, one in zip(samples[len(kept) :], made, strict=True):
                predictions.append(_prediction(sample, one))
                file.write(encode_line(predictions[-1]))
                file.flush()
            os.fsync(file.fileno())
        everything = _put_together(predictions, unfinished, out_path)
        if progress and len(everything) > len(predictions):
            progress(len(everything) - len(predictions))
    except OSError as error:
        raise RunError(
            f"{out_path}: the predictions could not be written ({error.strerror or error}). "
            f"{counted(len(predictions), 'answer is', 'answers are')} kept; the same command goes on from there."
        ) from error
    return everything


def _put_together(own: list[Prediction], unfinished: Path, out_path: Path) -> list[Prediction]:
    """All processes' predictions, in the order of the data, which the file then holds."""
    if count() == 1:
        unfinished.replace(out_path)
        return own
    everything = [one for share in gathered(own) for one in share]
    if is_first():
        write_predictions(out_path, everything)
    gathered(None)  # no process gives its own up before they are written
    unfinished.unlink()
    return everything


def check_history(processor: CogVLMProcessor, dataset: Dataset) -> None:
    """Sees that the prompt template has a place for every sample's earlier turns.

    Raises:
        InputError: it has none, and some samples have such turns.
    """
    with_history = [sample.id for sample in dataset.samples if sample.history]
    if with_history and not processor.supports_history:
        raise InputError(
            f"{counted(len(with_history), 'sample has', 'samples have')} earlier turns (the first is "
            f"{with_history[0]!r}), and the prompt template {processor.template_version!r} of this checkpoint has no "
            "place for them.",
            where=str(dataset.path),
            fix="Use a checkpoint with the template 'chat', or data without history.",
        )


def check_words(dataset: Dataset, requests: Sequence[Request]) -> None:
    """Sees that a constrained answer may have the words of its label.

    Raises:
        InputError: it may not: the labels were made from templates that nothing here names.
    """
    pairs = zip(dataset.samples, requests, strict=True)
    asked = [(one, request.automaton) for one, request in pairs if request.automaton is not None and one.boxes]
    strange = [sample for sample, automaton in asked if not automaton.has_words_of(sample.label)]
    if strange:
        raise InputError(
            f"{len(strange)} of {len(asked)} labels have words around their boxes that no constrained answer could "
            f"have; the first is {strange[0].label!r} of sample {strange[0].id!r}.",
            where=str(dataset.path),
            fix="Labels from your own templates need a manifest.json that names these under `answers`, as `grounding "
            "convert` writes it; or answer without --constrain.",
        )


def fingerprint_of(dataset: Dataset, *, files: Mapping[str, Path | None], settings: Mapping[str, Any]) -> str:
    """A hash of what answers depend on.

    Args:
        dataset: what is asked, in order, and of which images counts, and the sentences that say "not found"; labels and
            boxes do not.
        files: by role (model, adapter, tokenizer): of a file or folder the names, sizes and times of change count.
        settings: what else counts, as JSON (dtype, quantisation, token budget). Batch size does not belong here:
            answers do not depend on it, and a run that was out of memory must be able to go on with less.
    """
    digest = hashlib.sha256()
    digest.update(str(dataset.image_root.resolve()).encode())
    digest.update(json.dumps(sorted(dataset.not_found.items())).encode())
    for sample in dataset.samples:
        asked = [sample.id, sample.image, sample.upright, sample.prompt, [list(turn) for turn in sample.history]]
        asked += [sample.lang, sample.boxes is not None]  # these tell which sentence is scored, if any
        digest.update(json.dumps(asked).encode())
    for role, path in sorted(files.items()):
        digest.update(json.dumps([role, _stamp(path)]).encode())
    digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    return digest.hexdigest()


def unfinished_path(out_path: Path, fingerprint: str, process: int = 0, processes: int = 1) -> Path:
    """Where the answers of an unfinished run, or of one of its processes, are kept."""
    share = f".{process + 1}-of-{processes}" if processes > 1 else ""
    return out_path.with_name(f".{out_path.stem}.{fingerprint[:16]}{share}.unfinished{out_path.suffix}")


def _stamp(path: Path | None) -> list[Any]:
    """Name, size and time of change of a file, or of every file below a folder."""
    if path is None:
        return []
    path = path.resolve()
    files = [path] if path.is_file() else sorted(inner for inner in path.rglob("*") if inner.is_file())
    return [str(path), [[str(file.relative_to(path)), file.stat().st_size, file.stat().st_mtime_ns] for file in files]]


def _keep(unfinished: Path, samples: Sequence[Sample]) -> list[Prediction]:
    """The answers of an earlier, unfinished run; a last line that was not written to its end is cut off the file."""
    if not unfinished.exists():
        return []
    kept: list[Prediction] = []
    size = 0
    with unfinished.open("rb") as file:
        for line, sample in zip(file, samples, strict=False):
            if not line.endswith(b"\n"):
                break
            try:
                prediction = decode_line(line)
            except ValueError:
                break  # a torn line; it and what follows is answered again
            if prediction.id != sample.id:
                break
            kept.append(prediction)
            size += len(line)
    os.truncate(unfinished, size)
    return kept


def _request(sample: Sample, dataset: Dataset, follow_links: bool, constrain: int | None) -> Request:
    image = None if sample.image is None else partial(open_image, dataset.image_root, sample, follow_links)
    request = Request(image, sample.prompt, sample.history, image_key=image_key(sample))
    if sample.boxes is None:
        return request
    sentence = not_found_sentences(dataset.not_found)[sample.lang]
    automaton = None
    if constrain is not None and sample.task in ONE_GROUP:
        named = sample.lang if sample.task == "phrase_to_boxes" else f"{sample.task}:{sample.lang}"
        answers = dataset.answers.get(named, ())
        wordings = _wordings(sample.task, sample.lang, tuple(answers))
        automaton = answer_automaton(wordings, sample.phrase, [sentence], constrain, dataset.not_found)
    return replace(request, not_found=sentence, automaton=automaton)


@cache
def _wordings(task: str, lang: str, answers: tuple[str, ...]) -> tuple[Wording, ...]:
    """Those of the manifest, else the packaged ones: a sample does not say which wording its prompt was made from."""
    return tuple(Wording("{phrase}", one) for one in answers) or load_wordings(task, lang)


def _prediction(sample: Sample, made: Answer) -> Prediction:
    return Prediction(
        id=sample.id,
        text=made.text,
        scores=made.scores or None,
        not_found_logprob=made.not_found_logprob,
        finish=made.finish,
        constrained=made.constrained,
    )
