"""`grounding benchmark`: answers a dataset with a model, or takes a predictions file, and writes the report folder.

Joins reading, answering, scoring and reporting; knows nothing of how each works. Needs torch only with --model.

grounding benchmark --data data/mine/test.jsonl --model checkpoints/cogvlm --adapter runs/mine/adapter --out runs/report
"""

from __future__ import annotations

import gc
import hashlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from rich.console import Console
from rich.markup import escape

from grounding.cli.answers import Answered, Asked, all_sets, from_files, from_model
from grounding.cli.benchmark_told import tell_report
from grounding.cli.choice import Choice, dialect_option
from grounding.cli.compare import judge_all_drops, tell
from grounding.cli.gates import enforce, gates_of, report_gates
from grounding.cli.model_options import LOADING, PATH, check_model, model_options
from grounding.cli.riders import rider
from grounding.cli.tables import output
from grounding.cli.there import check_out
from grounding.errors import InputError
from grounding.evaluation.comparison.runs import ALSO, Run, check_same, read_run, read_runs
from grounding.evaluation.evaluate import evaluate
from grounding.evaluation.gates import DROP, Gate, Judgement, judge_report
from grounding.evaluation.protocols import DEFAULT, PROTOCOLS
from grounding.evaluation.report.limits import MOST_PICTURED
from grounding.processes import is_first, together
from grounding.progress import Bars, Step
from grounding.samples import LANGUAGES, Dataset, shared_images
from grounding.text import COGVLM, dialect_named

NEED_MODEL = ("constrain", "with_base", *LOADING)


@click.command(name="benchmark")
@click.option(
    "--data",
    type=PATH,
    required=True,
    metavar="FILE.jsonl",
    help="What to ask, with the truth; of a dataset folder its test.jsonl, else its val.jsonl.",
)
@model_options
@click.option("--predictions", type=PATH, metavar="FILE.jsonl", help="Answers made before, by any model.")
@click.option("--out", type=PATH, required=True, metavar="DIR", help="Report folder.")
@click.option("--images", type=PATH, metavar="DIR", help="Image root, in place of the manifest's.")
@click.option("--allow-missing", is_flag=True, help="Samples without a prediction count as unparsable.")
@click.option(
    "--protocol", type=Choice(list(PROTOCOLS)), default=DEFAULT.name, show_default=True, help="Rules of scoring."
)
@dialect_option
@click.option("--with-base", is_flag=True, help="Answer without the adapter too, and show it as a baseline.")
@click.option("--base-predictions", type=PATH, metavar="FILE.jsonl", help="The untuned model's answers, as a baseline.")
@click.option("--batch-size", type=click.IntRange(1), default=8, show_default=True, help="Prompts at once.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N samples: a trial, said so loudly.")
@click.option(
    "--gallery", type=click.IntRange(0), default=MOST_PICTURED, show_default=True, help="Samples with their picture."
)
@click.option("--lang", type=Choice(LANGUAGES), default="en", show_default=True, help="Words of report.html.")
@click.option("--also", multiple=True, metavar="[NAME=]FILE.jsonl", help="A set that rides along: is it forgotten?")
@click.option("--also-predictions", type=PATH, multiple=True, metavar="FILE.jsonl", help="Answers to it; same order.")
@click.option("--also-base-predictions", type=PATH, multiple=True, metavar="FILE.jsonl", help="The untuned model's.")
@report_gates
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the intervals.")
@click.option("--follow-links", is_flag=True, help="Allow symbolic links out of the image root.")
def command(data: Path, out: Path, **options: Any) -> None:
    """Measure how well a model finds things, and how well it says that a thing is not there.

    Every sample of --data is answered by --model (with --adapter, if given), or has its answer in --predictions.
    --out gets report.html, report.json, samples.jsonl and, with a model, predictions.jsonl. A run that was stopped goes
    on where it was when the same command is given again. Under torchrun, several GPUs share the samples. With
    --baseline, --out/compare holds the comparison; gates that are missed end in exit status 1, when all is written.
    """
    _check(options)
    check_out(out)
    with _collector(at_rest=options["model"] is None):
        judged = _measured_and_judged(data, out, options)
    if judged is not None:
        enforce(judged, options["junit"], f"grounding benchmark {data.name}")


def _measured_and_judged(data: Path, out: Path, options: Mapping[str, Any]) -> list[Judgement] | None:
    """Everything but to fail where a gate was missed; processes other than the first only answer, and judge nothing."""
    sets = all_sets(data, out, options)
    gates = gates_of(options, [asked.name for asked in sets[1:]])
    baseline = None if options["baseline"] is None else _baseline(sets[0], options, gates)
    with Bars() as bars:
        bar = bars.step
        if options["model"] is not None:
            with together():
                answered = from_model(sets, options, bar)
        else:
            answered = [from_files(asked, options, _sha256) for asked in sets]
        if not is_first():
            return None
        reports: dict[str, dict[str, Any]] = {}
        also: dict[str, dict[str, Any]] = {}
        for asked, answers in [*zip(sets[1:], answered[1:], strict=True), (sets[0], answered[0])]:
            report = _measure(asked, answers, also if not asked.name else {}, options, bar)
            reports[asked.name] = report
            if asked.name:
                also[asked.name] = rider(asked, answers, report, seed=options["seed"])
        console = output()
        tell_report(console, reports[""], out)
        for name in also:
            tell_report(console, reports[name], out / ALSO / name, name)
        for stale in _of_an_earlier_call(out, options):
            told = f"{escape(str(stale))} is of an earlier call and has no part in this report."
            console.print(f"[bold yellow]Note:[/] {told}", highlight=False)
        judged = [judge_report(gate, reports[gate.data]) for gate in gates if gate.option != DROP]
        if baseline is not None:
            judged += _against(baseline, out, [gate for gate in gates if gate.option == DROP], options, console)
    return judged


