"""`grounding export`: a dataset, or answers to it, in the form that another program reads. Imports no torch.

Joins reading and writing; knows neither the forms nor how an answer is read.

grounding export data/mine/test.jsonl --to swift --out test.swift.jsonl
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click
import numpy as np

from data_tools.inspection.opening import check_root, open_splits, split_files
from data_tools.reasons import REASONS
from data_tools.records import Finding, Tally
from data_tools.splits import SPLITS
from data_tools.writers import STYLES, Style, coco, writable, yolo
from data_tools.writers.folder import MANIFEST
from data_tools.writers.parquet import write_parquet
from data_tools.writers.unsaid import unsaid
from grounding.cli.choice import Choice, dialect_option
from grounding.cli.model_options import PATH
from grounding.counted import counted
from grounding.errors import InputError
from grounding.evaluation.parse import STATUSES, Answers, judge_all
from grounding.evaluation.predictions import open_aligned
from grounding.samples import Dataset, Sample, open_dataset, pick
from grounding.text import Dialect, dialect_named

INSTANCES, RESULTS = "coco-instances", "coco-results"
YOLO, YOLO_RESULTS = "yolo", "yolo-results"
ANSWERS = (RESULTS, YOLO_RESULTS)
FOLDERS = (YOLO, YOLO_RESULTS)  # what is a folder, of one split too
UNSAID = 5  # classes, and images of each, that are named where they become absent
SUFFIXES = (".json", ".jsonl", ".parquet")
SURE = 1.0  # the score of a box that comes without one


Name = TypeVar("Name", str, Path)


class Form(NamedTuple):
    """A form that knows images, classes and all boxes of a class; its module says what of samples that leaves."""

    word: str
    sayable: Callable[[Sequence[Sample]], tuple[list[int], dict[str, int]]]
    classes_of: Callable[[Iterable[Sample]], frozenset[str]]
    write_results: Callable[..., int]


_COCO = Form("COCO", coco.sayable, coco.classes_of, coco.write_results)
_YOLO = Form("YOLO", yolo.sayable, yolo.classes_of, yolo.write_results)


@click.command("export")
@click.argument("dataset", type=PATH)
@click.option(
    "--to",
    type=Choice([*STYLES, INSTANCES, RESULTS, YOLO, YOLO_RESULTS]),
    required=True,
    help="The form; docs/formats.md has all.",
)
@click.option("--out", type=PATH, required=True, metavar="FILE", help="The file to write; of several, their folder.")
@click.option("--predictions", type=PATH, metavar="FILE.jsonl", help=f"The answers, for {' and '.join(ANSWERS)}.")
@dialect_option
@click.option("--allow-missing", is_flag=True, help="Samples without a prediction give no box.")
@click.option("--embed-images", is_flag=True, help="The image files too. parquet: in a column `picture`.")
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

    Of a folder that `convert` made, each split goes into a file of its name in --out. Truth goes out in pixels, for
    yolo in fractions of the image's sides. With coco-results and yolo-results it is the answers to DATASET that go
    out, with the image and class ids of coco-instances and yolo. Class ids are those of the whole dataset: of train,
    val and test together, where they lie beside each other.
    """
    split_files(dataset)
    check_root(images)
    splits = sorted(file.name for file in dataset.glob("*.jsonl")) if dataset.is_dir() else []
    _check(dataset, splits, to, out, predictions, embed_images)
    if to in ANSWERS:
        assert predictions is not None  # by the check
        if to == RESULTS:
            _check_new([out], overwrite)
        form = _COCO if to == RESULTS else _YOLO
        whole = open_dataset(dataset, images)
        _export_results(whole, predictions, out, dialect_named(dialect), allow_missing, form)
        return
    held = _open_all(dataset, images) if splits else {dataset.stem: open_dataset(dataset, images)}
    if to == YOLO:
        classes = frozenset() if splits else _classes_beside(dataset, _YOLO)
        _export_yolo(held, out, classes, embed_images, follow_links)
        return
    suffix = ".json" if to == INSTANCES else STYLES[to].suffix
    files = {name: out / f"{name}{suffix}" if splits else out for name in held}
    _check_new(files.values(), overwrite)
    if to == INSTANCES:
        classes = frozenset() if splits else _classes_beside(dataset, _COCO)
        _export_instances({files[name]: split for name, split in held.items()}, classes)
        return
    for name, split in held.items():
        _export_samples(split, files[name], _style(to, embed_images, split, follow_links))


