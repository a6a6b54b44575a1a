"""`grounding finetune`: settings and `key=value` words to a trained adapter or model.

Joins training with inference and scoring; knows nothing of how either works.

grounding finetune configs/tiny_cpu.yaml output=runs/mine
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from grounding.cli.there import check_data_there
from grounding.cli.validation_kept import is_kept, validation_kept
from grounding.errors import InputError, ManyErrors, RunError
from grounding.models.hub import is_hub_name
from grounding.models.presence import check_presence
from grounding.processes import is_first
from grounding.progress import waiting
from grounding.settings import FinetuneSettings, read_with_places, settings_yaml, template_settings
from grounding.training.dataset_folders import with_files
from grounding.training.run_folder import RunFolder, adapter_to_start_from

if TYPE_CHECKING:
    from PIL import Image

    from grounding.evaluation.predictions import Prediction
    from grounding.models.cogvlm import CogVLMProcessor
    from grounding.samples import Dataset
    from grounding.settings.places import KeyPath, Source

    Progress = Callable[[int], None]
    EvaluateFactory = Callable[[CogVLMProcessor, Dataset, Progress], Callable[[Any], dict[str, float]]]


OTHERWISE = {
    "data.val": ", or data.val=null to evaluate on nothing",
    "model.tokenizer": ", or model.tokenizer=null to use the checkpoint's own",
}
"""What else can be done about a setting whose file is not there."""


def _print_settings(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        click.echo(settings_yaml(template_settings(), comments=True), nl=False)
        context.exit()


@click.command(name="finetune")
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--print-settings",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_settings,
    help="Print every setting with its default and meaning, as YAML, and stop.",
)
def command(config: Path, overrides: tuple[str, ...]) -> None:
    """Specialise a CogVLM checkpoint, or train a small net from random weights, as CONFIG (YAML) says.

    KEY=VALUE changes a setting: training.epochs=5, data.train=[a.jsonl,b.jsonl]. Paths are relative to the working
    directory; a folder that `convert` made stands for its train.jsonl and val.jsonl. The run folder (`output`) gets
    checkpoints, a log, and the result: adapter/ (LoRA) or model/ (full training). The same command goes on with a run
    that was stopped; Ctrl-C saves first. tuning.start_from=RUN trains the adapter of another run further.

    \b
    grounding finetune --print-settings > mine.yaml
    grounding finetune configs/tiny_cpu.yaml output=runs/mine
    """
    settings, source = read_with_places(config, overrides)
    _check_places(with_files(settings), source)
    if is_first() and (note := validation_kept(settings, source)):
        click.echo(f"Note: {note}")
    with waiting("loading PyTorch"):
        from grounding.training.run import run

    drawn: dict[str, Image.Image] = {}
    with _origin_of_the_model_told(settings, source):
        result = run(settings, evaluate_factory=evaluate_factory(settings, drawn), drawn=drawn, say=click.echo)
    what = "--model" if settings.tuning.method == "full" else f"{_base_options(settings)} --adapter"
    found = ", ".join(
        f"{key.removeprefix('eval_')} {value:.4g}" for key, value in result.metrics.items() if key != "eval_score"
    )
    if not is_first():
        return
    click.echo(f"Result: {result.result}, the weights of step {result.best_step} of {result.steps}. {found}".rstrip())
    click.echo(f"Measure it: grounding benchmark --data TEST.jsonl {what} {result.result} --out REPORT")


def _check_places(settings: FinetuneSettings, source: Source) -> None:
    """Sees that what the settings name is there: at once, before torch is imported and anything is read.

    A run that is through needs nothing more, and one that goes on no adapter to start from.

    Args:
        source: where each setting was written.

    Raises:
        ManyErrors: something is not.
    """
    folder = RunFolder(Path(settings.output), settings.tuning.method)
    if folder.result.exists():
        return
    missing: list[InputError] = []
    path = settings.model.path
    for key, look in _looks(settings, goes_on=folder.last_checkpoint() is not None):
        try:
            look()
        except InputError as error:
            missing.append(_with_origin(error, key, source))
    if missing:
        named = path is not None and is_hub_name(path)
        fix = f"{path} is no folder here either; as a name on the hub it is fetched once the rest is there."
        raise ManyErrors("Not all that the settings name can be used", missing, fix=fix if named else None)


def _looks(settings: FinetuneSettings, *, goes_on: bool) -> Iterator[tuple[KeyPath, Callable[[], object]]]:
    """For each setting that names something, what raises an InputError where that is not there."""
    model, start, data = settings.model, settings.tuning.start_from, settings.data
    yield ("model", "path"), partial(check_presence, model.path)
    yield ("model", "tokenizer"), partial(check_presence, tokenizer=model.tokenizer)
    if start is not None and not goes_on:
        yield ("tuning", "start_from"), partial(adapter_to_start_from, start)
    for number, source in enumerate(data.train):
        yield ("data", "train", number), partial(check_data_there, source.path)
    if data.val is not None and data.val.path not in {source.path for source in data.train}:
        yield ("data", "val"), partial(check_data_there, data.val.path)


@contextmanager
def _origin_of_the_model_told(settings: FinetuneSettings, source: Source) -> Iterator[None]:
    """For a checkpoint that could be on the hub: whether it is there shows only when it is fetched."""
    try:
        yield
    except InputError as error:
        if error.where is None or error.where != settings.model.path:
            raise
        raise _with_origin(error, ("model", "path"), source) from error


def _with_origin(error: InputError, key: KeyPath, source: Source) -> InputError:
    """The error about a value of the settings, with the line that names it where that is in the file, not typed."""
    place, setting = source.place(key), ".".join(map(str, key[:2]))
    if not place.line:
        return error
    origin = f"It is {setting} in {place}; name another with {setting}=PATH{OTHERWISE.get(setting, '')}."
    if setting == "data.val" and is_kept(source):
        origin += " Typing data.train alone leaves data.val as it is."
    return InputError(error.problem, where=error.where, fix=f"{error.fix} {origin}" if error.fix else origin)


def _base_options(settings: FinetuneSettings) -> str:
    """How `grounding benchmark` loads the base as this run did."""
    model = settings.model
    words = ["--model", str(model.path)]
    if model.tokenizer is not None:
        words += ["--tokenizer", model.tokenizer]
    if model.quantization != "none":
        words += ["--quantization", model.quantization]
    if model.quantize_tower:
        words += ["--quantize-tower"]
    if model.rope_dtype is not None:
        words += ["--rope-dtype", model.rope_dtype]
    return shlex.join(words)


def evaluate_factory(settings: FinetuneSettings, drawn: dict[str, Image.Image] | None = None) -> EvaluateFactory:
    """What makes, for a run of these settings, the function that answers validation samples and scores the answers.

    Args:
        drawn: gets pictures of the first answers at each evaluation, where trackers are to show them.
    """
    pictures = settings.evaluation.pictures if settings.training.report_to and drawn is not None and is_first() else 0

    def make(processor: CogVLMProcessor, dataset: Dataset, progress: Progress) -> Callable[[Any], dict[str, float]]:
        return make_evaluate(
            processor,
            dataset,
            batch_size=settings.evaluation.batch,
            max_new_tokens=settings.evaluation.max_new_tokens,
            progress=progress,
            drawn=drawn,
            pictures=pictures,
        )

    return make


def make_evaluate(
    processor: CogVLMProcessor,
    dataset: Dataset,
    *,
    batch_size: int,
    max_new_tokens: int,
    progress: Progress | None = None,
    drawn: dict[str, Image.Image] | None = None,
    pictures: int = 0,
) -> Callable[[Any], dict[str, float]]:
    """A function from a model to what it finds in the dataset's samples: rates of the report, each 0..1.

    Where several processes train, each answers a share of the samples, and all find the same.

    Args:
        dataset: samples that ask for boxes, all of them answered.
        batch_size: prompts at once. max_new_tokens: longest answer.
        progress: is told the number of answers made since the last call.
        drawn: gets so many `pictures` by name: the first samples with their true and answered boxes.

    Returns:
        `grec_50`, `acc_50`, `recall_50`, `precision_50`, `mean_iou`, `not_found_f1`, `hallucination_rate`,
        `unparsable_rate`, `cut_off_rate`, of these the ones that the samples allow to be measured.
    """
    from grounding.evaluation.evaluate import score
    from grounding.evaluation.predictions import Prediction
    from grounding.inference.engine import Request, answer, share_of
    from grounding.processes import count, gathered, number
    from grounding.samples import Sample, image_key, open_image

    def request(sample: Sample) -> Request:
        image = (lambda: open_image(dataset.image_root, sample)) if sample.image is not None else None
        return Request(image, sample.prompt, sample.history, image_key=image_key(sample))

    def evaluate(model: Any) -> dict[str, float]:
        requests = [request(sample) for sample in dataset.samples]
        share = share_of(requests, batch_size, number(), count())
        try:
            answers = list(
                answer(
                    model,
                    processor,
                    requests[share.start : share.stop],
                    batch_size=batch_size,
                    max_new_tokens=max_new_tokens,
                    progress=progress,
                )
            )
        except RunError as error:
            raise RunError(
                f"While answering validation samples: {error} Here the setting is evaluation.batch."
            ) from error
        everything = [given for part in gathered(answers) for given in part]
        if progress and len(everything) > len(answers):
            progress(len(everything) - len(answers))
        predictions = [
            Prediction(id=sample.id, text=given.text, scores=given.scores, finish=given.finish)
            for sample, given in zip(dataset.samples, everything, strict=True)
        ]
        if drawn is not None:
            drawn.clear()
            drawn.update(_drawn(dataset, predictions, pictures))
        return _rates(score(dataset.samples, predictions, not_found=dataset.not_found))

    return evaluate


def _drawn(dataset: Dataset, predictions: Sequence[Prediction], count: int) -> Iterator[tuple[str, Image.Image]]:
    """The first samples that have an image: their names with what was asked, and their pictures."""
    from grounding.evaluation.drawing import draw_truth_and_answer
    from grounding.evaluation.parse import judge
    from grounding.samples import open_image
    from grounding.text import to_pixels

    pairs = zip(dataset.samples, predictions, strict=True)
    for sample, given in islice((pair for pair in pairs if pair[0].image is not None), count):
        read = judge(given.text, given.finish, dataset.not_found)
        with open_image(dataset.image_root, sample) as image:
            answered = to_pixels(read.xyxy_grid, image.size).tolist()
            yield f"{sample.id}: {sample.phrase}", draw_truth_and_answer(image, sample.boxes or [], answered)


def _rates(metrics: dict[str, Any]) -> dict[str, float]:
    names = ("grec_50", "acc_50", "recall_50", "precision_50", "mean_iou", "hallucination_rate")
    rates = {name: metrics[name]["value"] for name in names}
    rates["not_found_f1"] = metrics["not_found"]["f1"]["value"]
    rates["unparsable_rate"] = metrics["unparsable"]["rate"]["value"]
    rates["cut_off_rate"] = metrics["cut_off"]["rate"]["value"]
    return {name: float(value) for name, value in rates.items() if value is not None}
