"""`grounding benchmark`: answers a dataset with a model, or takes a predictions file, and writes the report folder.

Joins reading, answering, scoring and reporting; knows nothing of how each works. Needs torch only with --model.

grounding benchmark --data data/mine/test.jsonl --model checkpoints/cogvlm --adapter runs/mine/adapter --out runs/report
"""

from __future__ import annotations

import gc
import hashlib
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from grounding.cli.model_options import ARITHMETIC, LOADING, PATH, answer_tokens, load, model_options
from grounding.errors import InputError
from grounding.evaluation.evaluate import evaluate
from grounding.evaluation.predictions import Prediction, open_aligned
from grounding.evaluation.protocols import DEFAULT, PROTOCOLS
from grounding.evaluation.report.headline import BASELINE_NAMES, beside, headline_rows, percent, span, warnings
from grounding.processes import is_first, together
from grounding.samples import LANGUAGES, Dataset, open_dataset, read_dataset
from grounding.text import COGVLM, DIALECTS, dialect_named

WIDTH = 96  # a narrower terminal wraps the table, which is better than to cut columns off
NOT_SHOWN = {BASELINE_NAMES["always_not_found"]}  # plain to see, and the terminal is narrow
NEED_MODEL = ("constrain", "with_base", *LOADING)


@click.command(name="benchmark")
@click.option("--data", type=PATH, required=True, metavar="FILE.jsonl", help="What to ask, with the truth.")
@model_options
@click.option("--predictions", type=PATH, metavar="FILE.jsonl", help="Answers made before, by any model.")
@click.option("--out", type=PATH, required=True, metavar="DIR", help="Report folder.")
@click.option("--images", type=PATH, metavar="DIR", help="Image root, in place of the manifest's.")
@click.option("--allow-missing", is_flag=True, help="Samples without a prediction count as unparsable.")
@click.option(
    "--protocol", type=click.Choice(list(PROTOCOLS)), default=DEFAULT.name, show_default=True, help="Rules of scoring."
)
@click.option(
    "--dialect",
    default=COGVLM.name,
    show_default=True,
    metavar="NAME",
    help=f"Form of the boxes in --predictions: {', '.join(DIALECTS)} (qwen2.5-vl:max_pixels=N where it was set).",
)
@click.option("--with-base", is_flag=True, help="Answer without the adapter too, and show it as a baseline.")
@click.option("--base-predictions", type=PATH, metavar="FILE.jsonl", help="The untuned model's answers, as a baseline.")
@click.option("--batch-size", type=click.IntRange(1), default=8, show_default=True, help="Prompts at once.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N samples: a trial, said so loudly.")
@click.option("--gallery", type=click.IntRange(0), default=1000, show_default=True, help="Samples with their picture.")
@click.option("--lang", type=click.Choice(LANGUAGES), default="en", show_default=True, help="Words of report.html.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the intervals.")
@click.option("--follow-links", is_flag=True, help="Allow symbolic links out of the image root.")
def command(data: Path, out: Path, **options: Any) -> None:
    """Measure how well a model finds things, and how well it says that a thing is not there.

    Every sample of --data is answered by --model (with --adapter, if given), or has its answer in --predictions.
    --out gets report.html, report.json, samples.jsonl and, with a model, predictions.jsonl. A run that was stopped goes
    on where it was when the same command is given again. Under torchrun, several GPUs share the samples.
    """
    _check(options)
    # A model's answers take far longer than their samples take memory; those of a file are read as they are needed.
    whole = (open_dataset if options["model"] is None else read_dataset)(data, options["images"])
    gc.freeze()  # what was imported stays: the garbage collector need not look through it for every few answers
    dataset = whole if options["limit"] is None else replace(whole, samples=whole.samples[: options["limit"]])
    with _bars() as bar:
        if options["model"] is not None:
            with together():
                predictions, base, answers = _answer(whole, dataset, out, options, bar)
        else:
            predictions, base, answers = _read(whole, dataset, options)
        if not is_first():
            return
        with bar("Scoring", None):
            evaluation = evaluate(
                dataset.samples,
                predictions,
                not_found=dataset.not_found,
                protocol=options["protocol"],
                dialect=options["dialect"],
                seed=options["seed"],
                base=base,
            )
        # The drawing libraries take a second to load; a wrong call should fail before.
        from grounding.evaluation.report.write import write_report

        with bar("Writing the report", min(options["gallery"], len(evaluation.scored.truth.samples))) as progress:
            report = write_report(
                out,
                evaluation,
                image_root=dataset.image_root,
                about={
                    "data": _about_data(whole, options),
                    "answers": answers,
                    "settings": {
                        name: str(value) if isinstance(value, Path) else value for name, value in options.items()
                    },
                    "versions": _versions() if options["model"] is not None else {},
                    "command": _command(click.get_current_context()),
                },
                cards=options["gallery"],
                lang=options["lang"],
                follow_links=options["follow_links"],
                progress=progress,
            )
    _tell(Console(), report, out)