def _open_all(dataset: Path, images: Path | None) -> Mapping[str, Dataset]:
    """The splits of a folder that have samples; those that have none are told."""
    opened = open_splits(dataset, images)
    for name in opened.empty:
        click.echo(f"{name} has no sample; no file is written for it")
    return opened.splits


def _check_new(files: Iterable[Path], overwrite: bool) -> None:
    """Raises InputError for a file that stands there already."""
    old = [] if overwrite else [str(file) for file in files if file.exists()]
    if old:
        fix = "Name another with --out; --overwrite replaces it."
        raise InputError(f"stands there already: {', '.join(old)}", where="--out", fix=fix)


def _classes_beside(dataset: Path, form: Form) -> frozenset[str]:
    """The classes of the other splits beside a file of one; none, and this is told, where it is alone."""
    beside = [dataset.with_name(f"{name}.jsonl") for name in SPLITS]
    others = [file for file in beside if file != dataset and file.is_file() and file.stat().st_size]
    if dataset not in beside or not others:
        click.echo(f"classes are numbered by {dataset.name} alone: no other split lies beside it")
        return frozenset()
    return frozenset().union(*(form.classes_of(open_dataset(file).samples) for file in others))


def _export_instances(splits: Mapping[Path, Dataset], classes: frozenset[str]) -> None:
    """A file for each split, with the classes of all of them and `classes`."""
    chosen = _sayable(splits, _COCO)
    every = classes.union(*(coco.classes_of(samples) for samples in chosen.values()))
    for out, samples in chosen.items():
        coco.write_instances(out, samples, every)
        held = f"{counted(len(samples), 'sample')}, {counted(len(every), 'class', 'classes')}"
        click.echo(f"{out}: the truth of {held}")


def _export_yolo(
    splits: Mapping[str, Dataset], out: Path, classes: frozenset[str], embed_images: bool, follow_links: bool
) -> None:
    """One folder of all splits, with their classes and `classes`; a single split of another name is train."""
    if len(splits) == 1 and not splits.keys() & set(SPLITS):
        splits = dict(zip(SPLITS[:1], splits.values(), strict=True))
    if unknown := sorted(splits.keys() - set(SPLITS)):
        raise InputError(f"YOLO knows {', '.join(SPLITS)}; found {', '.join(unknown)}", where="--to yolo")
    chosen = _sayable(splits, _YOLO)
    every = classes.union(*(yolo.classes_of(samples) for samples in chosen.values()))
    image_root = next(iter(splits.values())).image_root
    pictures = yolo.Pictures(image_root, follow_links) if embed_images else None
    lost = _unsaid(list(splits.values()), chain.from_iterable(chosen.values()))
    ignored = yolo.write_truth(out, chosen, every, pictures)
    held = f"{counted(sum(map(len, chosen.values())), 'sample')}, {counted(len(every), 'class', 'classes')}"
    click.echo(f"{out}: the truth of {held}")
    if ignored:
        click.echo(f"left out: {counted(ignored, 'box', 'boxes')} to ignore; YOLO takes what is in them for background")
    click.echo("YOLO takes every class that has no row in an image for absent there, whether it was asked for or not")
    _tell_unsaid(lost)
    if not embed_images:
        click.echo(f"without images: lay those of {image_root.resolve()} into {out / yolo.FOLDER}, or --embed-images")


def _unsaid(splits: Sequence[Dataset], chosen: Iterable[Sample]) -> Mapping[str, Sequence[str]]:
    """What becomes absent though it is annotated: class -> images."""
    asked = {(sample.image, coco.class_of(sample)) for sample in chosen if sample.image is not None}
    return unsaid(splits[0].path.parent, chain.from_iterable(split.samples for split in splits), asked)


