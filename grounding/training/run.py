"""A fine-tuning run on one page: data, model, checks, training, the best checkpoint as the result.

    grounding finetune CONFIG.yaml

It does not know how answers are scored: whoever calls it hands that in.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from torch.utils.data import ConcatDataset
from transformers import TrainerState
from transformers.utils import logging as transformers_logging

from grounding.errors import RunError
from grounding.models.cogvlm import CogVLMProcessor
from grounding.models.quantization import say_quantized
from grounding.progress import Bars
from grounding.samples import Dataset
from grounding.settings import FinetuneSettings
from grounding.training.build import (
    check_start_of,
    label_weights,
    make_model,
    make_optimizer,
    make_trainable,
    model_writer,
    training_arguments,
    with_revision,
    with_row_budget,
)
from grounding.training.callbacks import LogFile, ProgressBar, Timetable, answer_bar
from grounding.training.card import card_writer, no_card
from grounding.training.checks import check_data, distinct
from grounding.training.choice import SCORE, best_step, evaluations_since_best
from grounding.training.collate import collator
from grounding.training.dataset import Flips, SampleDataset, picture_numbers, read_sources
from grounding.training.dataset_folders import with_files
from grounding.training.failures import failures_told, stopped
from grounding.training.held_out import trained_on_too
from grounding.training.mixing import MixtureSampler
from grounding.training.run_folder import RunFolder, adapter_to_start_from, open_run, start_run
from grounding.training.spread import check_launcher, share_buffers, spreads_weights
from grounding.training.steps import arrange_together
from grounding.training.summary import say_data, say_notes, say_packing, say_steps, say_trainable
from grounding.training.tracking import Pictures, check_trackers, trackers
from grounding.training.trainer import Evaluate, GroundingTrainer
from grounding.tuning.start import load_start

# From the processor, validation samples, and what is told how many of them were answered since the last call, to a
# function from the model to numbers, `grec_50` among them.
EvaluateFactory = Callable[[CogVLMProcessor, Dataset, Callable[[int], None]], Evaluate]


@dataclass(frozen=True)
class RunResult:
    """What a run left.

    Attributes:
        result: the adapter folder (LoRA) or the checkpoint folder (full training).
        steps: optimiser steps done.
        best_step: the step whose weights the result has.
        metrics: what the evaluation at that step found; empty without validation data.
    """

    result: Path
    steps: int
    best_step: int
    metrics: dict[str, float]


def run(
    settings: FinetuneSettings,
    *,
    evaluate_factory: EvaluateFactory | None = None,
    drawn: Pictures | None = None,
    say: Callable[[str], None] = print,
) -> RunResult:
    """Train as the settings say, or go on with a stopped run in the same folder.

    Args:
        evaluate_factory: is given the processor and a seeded draw of the validation samples that ask for boxes.
        drawn: what the function that it makes has drawn last, by name, for the trackers.
        say: where sentences for the user go, on the first process.

    Raises:
        InputError: settings, data or model do not fit (nothing was written yet).
        RunError: NaN loss, memory or disk used up, Ctrl-C; says what was saved and how to go on.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads do not survive the forks that load images
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    arguments = training_arguments(settings)
    check_launcher(settings)
    check_trackers(settings.training.report_to)
    first = arguments.process_index == 0
    say = say if first else _silent
    with arguments.main_process_first():
        folder, settings = open_run(with_files(settings))
        settings = with_revision(settings)
    if folder.result.exists():
        say(f"This run is through already: {folder.result}")
        return _result(folder, _read_log(folder))

    train = read_sources(settings.data.train, flatten=settings.data.flatten_history)
    val = read_sources([settings.data.val] if settings.data.val else [], flatten=settings.data.flatten_history)
    asked = _draw(val, settings.evaluation.samples, settings.training.seed) if evaluate_factory else None
    pictures, effective = picture_numbers(train), settings.training.effective_batch
    checkpoint, start = folder.last_checkpoint(), settings.tuning.start_from
    started = adapter_to_start_from(start) if start is not None and checkpoint is None else None
    model, processor = make_model(settings, train, checkpoint)
    if started is not None:
        for warning in check_start_of(model, processor, settings, started):
            say(f"Warning: {warning}")
    settings = with_row_budget(settings, processor)
    pack_tokens = settings.training.pack_tokens if settings.training.pack else None
    leaks = list(trained_on_too(train, val)) if first else []
    has_card = first and settings.tuning.method == "lora"
    describe = card_writer(settings, processor, train, val, asked, leaks) if has_card else no_card
    if settings.model.quantization != "none":
        say(say_quantized(model))
    with Bars(transient=False) as bars:
        if first:
            everything = distinct([*train, *val])
            total = sum(len(data.samples) for data in everything)
            checking = bars.add_task("checking the data", total=total, note="")
            statistics = check_data(
                everything,
                processor,
                max_label_tokens=settings.data.max_label_tokens,
                max_positions=model.config.max_position_embeddings,
                decode_images=settings.data.check_images,
                pack_tokens=pack_tokens,
                progress=lambda done: bars.advance(checking, done),
            )
            say(say_data(train, val, statistics, processor))
            say(say_packing(pictures, settings, statistics))
            for note in say_notes(settings, statistics, asked):
                say(note)
            for leak in leaks:
                say(f"Warning: {leak}")
        if spreads_weights():
            share_buffers(model)
        model = make_trainable(model, settings)
        if started is not None:
            load_start(model, started)
            say(f"Starts from the adapter {started}.")
        say(say_trainable(model, settings))
        sampler = MixtureSampler(
            [len(data.samples) for data in train],
            [source.share for source in settings.data.train],
            settings.training.seed,
            *([arrange_together(pictures, effective, arguments.world_size)] if settings.training.pack else []),
        )
        flip = settings.data.flip
        flips = Flips(flip, settings.training.seed, sampler) if flip else None
        say(say_steps(settings, arguments, sampler, val, asked))
        timetable = Timetable(
            settings.evaluation.every,
            evaluates=bool(val),
            patience=settings.evaluation.patience,
            log_every=settings.training.log_every,
            sampler=sampler,
            say=say,
        )
        trainer = GroundingTrainer(
            model,
            arguments,
            train=ConcatDataset([SampleDataset(data.samples, data.image_root, processor, flips) for data in train]),
            sampler=sampler,
            effective_batch=effective,
            collate=collator(processor, rows_at_once=settings.training.micro_batch, pack_tokens=pack_tokens),
            folder=folder,
            write_model=model_writer(model, processor, settings, describe),
            val=SampleDataset(val[0].samples, val[0].image_root, processor) if val else None,
            collate_val=collator(processor, pack_tokens=pack_tokens),
            evaluate=evaluate_factory(processor, asked, answer_bar(bars, len(asked.samples)))
            if evaluate_factory and asked
            else None,
            keep=settings.evaluation.keep_checkpoints,
            optimizer=make_optimizer(model, settings),
            label_weights=label_weights(settings, processor),
            callbacks=[
                *(timetable, LogFile(folder)),
                *trackers(settings.training.report_to, folder, {} if drawn is None else drawn),
                *([ProgressBar(bars)] if first else []),
            ],
        )
        if first:
            start_run(folder, settings)
        if checkpoint is None or not _was_through(checkpoint, settings.evaluation.patience):
            if checkpoint is not None:
                say(f"Going on from {checkpoint}.")
            with failures_told(trainer, timetable, settings), timetable.ctrl_c_saves():
                trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            if timetable.stopping and trainer.state.global_step < trainer.state.max_steps:
                raise RunError(stopped(trainer))
        trainer.accelerator.wait_for_everyone()  # the first process has written the log to its end
    result = _result(folder, _read_log(folder))
    if first:
        about = partial(describe, step=result.best_step, metrics=result.metrics)
        folder.write_result(folder.checkpoint(result.best_step), about)
    return result