def _check(options: Mapping[str, Any]) -> None:
    """Options that contradict each other, before anything is read."""
    if (options["model"] is None) == (options["predictions"] is None):
        raise InputError("give either --model or --predictions.", where="grounding benchmark")
    dialect_named(options["dialect"])
    if options["model"] is not None and options["dialect"] != COGVLM.name:
        raise InputError("--dialect is about predictions files; the model here writes CogVLM's.", where="--dialect")
    if options["model"] is None:
        useless = [f"--{name.replace('_', '-')}" for name in NEED_MODEL if options[name]]
        if useless:
            raise InputError(f"{', '.join(useless)} need --model.", where="grounding benchmark")
    elif options["allow_missing"] and options["base_predictions"] is None:
        raise InputError(
            "--allow-missing is about predictions files; a model answers everything.", where="grounding benchmark"
        )
    if options["with_base"] and options["adapter"] is None:
        raise InputError(
            "--with-base needs --adapter: without one, the model is the base.", where="grounding benchmark"
        )
    if options["with_base"] and options["base_predictions"] is not None:
        raise InputError("give either --with-base or --base-predictions.", where="grounding benchmark")


Given = Sequence[Prediction | None]
Answers = tuple[Given, Given | None, dict[str, Any]]
Bar = Callable[[str, int | None], Any]


def _read(whole: Dataset, dataset: Dataset, options: Mapping[str, Any]) -> Answers:
    """The answers of predictions files, and what the report says of them."""
    path: Path = options["predictions"]
    predictions = _aligned(path, whole, dataset, options)
    base = options["base_predictions"]
    return (
        predictions,
        None if base is None else _aligned(base, whole, dataset, options),
        {
            "name": path.name,
            "predictions": str(path),
            "sha256": _sha256(path),
            "base_predictions": None if base is None else str(base),
        },
    )


def _aligned(path: Path, whole: Dataset, dataset: Dataset, options: Mapping[str, Any]) -> Given:
    """One prediction for each sample measured; ids are held against the whole file, whatever --limit says."""
    return open_aligned(path, whole.samples, allow_missing=options["allow_missing"])[: len(dataset.samples)]


def _answer(whole: Dataset, dataset: Dataset, out: Path, options: Mapping[str, Any], bar: Bar) -> Answers:
    """Loads the model and lets it answer; with --with-base a second time without its adapter."""
    from grounding.evaluation.predict import check_images, fingerprint_of, predict

    check_images(dataset, follow_links=options["follow_links"])  # before minutes of loading
    with bar("Loading the model", None):
        loaded = load(options)
    settings = {name: options[name] for name in ARITHMETIC}
    max_new_tokens = answer_tokens(options)
    constrain = options["max_boxes"] if options["constrain"] else None
    settings |= {"max_new_tokens": max_new_tokens, "constrain": constrain}

    def run(name: str, title: str, adapter: Path | None) -> Given:
        fingerprint = fingerprint_of(
            dataset,
            files={"model": loaded.folder, "adapter": adapter, "tokenizer": options["tokenizer"]},
            settings={**settings, "device": loaded.model.device.type},
        )
        with bar(title, len(dataset.samples)) as progress:
            made = predict(
                loaded.model,
                loaded.processor,
                dataset,
                out / name,
                fingerprint=fingerprint,
                batch_size=options["batch_size"],
                max_new_tokens=max_new_tokens,
                constrain=constrain,
                follow_links=options["follow_links"],
                progress=progress,
            )
        return list(made)

    predictions = run("predictions.jsonl", "Answering", options["adapter"])
    base: Given | None = None
    if options["with_base"]:
        with loaded.model.disable_adapter():
            base = run("base_predictions.jsonl", "Answering without the adapter", None)
    elif options["base_predictions"] is not None:
        path: Path = options["base_predictions"]
        base = _aligned(path, whole, dataset, options)
    model = loaded.model
    about = {
        "name": str(options["model"]),
        "adapter": None if options["adapter"] is None else str(options["adapter"]),
        "predictions": str(out / "predictions.jsonl"),
        "template": loaded.processor.template_version,
        "image_size": loaded.processor.image_size,
        "warnings": list(loaded.warnings),
        "device": str(model.device),
        "dtype": str(model.get_input_embeddings().weight.dtype).removeprefix("torch."),
        "quantization": options["quantization"],
        "decoding": {
            "method": "greedy",
            "max_new_tokens": max_new_tokens,
            "constrained": options["constrain"],
        },
    }
    return predictions, base, about