def _tell_unsaid(found: Mapping[str, Sequence[str]]) -> None:
    for name, images in islice(found.items(), UNSAID):
        first = ", ".join(images[:UNSAID]) + (", ..." if len(images) > UNSAID else "")
        click.echo(f"false absence: {name} is annotated in {counted(len(images), 'image')} without a row: {first}")
    if len(found) > UNSAID:
        click.echo(f"false absence: {counted(len(found) - UNSAID, 'more class', 'more classes')} likewise")
    if found:
        click.echo("these were refused there or not asked for (findings.json): mend them, or leave the images out")


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
    if (predictions is not None) != (to in ANSWERS):
        problem = f"--to {' and '.join(ANSWERS)} need --predictions, and nothing else takes it"
        raise InputError(problem, where="grounding export")
    if embed_images and to not in ("parquet", YOLO):
        raise InputError(f"only parquet and {YOLO} have room for images", where="--embed-images")
    if splits and to in ANSWERS:
        problem = f"is a folder with {', '.join(splits)}, and the answers in --predictions are to one file"
        raise InputError(problem, where=str(dataset), fix="Name one of them.")
    if splits and out.exists() and not out.is_dir():
        raise InputError("is a file; a folder with a file for each split is written", where=f"--out {out}")
    if splits and to not in FOLDERS and out.suffix in SUFFIXES and not out.exists():
        problem = f"reads like a file; {dataset} has {', '.join(splits)}, and goes into a folder with a file for each"
        raise InputError(problem, where=f"--out {out}", fix="Name a folder, or export one of them.")
    if splits and (out / MANIFEST).exists():
        raise InputError("holds a dataset, whose files would be replaced", where=f"--out {out}", fix="Name another.")
    if to in FOLDERS and out.exists() and not (out.is_dir() and not any(out.iterdir())):
        problem = "stands there already, and a folder is written as a whole"
        raise InputError(problem, where=f"--out {out}", fix="Name another, or remove it.")
    if out.is_dir() and not splits and to not in FOLDERS:
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


def _export_results(dataset: Dataset, path: Path, out: Path, dialect: Dialect, allow_missing: bool, form: Form) -> None:
    predictions = open_aligned(path, dataset.samples, allow_missing=allow_missing)
    places, _ = form.sayable(dataset.samples)
    samples = _sayable({path: dataset}, form)[path]
    sizes = np.array([(sample.width, sample.height) for sample in samples], dtype=np.float64)
    answers = judge_all(pick(predictions, places), sizes, dataset.not_found or None, dialect)
    classes = _classes_beside(dataset.path, form)
    written = form.write_results(out, samples, _boxes(answers, sizes, dialect), classes)
    click.echo(f"{out}: {counted(written, 'box', 'boxes')} from {counted(len(samples), 'answer')}")
    for status, count in _without_boxes(answers).items():
        click.echo(f"no box: {counted(count, 'answer')}, {status}")
    unscored = int(np.isnan(answers.scores).sum())
    if unscored:
        unfit = f"; in {counted(answers.unfit, 'answer')} there is not one for each box" if answers.unfit else ""
        come = counted(unscored, "box comes", "boxes come")
        click.echo(f"score {SURE}: {come} without one{unfit}")


def _sayable(splits: Mapping[Name, Dataset], form: Form) -> dict[Name, Sequence[Sample]]:
    """The samples of each split that a form can say; what is left out is told, of all splits together."""
    chosen: dict[Name, Sequence[Sample]] = {}
    left: Counter[str] = Counter()
    for name, split in splits.items():
        places, others = form.sayable(split.samples)
        chosen[name] = pick(split.samples, places)
        left.update(others)
    for what, count in sorted(left.items()):
        click.echo(f"left out: {counted(count, 'sample')} of {what}, which {form.word} has no word for")
    return chosen


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
