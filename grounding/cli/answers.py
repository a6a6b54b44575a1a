"""Where the answers of a benchmark come from: a model that is loaded once, or files.

Knows sets of data, models by their options and predictions files; does not know how answers are scored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from grounding.cli.model_options import ARITHMETIC, answer_tokens, load
from grounding.cli.there import check_answers_there, check_data_there
from grounding.counted import counted
from grounding.errors import InputError
from grounding.evaluation.comparison.runs import ALSO
from grounding.evaluation.predictions import Prediction, open_aligned
from grounding.processes import is_first
from grounding.progress import Step
from grounding.samples import Dataset, check_images, is_cogvlm_folder, open_dataset, read_dataset

if TYPE_CHECKING:
    from grounding.models.loading import LoadedModel

MEASURED = ("test.jsonl", "val.jsonl")  # of a dataset folder, the first that holds something
Given = Sequence[Prediction | None]
NO_NAME = set('/\\:="') | {"\0"}


@dataclass(frozen=True)
class Asked:
    """A set of data, and where its report goes.

    Attributes:
        name: of a set that rides along; empty for the main one.
        whole: all of it. dataset: what `--limit` leaves of it.
        out: the report folder.
        predictions, base_predictions: files of answers to it, where there are.
    """

    name: str
    whole: Dataset
    dataset: Dataset
    out: Path
    predictions: Path | None
    base_predictions: Path | None

    def aligned(self, path: Path, *, allow_missing: bool) -> Given:
        """One prediction for each sample; ids are held against the whole file, whatever --limit says."""
        return open_aligned(path, self.whole.samples, allow_missing=allow_missing)[: len(self.dataset.samples)]


@dataclass(frozen=True)
class Answered:
    """The answers to a set, those of the untuned base where there are, and what the report says of them."""

    predictions: Given
    base: Given | None
    about: dict[str, Any]


def all_sets(data: Path, out: Path, options: Mapping[str, Any]) -> list[Asked]:
    """The main set and those that ride along, read.

    Raises:
        InputError: one of them cannot be read; names that stand twice or are no names; files of answers that are not
            one for each set.
    """
    also = [_named(text) for text in options["also"]]
    twice = sorted({name for name, _ in also if [other for other, _ in also].count(name) > 1})
    if twice:
        raise InputError(f"two sets are called {twice[0]!r}.", where="--also", fix="Name them: NAME=FILE.jsonl.")
    answers = _one_each(options, "also_predictions", len(also), needed=options["model"] is None)
    base = _one_each(options, "also_base_predictions", len(also), needed=False)
    sets = [_asked("", data, out, options, options["images"], options["predictions"], options["base_predictions"])]
    for (name, path), predictions, untuned in zip(also, answers, base, strict=True):
        sets.append(_asked(name, path, out / ALSO / name, options, None, predictions, untuned))
    return sets


def _file_of(data: Path) -> Path:
    """The file itself; of a folder that `grounding convert` made, its test set or else its validation set."""
    if not data.is_dir() or is_cogvlm_folder(data):
        return data
    found = (data / name for name in MEASURED if (data / name).is_file() and (data / name).stat().st_size)
    file = next(found, data)
    if file != data and is_first():
        click.echo(f"{data} is a folder: {file.name} in it is measured.", err=True)
    return file


def _asked(
    name: str,
    data: Path,
    out: Path,
    options: Mapping[str, Any],
    images: Path | None,
    predictions: Path | None,
    base: Path | None,
) -> Asked:
    check_data_there(data)
    for file in (predictions, base):
        check_answers_there(file)
    # A model's answers take far longer than their samples take memory; those of a file are read as they are needed.
    whole = (open_dataset if options["model"] is None else read_dataset)(_file_of(data), images)
    limit = options["limit"]
    dataset = whole if limit is None else replace(whole, samples=whole.samples[:limit])
    return Asked(name, whole, dataset, out, predictions, base)


def _named(text: str) -> tuple[str, Path]:
    """NAME=FILE.jsonl, or a file that is called by its own name without the suffix."""
    name, equals, file = text.partition("=")
    path = Path(file if equals and not Path(text).exists() else text)
    name = name if equals and path == Path(file) else path.stem
    if not name or name.startswith(".") or NO_NAME & set(name):
        raise InputError(f"{name!r} is no name for a set.", where="--also", fix="Name it: NAME=FILE.jsonl.")
    return name, path


def _one_each(options: Mapping[str, Any], option: str, count: int, *, needed: bool) -> Sequence[Path | None]:
    """The files that an option names, one for each set that rides along, in the same order."""
    files: Sequence[Path] = options[option]
    if len(files) == count or (not files and not needed):
        return files or [None] * count
    raise InputError(
        f"{counted(count, 'set')} beside the first, {counted(len(files), 'file')} named; one for each is needed, in "
        "the same order.",
        where=f"--{option.replace('_', '-')}",
    )


def from_files(asked: Asked, options: Mapping[str, Any], digest: Callable[[Path], str]) -> Answered:
    """The answers of predictions files."""
    path = asked.predictions
    assert path is not None, "checked before"
    predictions = asked.aligned(path, allow_missing=options["allow_missing"])
    base = asked.base_predictions
    about = {
        "name": path.name,
        "predictions": str(path),
        "sha256": digest(path),
        "base_predictions": None if base is None else str(base),
    }
    return Answered(
        predictions, None if base is None else asked.aligned(base, allow_missing=options["allow_missing"]), about
    )


def from_model(sets: Sequence[Asked], options: Mapping[str, Any], bar: Step) -> list[Answered]:
    """Loads the model and lets it answer every set; with --with-base a second time without its adapter."""
    for asked in sets:
        check_images(asked.dataset, follow_links=options["follow_links"])  # before minutes of loading
    with bar("Loading the model", None):
        loaded = load(options)
    return [_answered(loaded, asked, options, bar) for asked in sets]


def _answered(loaded: LoadedModel, asked: Asked, options: Mapping[str, Any], bar: Step) -> Answered:
    """The answers to a set, and those of the untuned base: the model's own without its adapter, or those of a file."""
    file = asked.out / "predictions.jsonl"
    predictions = _answer(loaded, asked, file, options, bar, "Answering", adapter=options["adapter"])
    base: Given | None = None
    if options["with_base"]:
        base_file = asked.out / "base_predictions.jsonl"
        with loaded.model.disable_adapter():
            base = _answer(loaded, asked, base_file, options, bar, "Answering without the adapter", adapter=None)
    elif asked.base_predictions is not None:
        base = asked.aligned(asked.base_predictions, allow_missing=options["allow_missing"])
    return Answered(predictions, base, _about(loaded, file, options))