def _about_data(whole: Dataset, options: Mapping[str, Any]) -> dict[str, Any]:
    """What the report says of the data."""
    path = whole.path
    manifest = path.parent / "manifest.json"
    beside = path.is_file() and manifest.is_file()
    return {
        "file": str(path),
        "name": path.name,
        "sha256": _sha256(path),
        "manifest": str(manifest) if beside else None,
        "manifest_sha256": _sha256(manifest) if beside else None,
        "image_root": str(whole.image_root),
        "not_found": whole.not_found,
        "samples_in_file": len(whole.samples),
        "limit": options["limit"],
    }


def _command(context: click.Context) -> str:
    """The call once more, without what was left to its default."""
    words = ["grounding", "benchmark"]
    for option in context.command.params:
        assert option.name is not None
        if context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE:
            value = context.params[option.name]
            words += [option.opts[0]] if value is True else [option.opts[0], str(value)]
    return shlex.join(words)


def _sha256(path: Path) -> str:
    """Of a file; of a folder, of its label files and their names."""
    if path.is_file():
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    digest = hashlib.sha256()
    for file in sorted(path.glob("labels/*.json")):
        digest.update(f"{file.name} {_sha256(file)}\n".encode())
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("torch", "transformers", "peft", "pillow")}


@contextmanager
def _bars() -> Iterator[Bar]:
    """Makes a bar on stderr for each step, gone when it is done; nothing is drawn where stderr is no terminal."""
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not (console.is_terminal and is_first())) as bars:

        @contextmanager
        def bar(step: str, total: int | None) -> Iterator[Callable[[int], None]]:
            task = bars.add_task(escape(step), total=total)
            yield lambda done: bars.advance(task, done)
            bars.remove_task(task)

        yield bar


def _tell(console: Console, report: Mapping[str, Any], out: Path) -> None:
    """The headline, and everything that a reader must know beside it."""
    for warning in warnings(report):
        console.print(f"[bold yellow]Note:[/] {escape(warning)}", highlight=False)
    if report["metrics"]["n"]:
        table = Table(
            title=f"{report['metrics']['n']:,} samples", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
        )
        table.add_column("percent", no_wrap=True)
        for heading in ("value", "95 %", "n"):
            table.add_column(heading, justify="right", no_wrap=True)
        shown = [heading for heading in beside(report) if heading not in NOT_SHOWN]
        for heading in shown:
            table.add_column(heading, justify="right", min_width=max(map(len, heading.split())))
        for group in headline_rows(report):
            for row in group["rows"]:
                others = (percent(row["beside"][heading]) for heading in shown)
                name = row["name"] + (" ↓" if row["less_is_better"] else "")
                table.add_row(
                    name, f"[bold]{percent(row['rate'])}[/]", span(row["rate"]), f"{row['rate']['n']:,}", *others
                )
            table.add_section()
        console.print(table, width=max(console.width, WIDTH), crop=False)
        statuses = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in report["statuses"].items())
        console.print(f"Answers: {statuses}", highlight=False)
    reasons = report["metrics"]["unparsable"]["by_reason"]
    if reasons:
        console.print(f"Unparsable: {', '.join(f'{reason} {n:,}' for reason, n in reasons.items())}", highlight=False)
    for task, entry in report["other_tasks"].items():
        console.print(f"{task}: exact match {percent(entry['exact_match'])} % of {entry['n']:,}", highlight=False)
    if report["pictures"]["missing"]:
        console.print(f"{len(report['pictures']['missing']):,} pictures of the gallery are not here.", highlight=False)
    console.print(f"Report: {escape(str(out / 'report.html'))}", highlight=False, soft_wrap=True)
