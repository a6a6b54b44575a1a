"""`grounding plan`: what a fine-tuning run will need, before anything is loaded, and what to change to fit a card.

grounding plan configs/qlora_24gb.yaml --card 24GB
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
from rich.console import Console
from rich.table import Table

from grounding.cli.choice import Choice
from grounding.cli.validation_kept import validation_kept
from grounding.counted import counted
from grounding.errors import GroundingError, InputError
from grounding.progress import waiting
from grounding.settings import FinetuneSettings, read_architecture, read_with_places
from grounding.training.dataset_folders import with_files

if TYPE_CHECKING:
    from grounding.models.cogvlm import CogVLMConfig
    from grounding.samples import Sample
    from grounding.training.checks import SampleTokens
    from grounding.training.plan import Plan
    from grounding.training.plan_spread import Strategy
    from grounding.training.planned_batch import Lengths

TEXT_TOKENS, LABEL_TOKENS = 64, 24
"""Of the longest sample where the data are not here: prompt and answer; the answer alone."""
TEMPLATE_TOKENS = 8
"""Estimated, of what a template puts around a question and its answer."""
WIDTH = 96


class Data(NamedTuple):
    """What is known of the training data: None where they are not here."""

    prompts: int | None
    mean: float | None
    lengths: Lengths
    note: str


@click.command(name="plan")
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--card", metavar="SIZE", help="Memory of the GPU that it is to fit in GB: 24, or 24GB.")
@click.option("--text-tokens", type=click.IntRange(3), metavar="N", help="Of the longest prompt with its label.")
@click.option("--label-tokens", type=click.IntRange(1), metavar="N", help="Of the longest label with its end.")
@click.option("--prompts", type=click.IntRange(1), metavar="N", help="About one image, at most.")
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True, help="GPUs, a process each.")
@click.option(
    "--strategy",
    type=Choice(["ddp", "zero2", "zero3", "fsdp"]),
    default="ddp",
    show_default=True,
    help="What several processes spread: the prompts alone, or optimiser state, or weights too (configs/launch).",
)
def command(
    config: Path,
    overrides: tuple[str, ...],
    card: str | None,
    text_tokens: int | None,
    label_tokens: int | None,
    prompts: int | None,
    processes: int,
    strategy: Strategy,
) -> None:
    """Say what `grounding finetune` with the same words needs on each GPU, without loading a model.

    Lengths, prompts about an image and steps are those of the data where these and the tokenizer are here. With --card,
    exit status 1 where it does not fit, and what to change.
    """
    read, places = read_with_places(config, overrides)
    settings = with_files(read)
    size = None if card is None else card_bytes(card)
    for warning in _not_here(settings):
        click.echo(f"Warning: {warning}", err=True)
    if note := validation_kept(settings, places):
        click.echo(f"Note: {note}", err=True)
    with waiting("loading PyTorch"):
        architecture, source = architecture_of(settings)

        from transformers.utils import logging

        from grounding.training.plan import USABLE, make_plan, savings
        from grounding.training.plan_spread import of_each

        logging.set_verbosity_error()
    with waiting("measuring the data"):
        data = _data(settings, architecture, text_tokens, label_tokens, prompts)

    def planned(settings: FinetuneSettings, compare: bool = False) -> Plan:
        with waiting("working out the memory"):
            alone = make_plan(settings, architecture, data.lengths, compare=compare)
            return of_each(alone, settings, architecture, processes, strategy)

    plan = planned(settings, compare=True)
    console = Console(width=WIDTH)
    console.print(f"Architecture: {source}", soft_wrap=True, highlight=False, markup=False)
    console.print(_table(plan, settings, processes, strategy))
    for line in _tokens_and_steps(settings, data, plan, processes):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    if size is None:
        return
    room, card = int(size * USABLE), f"{size / 2**30:g}GB"
    if plan.peak <= room:
        console.print(f"It fits {card}: {_gib(room - plan.peak)} GiB are left.", highlight=False)
        return
    console.print(
        f"It does not fit {card} ({_gib(room)} GiB can be used). Change, each with those before it:", highlight=False
    )
    before = plan.peak
    for number, (word, changed) in enumerate(savings(settings, architecture, data.lengths)):
        smaller = planned(changed).peak
        fits = ", which fits" if smaller <= room else ", no less by itself" if smaller >= before else ""
        console.print(f"  {'and ' if number else ''}{word}: {_gib(smaller)} GiB{fits}", highlight=False)
        if smaller <= room:
            break
        before = smaller
    else:
        console.print("Nothing of this is enough: a larger card is needed.", highlight=False)
    raise click.exceptions.Exit(1)


def architecture_of(settings: FinetuneSettings) -> tuple[CogVLMConfig, str]:
    """The config of the run's model, and where it was found: where the checkpoint is not here, the published one."""
    from grounding.models.checkpoint import config_from, read_config
    from grounding.models.cogvlm import CogVLMConfig
    from grounding.models.cogvlm.resolution import with_image_size

    model = settings.model
    if model.architecture is not None:
        values = {"model_type": CogVLMConfig.model_type, "vocab_size": model.tokenizer_size}
        return config_from(
            {**values, **read_architecture(model.architecture)}, where="architecture"
        ), "as in the settings"
    assert model.path is not None  # the settings were checked for it
    folder = _folder(model.path)
    here = (folder / "config.json").is_file()
    stored = read_config(folder) if here else CogVLMConfig(rms_norm_eps=1e-5)
    source = f"{folder}/config.json" if here else f"the published 490-pixel model ({model.path} is not here)"
    config = with_image_size(stored, model.image_size)
    return config, source if config is stored else f"{source}, for images of {model.image_size} pixels"


