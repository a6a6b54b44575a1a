"""What a run says before its first step: data, parameters that learn, steps.

Knows numbers and words; it changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from torch import nn
from transformers import TrainingArguments

from grounding.counted import counted
from grounding.models.cogvlm import CogVLMProcessor
from grounding.samples import Dataset
from grounding.settings import FinetuneSettings, without_effect
from grounding.training.build import accumulation
from grounding.training.checks import TokenStatistics
from grounding.training.mixing import MixtureSampler
from grounding.training.steps import TEXT_ONLY, step_sizes
from grounding.tuning.freeze import count_parameters


def say_data(
    train: Sequence[Dataset], val: Sequence[Dataset], statistics: TokenStatistics, processor: CogVLMProcessor
) -> str:
    """Where samples come from, and how long they are in tokens."""
    sets = ", ".join(f"{len(data.samples):,} from {data.path}" for data in train)
    held_out = f"; {len(val[0].samples):,} to evaluate on from {val[0].path}" if val else ""
    return (
        f"Data: {sets}{held_out}; {statistics.text_only:,} of all have no image.\n"
        f"Tokens: {processor.image_token_count:,} an image; labels {statistics.label_mean:.1f} on average, "
        f"{statistics.label_max:,} at most; the longest sequence {statistics.longest:,}."
    )


def say_packing(pictures: Sequence[int], settings: FinetuneSettings, statistics: TokenStatistics) -> str:
    """How many prompts may share an image.

    Args:
        pictures: the number of each sample's picture, -1 for text only.
    """
    training = settings.training
    prompts, images = sum(picture >= 0 for picture in pictures), len({*pictures} - {TEXT_ONLY})
    if not training.pack or not images:
        return "Packing: none, a row for each prompt."
    longer = f"; {statistics.above_budget:,} longer samples have rows of their own" if statistics.above_budget else ""
    return (
        f"Packing: {counted(prompts, 'prompt')} about {counted(images, 'image')}, {prompts / images:.1f} an image; "
        f"those that meet in a step share a row of at most {training.pack_tokens:,} tokens{longer}."
    )


def say_notes(settings: FinetuneSettings, statistics: TokenStatistics, asked: Dataset | None) -> Iterator[str]:
    """What else a user should know: settings that nothing reads, and answers that end before the longest label would.

    Args:
        asked: what is answered in evaluation, if anything is.
    """
    for key, why in without_effect(settings):
        yield f"Note: {key} has no effect: {why}."
    allowed = settings.evaluation.max_new_tokens
    if asked and statistics.label_max > allowed:
        yield (
            f"Note: labels have up to {statistics.label_max} tokens, answers in evaluation end after {allowed}; longer "
            f"ones count as cut off. To judge them too: evaluation.max_new_tokens={statistics.label_max}"
        )


def say_trainable(model: nn.Module, settings: FinetuneSettings) -> str:
    """How many parameters learn."""
    count = count_parameters(model)
    tuning = settings.tuning
    what = f"LoRA of rank {tuning.rank} on {tuning.targets!r}" if tuning.method == "lora" else "the weights themselves"
    return f"Trains {count.trainable:,} of {count.total:,} parameters ({count.share:.2%}): {what}."


def say_steps(
    settings: FinetuneSettings,
    arguments: TrainingArguments,
    sampler: MixtureSampler,
    val: Sequence[Dataset],
    asked: Dataset | None,
) -> str:
    """How long it takes, in steps, and what is looked at between them."""
    effective = settings.training.effective_batch
    an_epoch = len(step_sizes(len(sampler), effective, arguments.world_size))
    steps = settings.training.max_steps or math.ceil(settings.training.epochs * an_epoch)
    mixture = f" ({' + '.join(f'{draws:,}' for draws in sampler.draws)})" if len(sampler.draws) > 1 else ""
    every = settings.evaluation.every
    rhythm = "each epoch" if every == "epoch" else f"every {every} steps"
    if not val:
        judged = f"Saved {rhythm}; nothing to evaluate on, so the last checkpoint is kept."
    else:
        by_loss = f"Evaluated {rhythm} by the loss on {len(val[0].samples):,} samples"
        judged = (
            f"{by_loss} and by answering {len(asked.samples):,}: the best grec_50 is kept, ties go to the lower loss."
            if asked
            else f"{by_loss}, without answering: the lowest loss is kept."
        )
    return (
        f"Steps: {steps:,}, {an_epoch:,} an epoch of {len(sampler):,} prompts{mixture}; effective batch "
        f"{effective}{_at_once(settings, arguments.world_size)}.\n{judged}"
    )


def _at_once(settings: FinetuneSettings, processes: int) -> str:
    """How the prompts of a step are spread."""
    training, spread = settings.training, counted(processes, "process", "processes")
    if training.pack:
        return f" over {spread}, {counted(training.micro_batch, 'row')} at once"
    accumulated = accumulation(settings, processes)
    return f" = {training.micro_batch} at once x {accumulated} accumulated x {spread}"