def _answer(
    loaded: LoadedModel,
    asked: Asked,
    file: Path,
    options: Mapping[str, Any],
    bar: Step,
    title: str,
    *,
    adapter: Path | None,
) -> Given:
    """The model's answers to a set, into a file that an interrupted call with the same options goes on with."""
    from grounding.evaluation.predict import fingerprint_of, predict

    max_new_tokens = answer_tokens(options)
    constrain = options["max_boxes"] if options["constrain"] else None
    fingerprint = fingerprint_of(
        asked.dataset,
        files={"model": loaded.folder, "adapter": adapter, "tokenizer": options["tokenizer"]},
        settings={
            **{name: options[name] for name in ARITHMETIC},
            "max_new_tokens": max_new_tokens,
            "constrain": constrain,
            "device": loaded.model.device.type,
        },
    )
    named = f"{title}, {asked.name}" if asked.name else title
    with bar(named, len(asked.dataset.samples)) as progress:
        made = predict(
            loaded.model,
            loaded.processor,
            asked.dataset,
            file,
            fingerprint=fingerprint,
            batch_size=options["batch_size"],
            max_new_tokens=max_new_tokens,
            constrain=constrain,
            follow_links=options["follow_links"],
            progress=progress,
        )
    return list(made)


def _about(loaded: LoadedModel, file: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """What the report says of the model and of how it answered."""
    model = loaded.model
    return {
        "name": str(options["model"]),
        "adapter": None if options["adapter"] is None else str(options["adapter"]),
        "predictions": str(file),
        "template": loaded.processor.template_version,
        "image_size": loaded.processor.image_size,
        "warnings": list(loaded.warnings),
        "device": str(model.device),
        "dtype": str(model.get_input_embeddings().weight.dtype).removeprefix("torch."),
        "quantization": options["quantization"],
        "decoding": {
            "method": "greedy",
            "max_new_tokens": answer_tokens(options),
            "constrained": options["constrain"],
        },
    }