def _folder(path: str) -> Path:
    """Where the files of a checkpoint would lie; a name on the hub is not fetched and stands for itself."""
    from grounding.models.hub import checkpoint_folder, is_hub_name

    return Path(path) if is_hub_name(path) else checkpoint_folder(path)


def _not_here(settings: FinetuneSettings) -> Iterator[str]:
    """A sentence where the settings name a folder that another model is planned for."""
    from grounding.models.hub import is_hub_name

    path = settings.model.path
    if path is not None and not is_hub_name(path) and not (_folder(path) / "config.json").is_file():
        lacks = "holds no config.json" if Path(path).is_dir() else "is not here"
        yield f"{path} {lacks}; planned is the published 490-pixel model."


def card_bytes(size: str) -> int:
    """The memory of a card: 24, 24GB and 24GiB all mean 24 GiB, as cards are sold."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:GB|GiB|G)?\s*", size, re.IGNORECASE)
    if match is None or float(match[1]) <= 0:
        problem = f"{size!r} is no size of a card; allowed is a number of GB above 0: 24 or 24GB."
        raise InputError(problem, where="--card")
    return int(float(match[1]) * 2**30)


def _data(
    settings: FinetuneSettings, config: CogVLMConfig, text: int | None, label: int | None, of_one_image: int | None
) -> Data:
    """Counts and lengths of the training data, as far as data and tokenizer are here; what is given is taken.

    Raises:
        InputError: a budget that no sample fits.
    """
    from grounding.training.planned_batch import Lengths
    from grounding.training.steps import TEXT_ONLY

    text_tokens = text or max(TEXT_TOKENS, (label or 0) + 1)
    lengths = Lengths(text_tokens, min(label or LABEL_TOKENS, text_tokens), of_one_image)
    try:
        from grounding.training.dataset import picture_numbers, read_sources
        from grounding.training.mixing import MixtureSampler

        sets = read_sources(settings.data.train, flatten=settings.data.flatten_history)
        shares = [source.share for source in settings.data.train]
        prompts = len(MixtureSampler([len(one.samples) for one in sets], shares, settings.training.seed))
        of_images = Counter(number for number in picture_numbers(sets) if number != TEXT_ONLY)
        lengths = replace(lengths, prompts=of_one_image or max(of_images.values(), default=1))
    except GroundingError as error:
        known = "as given" if text and label else "assumed"
        return Data(None, None, lengths, f"{known}, the data are not here ({_found(error)})")
    samples = [sample for one in sets for sample in one.samples]
    found, note = _lengths(settings, config, samples, given=bool(text and label))
    texts, labels = zip(*found, strict=True)
    lengths = replace(lengths, text=text or max(texts), label=label or max(labels))
    return Data(prompts, sum(texts) / len(texts), lengths, note)


def _lengths(
    settings: FinetuneSettings, config: CogVLMConfig, samples: list[Sample], *, given: bool
) -> tuple[list[tuple[int, int]], str]:
    """Of every sample the tokens besides the image and those of its label, and how they are known.

    Raises:
        InputError: a budget that no sample fits.
    """
    from grounding.training.checks import check_budgets

    of_samples = counted(len(samples), "sample")
    try:
        measured = _measured(settings, config, samples)
    except GroundingError as error:
        known = "as given" if given else f"estimated from {of_samples}"
        why = f"the tokenizer is not here ({_found(error)})"
        return [_estimated(sample) for sample in samples], f"{known}, {why}"
    training = settings.training
    check_budgets(
        [tokens for tokens, _ in measured],
        max_label_tokens=settings.data.max_label_tokens,
        max_positions=config.max_position_embeddings,
        pack_tokens=training.pack_tokens if training.pack else None,
    )
    return [(text, tokens.label) for tokens, text in measured], f"measured on {of_samples}"


def _found(error: GroundingError) -> str:
    """What is wrong and where, in a line, without what to do about it: a plan is made all the same."""
    first = str(error)
    if isinstance(error, InputError):
        first = f"{error.where}: {error.problem}" if error.where else error.problem
    return first.splitlines()[0].rstrip(".")


def _estimated(sample: Sample) -> tuple[int, int]:
    """Text and label of a sample in tokens, in about and on the high side."""
    from grounding.text import text_tokens

    label = text_tokens(sample.label) + 1
    asked = [sample.prompt, *(said for turn in sample.history for said in turn)]
    words = sum(map(text_tokens, asked)) + TEMPLATE_TOKENS * (1 + len(sample.history))
    return 1 + words + label, label


def _measured(
    settings: FinetuneSettings, config: CogVLMConfig, samples: list[Sample]
) -> list[tuple[SampleTokens, int]]:
    """How long every sample is, and its tokens besides the image."""
    from grounding.models.loading import make_processor
    from grounding.models.tokenizers import load_tokenizer, train_tokenizer
    from grounding.training.checks import sample_tokens
    from grounding.training.dataset import encode_sample

    model = settings.model
    if model.path is None and model.tokenizer is None:
        texts = (text for sample in samples for text in (sample.prompt, sample.label))
        words = train_tokenizer(texts, model.tokenizer_size)
    else:
        words = load_tokenizer(model.tokenizer or _folder(model.path or ""))
    processor = make_processor(config, words)
    encoded = (encode_sample(sample, processor) for sample in samples)
    return [(sample_tokens(one), len(one) - one.prefix_length + 1) for one in encoded]


def _table(plan: Plan, settings: FinetuneSettings, processes: int, strategy: Strategy) -> Table:
    from grounding.training.plan import CONTEXT, SLACK

    rows_at_once, sharing = settings.training.micro_batch, f" of {plan.prompts} prompts" if plan.prompts > 1 else ""
    where = "one GPU" if processes == 1 else f"each of {processes} GPUs with {strategy}"
    table = Table(title=f"Memory on {where}, at {counted(rows_at_once, 'row')}{sharing} at once")
    for column in ("part", "GiB"):
        table.add_column(column, justify="right" if column == "GiB" else "left")
    table.add_column("how", overflow="fold")
    on = settings.training.gradient_checkpointing
    model, looks = settings.model, settings.evaluation
    stored = f"{model.quantization}{' with the tower' if model.quantize_tower else ''}, else {model.dtype}"
    asked = counted(looks.batch, "prompt")
    what = "adapter" if settings.tuning.method == "lora" else "trained weights"
    rows = [
        ("frozen weights", plan.weights, stored if model.quantization != "none" else model.dtype),
        (what, plan.trained, f"{plan.numbers[0]:,} of {plan.numbers[1]:,} numbers, float32"),
        ("gradients", plan.gradients, "float32" if processes == 1 or strategy != "ddp" else "float32, and as sent"),
        ("optimiser", plan.optimiser, "AdamW, two float32 a trained number"),
        ("activations", plan.activations, f"{'with' if on else 'without'} gradient checkpointing, logits included"),
        ("", plan.activations_otherwise or 0, f"{'without' if on else 'with'} it (not counted)"),
        ("label logits", plan.logits, "of the activations: head and loss of labelled tokens"),
        ("a matrix unpacked", plan.dequantised, "the largest quantised one"),
        *([("layers gathered", plan.gathered, "whole, at work and on their way")] if plan.gathered else []),
        ("most in training", plan.training, ""),
        ("cache", plan.cache, f"answering {asked}, {counted(looks.max_new_tokens, 'new token')}"),
        ("most in evaluation", plan.evaluating, f"with {_gib(plan.answering)} for the prompts' first pass"),
        ("in all", plan.peak, f"the larger, {SLACK:.0%} more and {_gib(CONTEXT)} for CUDA (both estimated)"),
    ]
    for name, size, how in rows:
        table.add_row(name, _gib(size), how, style="bold" if name == "in all" else None)
    return table


def _tokens_and_steps(settings: FinetuneSettings, data: Data, plan: Plan, processes: int) -> list[str]:
    from grounding.training.steps import step_sizes

    training = settings.training
    a_step = counted(training.effective_batch, "prompt")
    lengths = data.lengths
    image = plan.tokens - plan.prompts * (lengths.text - 1) - 1
    mean = "" if data.mean is None else f", {data.mean:.1f} on average"
    lines = [
        f"Tokens a sample: {image:,} of the image and {lengths.text} of text at most{mean}, of these "
        f"{lengths.label} with a label at most; {data.note}."
    ]
    if training.pack:
        known = "" if lengths.prompts is None else f", of {lengths.prompts:,} about one image"
        lines.append(f"Packed rows: {counted(plan.prompts, 'prompt')}{known}; {plan.tokens:,} tokens at most.")
    if training.max_steps is not None:
        lines.append(f"Steps: {training.max_steps:,} of {a_step}.")
    elif data.prompts is None:
        lines.append(f"Steps: one for {a_step}, {training.epochs:g} times over the data.")
    else:
        an_epoch = len(step_sizes(data.prompts, training.effective_batch, processes))
        lines.append(
            f"Steps: {math.ceil(training.epochs * an_epoch):,}, {an_epoch:,} an epoch of "
            f"{counted(data.prompts, 'prompt')}; {a_step} a step."
        )
    if processes > 1:
        fewest, most = training.effective_batch // processes, math.ceil(training.effective_batch / processes)
        share = counted(most, "prompt") if fewest == most else f"{fewest} or {most} prompts"
        lines.append(f"Each of {processes} processes takes {share} of a step, {training.micro_batch} at once.")
    return lines


def _gib(size: float) -> str:
    return f"{size / 2**30:.2f}"