def _silent(_: str) -> None:
    """For processes other than the first."""


def _draw(val: Sequence[Dataset], count: int, seed: int) -> Dataset | None:
    """A seeded draw of the validation samples that ask for boxes, in file order; None where there is none."""
    if not val:
        return None
    asking = [index for index, sample in enumerate(val[0].samples) if sample.boxes is not None]
    chosen = sorted(Random(f"{seed}/validation").sample(asking, min(count, len(asking))))
    return replace(val[0], samples=[val[0].samples[index] for index in chosen]) if chosen else None


def _was_through(checkpoint: Path, patience: int) -> bool:
    """Whether a run was stopped between its last step and the writing of its result."""
    state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
    early = patience > 0 and evaluations_since_best(state.log_history) >= patience
    return state.global_step >= state.max_steps or early


def _read_log(folder: RunFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in folder.log.read_text(encoding="utf-8").splitlines()]


def _chosen_step(folder: RunFolder, history: Sequence[dict[str, Any]]) -> int:
    """The best evaluation's step, or the last checkpoint's where nothing was evaluated."""
    best = best_step(history)
    last = folder.last_checkpoint()
    assert last is not None  # the last step always writes one
    return best if best is not None else int(last.name.rpartition("-")[2])


def _result(folder: RunFolder, history: Sequence[dict[str, Any]]) -> RunResult:
    step = _chosen_step(folder, history)
    found = [entry for entry in history if entry["step"] == step and SCORE in entry]
    metrics = {key: value for key, value in found[-1].items() if key.startswith("eval_")} if found else {}
    return RunResult(folder.result, max(entry["step"] for entry in history), step, metrics)