@contextmanager
def _collector(*, at_rest: bool) -> Iterator[None]:
    """Python's garbage collector passes over what was imported, and does nothing while only files are scored.

    Scoring makes lists of numbers by the million, no circles among them: looking for some takes a seventh of its time.
    """
    gc.freeze()
    if at_rest:
        gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _measure(
    asked: Asked, answers: Answered, also: Mapping[str, Any], options: Mapping[str, Any], bar: Step
) -> dict[str, Any]:
    """Scores the answers and writes the report folder; returns what report.json holds."""
    with bar("Scoring", None):
        evaluation = evaluate(
            asked.dataset.samples,
            answers.predictions,
            not_found=asked.dataset.not_found,
            protocol=options["protocol"],
            dialect=options["dialect"],
            seed=options["seed"],
            base=answers.base,
        )
    # The drawing libraries take a second to load; a wrong call should fail before.
    from grounding.evaluation.report.write import write_report

    with bar("Writing the report", min(options["gallery"], len(evaluation.scored.truth.samples))) as progress:
        return write_report(
            asked.out,
            evaluation,
            image_root=asked.dataset.image_root,
            about={
                "data": _about_data(asked.whole, options),
                "answers": answers.about,
                "settings": _plain(options),
                "versions": _versions() if options["model"] is not None else {},
                "also": also,
                "command": _command(click.get_current_context()),
            },
            cards=options["gallery"],
            lang=options["lang"],
            follow_links=options["follow_links"],
            progress=progress,
        )


def _baseline(asked: Asked, options: Mapping[str, Any], gates: Sequence[Gate]) -> Run:
    """The run to be held against, if it is about the same samples: looked at before anything is answered.

    Raises:
        InputError: it is not, or it lacks a set that a gate is about.
    """
    run = read_run(options["baseline"], "baseline")
    check_same(run.samples, asked.dataset.samples, str(run.folder), str(asked.dataset.path))
    if run.protocol != options["protocol"]:
        fix = f"Measure with --protocol {run.protocol}, or the baseline anew."
        raise InputError(f"was measured by the protocol {run.protocol!r}.", where=str(run.folder), fix=fix)
    for gate in gates:
        if gate.option == DROP and gate.data and gate.data not in run.report.get(ALSO, {}):
            fix = "Measure the baseline with it, by the same --also."
            raise InputError(f"the set {gate.data!r} did not ride along with it.", where=str(run.folder), fix=fix)
    return run


def _against(
    baseline: Run, out: Path, gates: Sequence[Gate], options: Mapping[str, Any], console: Console
) -> list[Judgement]:
    """Writes the comparison with the baseline beside the report, and judges the gates about it."""
    from grounding.evaluation.report.compare_write import groups_of, write_comparison

    groups = groups_of(read_runs([("baseline", baseline.folder), ("now", out)]), seed=options["seed"])
    table = write_comparison(out / "compare", groups, images=options["images"], follow_links=options["follow_links"])
    console.print(f"[bold]Against the baseline[/] {escape(str(baseline.folder))}", highlight=False, soft_wrap=True)
    tell(console, table, out / "compare")
    return judge_all_drops(gates, table)


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
    elif options["also_predictions"]:
        raise InputError("is about predictions files; the model answers what rides along.", where="--also-predictions")
    elif options["allow_missing"] and options["base_predictions"] is None:
        raise InputError(
            "--allow-missing is about predictions files; a model answers everything.", where="grounding benchmark"
        )
    if options["with_base"] and options["adapter"] is None:
        raise InputError(
            "--with-base needs --adapter: without one, the model is the base.", where="grounding benchmark"
        )
    if options["with_base"] and (options["base_predictions"] is not None or options["also_base_predictions"]):
        raise InputError("give either --with-base or --base-predictions.", where="grounding benchmark")
    check_model(options)


def _of_an_earlier_call(out: Path, options: Mapping[str, Any]) -> list[Path]:
    """What a model answered into this folder before and this call did not use; it may have cost hours: it is kept."""
    if options["model"] is not None:
        return []
    used = {path.resolve() for path in (options["predictions"], options["base_predictions"]) if path is not None}
    left = (out / name for name in ("predictions.jsonl", "base_predictions.jsonl"))
    return [path for path in left if path.exists() and path.resolve() not in used]


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
        "image_root": str(whole.image_root.resolve()),  # the report is read from other folders, too
        "not_found": whole.not_found,
        "samples_in_file": len(whole.samples),
        "limit": options["limit"],
        **_seen_in_training(whole),
    }


def _seen_in_training(whole: Dataset) -> dict[str, Any]:
    """How many of its images the training set in its folder is about, where there is one: what reviewers ask first."""
    train = whole.path.parent / "train.jsonl"
    if not train.is_file() or train.resolve() == whole.path.resolve():
        return {"train_file": None, "images_in_train": None}
    return {"train_file": str(train), "images_in_train": shared_images(whole.samples, train)}


def _command(context: click.Context) -> str:
    """The call once more, without what was left to its default."""
    words = ["grounding", "benchmark"]
    for option in context.command.params:
        assert option.name is not None
        if context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE:
            value = context.params[option.name]
            for one in value if isinstance(value, tuple) else (value,):
                words += [option.opts[0]] if one is True else [option.opts[0], str(one)]
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


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as they can stand in JSON."""

    def text(value: Any) -> Any:
        if isinstance(value, tuple):
            return [text(one) for one in value]
        return str(value) if isinstance(value, Path) else value

    return {name: text(value) for name, value in options.items()}
