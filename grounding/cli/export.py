"""`grounding export`: a dataset, or answers to it, in the form that another program reads. Imports no torch.

Joins reading and writing; knows neither the forms nor how an answer is read.

grounding export data/mine/test.jsonl --to swift --out test.swift.jsonl
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from data_tools.inspection.opening import open_splits
from data_tools.reasons import REASONS
from data_tools.records import Finding, Tally
from data_tools.splits import SPLITS
from data_tools.writers import STYLES, Style, coco, writable
from data_tools.writers.folder import MANIFEST
from data_tools.writers.parquet import write_parquet
from grounding.cli.choice import Choice, dialect_option
from grounding.cli.model_options import PATH
from grounding.counted import counted
from grounding.errors import InputError
from grounding.evaluation.parse import STATUSES, Answers, judge_all
from grounding.evaluation.predictions import open_aligned
from grounding.samples import Dataset, Sample, open_dataset, pick
from grounding.text import Dialect, dialect_named

INSTANCES, RESULTS = "coco-instances", "coco-results"
SURE = 1.0  # the score of a box that comes without one


@click.command("export")
@click.argument("dataset", type=PATH)
@click.option(
    "--to", type=Choice([*STYLES, INSTANCES, RESULTS]), required=True, help="The form; docs/formats.md has all."
)
@click.option("--out", type=PATH, required=True, metavar="FILE", help="The file to write; of several, their folder.")
@click.option("--predictions", type=PATH, metavar="FILE.jsonl", help="The answers, for coco-results.")
@dialect_option
@click.option("--allow-missing", is_flag=True, help="Samples without a prediction give no box.")
@click.option("--embed-images", is_flag=True, help="parquet: the image files too, in a column `picture`.")
@click.option("--images", type=PATH, metavar="DIR", help="Image root, in place of the manifest's.")
@click.option("--follow-links", is_flag=True, help="Allow symbolic links out of the image root.")
@click.option("--overwrite", is_flag=True, help="Replace files of an earlier export.")
def command(
    dataset: Path,
    to: str,
    out: Path,
    predictions: Path | None,
    dialect: str,
    allow_missing: bool,
    embed_images: bool,
    images: Path | None,
    follow_links: bool,
    overwrite: bool,
) -> None:
    """Write DATASET in the form that another program reads: a .jsonl file, or a folder with images/ and labels/.

    Of a folder that `convert` made, each split goes into a file of its name in --out. Truth goes out in pixels. With
    coco-results it is the answers to DATASET that go out, with the image and class ids of coco-instances. Class ids
    are those of the whole dataset: of train, val and test together, where they lie beside each other.
    """
    splits = sorted(file.name for file in dataset.glob("*.jsonl")) if dataset.is_dir() else []
    _check(dataset, splits, to, out, predictions, embed_images)
    if splits:
        opened = open_splits(dataset, images)
        for name in opened.empty:
            click.echo(f"{name} has no sample; no file is written for it")
        if to == INSTANCES:
            files = {name: out / f"{name}.json" for name in opened.splits}
            _check_new(files.values(), overwrite)
            _export_instances({files[name]: split for name, split in opened.splits.items()}, frozenset())
            return
        style = _style(to, embed_images, next(iter(opened.splits.values())), follow_links)
        files = {name: out / f"{name}{style.suffix}" for name in opened.splits}
        _check_new(files.values(), overwrite)
        for name, split in opened.splits.items():
            _export_samples(split, files[name], style)
        return
    _check_new([out], overwrite)
    whole = open_dataset(dataset, images)
    if to == RESULTS:
        assert predictions is not None
        _export_results(whole, predictions, out, dialect_named(dialect), allow_missing)
    elif to == INSTANCES:
        _export_instances({out: whole}, _classes_beside(dataset))
    else:
        _export_samples(whole, out, _style(to, embed_images, whole, follow_links))


def _check_new(files: Iterable[Path], overwrite: bool) -> None:
    """Raises InputError for a file that stands there already."""
    old = [] if overwrite else [str(file) for file in files if file.exists()]
    if old:
        fix = "Name another with --out; --overwrite replaces it."
        raise InputError(f"stands there already: {', '.join(old)}", where="--out", fix=fix)


def _classes_beside(dataset: Path) -> frozenset[str]:
    """The classes of the other splits beside a file of one; none, and this is told, where it is alone."""
    beside = [dataset.with_name(f"{name}.jsonl") for name in SPLITS]
    others = [file for file in beside if file != dataset and file.is_file() and file.stat().st_size]
    if dataset not in beside or not others:
        click.echo(f"classes are numbered by {dataset.name} alone: no other split lies beside it")
        return frozenset()
    return frozenset().union(*(coco.classes_of(open_dataset(file).samples) for file in others))


def _export_instances(splits: Mapping[Path, Dataset], classes: frozenset[str]) -> None:
    """A file for each split, with the classes of all of them and `classes`."""
    chosen = {out: pick(split.samples, _sayable(split.samples)) for out, split in splits.items()}
    every = classes.union(*(coco.classes_of(samples) for samples in chosen.values()))
    for out, samples in chosen.items():
        coco.write_instances(out, samples, every)
        held = f"{counted(len(samples), 'sample')}, {counted(len(every), 'class', 'classes')}"
        click.echo(f"{out}: the truth of {held}")


def _style(name: str, embed_images: bool, dataset: Dataset, follow_links: bool) -> Style:
    """The style of a name, with the images of a dataset inside where that is asked for."""
    style = STYLES[name]
    if not embed_images:
        return style
    return style._replace(write=partial(write_parquet, image_root=dataset.image_root, follow_links=follow_links))


def _check(
    dataset: Path, splits: Sequence[str], to: str, out: Path, predictions: Path | None, embed_images: bool
) -> None:
    """Options that contradict each other, before anything is read."""
    if (predictions is not None) != (to == RESULTS):
        raise InputError(f"--to {RESULTS} needs --predictions, and nothing else takes it", where="grounding export")
    if embed_images and to != "parquet":
        raise InputError("only parquet has room for images", where="--embed-images")
    if splits and to == RESULTS:
        problem = f"is a folder with {', '.join(splits)}, and the answers in --predictions are to one file"
        raise InputError(problem, where=str(dataset), fix="Name one of them.")
    if splits and out.exists() and not out.is_dir():
        raise InputError("is a file; a folder with a file for each split is written", where=f"--out {out}")
    if splits and (out / MANIFEST).exists():
        raise InputError("holds a dataset, whose files would be replaced", where=f"--out {out}", fix="Name another.")
    if out.is_dir() and not splits:
        raise InputError("is a folder; a file is written", where=f"--out {out}")
    for source in (dataset, predictions):
        if source is not None and out.resolve() == source.resolve():
            raise InputError("is what is read", where=f"--out {out}", fix="Name another file.")


def _export_samples(dataset: Dataset, out: Path, style: Style) -> None:
    findings: list[Finding] = []
    style.write(out, _some(writable(dataset.samples, style, findings), dataset))
    left = len(dataset.samples) - len(findings)
    click.echo(f"{out}: {counted(left, 'sample')}; image paths start from {dataset.image_root.resolve()}")
    tally = Tally.of(findings)
    for reason, count in tally.counts.items():
        first = tally.examples[reason][0]
        told = f"{counted(count, 'sample')}, {REASONS[reason].meaning}"
        click.echo(f"refused: {told}; e.g. {first.place}: {first.found}")


def _some(samples: Iterator[Sample], dataset: Dataset) -> Iterator[Sample]:
    """The same samples. Raises InputError where there is none."""
    first = next(samples, None)
    if first is None:
        fix = "docs/formats.md says what each form has room for."
        raise InputError("no sample can be said in this form", where=str(dataset.path), fix=fix)
    yield first
    yield from samples


def _export_results(dataset: Dataset, path: Path, out: Path, dialect: Dialect, allow_missing: bool) -> None:
    predictions = open_aligned(path, dataset.samples, allow_missing=allow_missing)
    places = _sayable(dataset.samples)
    samples = pick(dataset.samples, places)
    sizes = np.array([(sample.width, sample.height) for sample in samples], dtype=np.float64)
    answers = judge_all(pick(predictions, places), sizes, dataset.not_found or None, dialect)
    classes = _classes_beside(dataset.path)
    written = coco.write_results(out, samples, _boxes(answers, sizes, dialect), classes)
    click.echo(f"{out}: {counted(written, 'box', 'boxes')} from {counted(len(samples), 'answer')}")
    for status, count in _without_boxes(answers).items():
        click.echo(f"no box: {counted(count, 'answer')}, {status}")
    unscored = int(np.isnan(answers.scores).sum())
    if unscored:
        unfit = f"; in {counted(answers.unfit, 'answer')} there is not one for each box" if answers.unfit else ""
        come = counted(unscored, "box comes", "boxes come")
        click.echo(f"score {SURE}: {come} without one{unfit}")


def _sayable(samples: Sequence[Sample]) -> list[int]:
    """The places of the samples that COCO can say; what is left out is told."""
    places, others = coco.sayable(samples)
    for task, count in others.items():
        click.echo(f"left out: {counted(count, 'sample')} of {task}, which COCO has no word for")
    return places


def _without_boxes(answers: Answers) -> Mapping[str, int]:
    """Number of answers by why they have no box."""
    found = Counter(answers.status.tolist())
    reasons = Counter(answers.reason.values())
    told: dict[str, int] = {}
    for status in STATUSES:
        if status != "boxes" and found[status]:
            why = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
            told[f"{status} ({why})" if status == "unparsable" else status] = found[status]
    return told


def _boxes(answers: Answers, sizes: np.ndarray[Any, Any], dialect: Dialect) -> Iterator[coco.Answer]:
    """The boxes of each answer in pixels. Log-probabilities become probabilities; other scores stay as they are."""
    stated = answers.scores[~np.isnan(answers.scores)]
    scores = np.exp(answers.scores) if not (stated > 0).any() else answers.scores
    scores = np.where(np.isnan(scores), SURE, scores)
    ends = np.searchsorted(answers.sample, np.arange(len(sizes)), side="right")
    start = 0
    for (width, height), end in zip(sizes.tolist(), ends.tolist(), strict=True):
        boxes = dialect.scale.to_pixels(answers.cells[start:end], (width, height))
        yield coco.Answer(boxes.tolist(), scores[start:end].tolist())
        start = end
