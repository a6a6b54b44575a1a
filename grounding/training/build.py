"""Settings to the parts of a run: model and processor, what of it learns, the trainer's arguments.

The only place in this room, besides `run`, that sees settings.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast, TrainingArguments

from grounding.errors import InputError
from grounding.models.adapter_notes import notes_of, read_notes
from grounding.models.cogvlm import CogVLMProcessor
from grounding.models.hub import checkpoint_folder, is_hub_name, resolved_revision
from grounding.models.loading import build_model, load_model, usable_device
from grounding.models.tokenizers import load_tokenizer, train_tokenizer
from grounding.processes import PATIENCE
from grounding.samples import Dataset, share_files
from grounding.settings import FinetuneSettings, LabelWeightSettings, read_architecture
from grounding.training.optimizers import MuonWithAdamW, matrices_of
from grounding.training.packing import row_budget
from grounding.training.spread import spreads_weights
from grounding.training.trainer import WriteModel
from grounding.training.weights import LabelWeights, digit_ids
from grounding.tuning.adapters import attach_lora, save_adapter
from grounding.tuning.freeze import train_all_but
from grounding.tuning.start import check_start
from grounding.tuning.targets import Targets, target_modules

SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}


def with_revision(settings: FinetuneSettings) -> FinetuneSettings:
    """The settings with the revision of a checkpoint from the hub, whose files are fetched for that.

    Raises:
        InputError: they cannot be fetched.
    """
    model = settings.model
    if model.path is None or model.revision is not None or not is_hub_name(model.path):
        return settings
    revision = resolved_revision(checkpoint_folder(model.path))
    return settings.model_copy(update={"model": model.model_copy(update={"revision": revision})})


def with_row_budget(settings: FinetuneSettings, processor: CogVLMProcessor) -> FinetuneSettings:
    """The settings with the tokens of a packed row, where they leave these to the image size."""
    training = settings.training
    if not training.pack or training.pack_tokens is not None:
        return settings
    budget = row_budget(processor.image_token_count)
    return settings.model_copy(update={"training": training.model_copy(update={"pack_tokens": budget})})


def make_model(
    settings: FinetuneSettings, datasets: Iterable[Dataset], checkpoint: Path | None
) -> tuple[PreTrainedModel, CogVLMProcessor]:
    """The model before anything is trained: a checkpoint's weights, or random ones.

    Args:
        datasets: whose texts a tokenizer is trained on, where the settings name none and weights are random.
        checkpoint: of a run to go on with, whose tokenizer is taken instead.

    Raises:
        InputError: as `load_model` and `build_model`.
    """
    model, full = settings.model, settings.tuning.method == "full"
    # What learns is float32: a whole network too, computing in bfloat16 by autocast where that is asked for.
    dtype = "float32" if full else model.dtype
    # Weights that are spread over the GPUs come by way of the CPU: whole, they may be too large for one.
    device = torch.device("cpu") if model.device == "cpu" or spreads_weights() else usable_device(None)
    if model.path is not None:
        loaded = load_model(
            model.path,
            dtype=dtype,
            device=device,
            quantization=None if model.quantization == "none" else model.quantization,
            quantize_tower=model.quantize_tower,
            tokenizer=model.tokenizer,
            attention=model.attention,
            rope_dtype=model.rope_dtype,
            revision=model.revision,
            image_size=model.image_size,
        )
    else:
        assert model.architecture is not None  # the settings were checked for it
        loaded = build_model(
            _with_rope(read_architecture(model.architecture), model.rope_dtype),
            _tokenizer(settings, datasets, checkpoint),
            dtype=dtype,
            device=device,
            seed=settings.training.seed,
            attention=model.attention,
        )
    assert isinstance(loaded.model, PreTrainedModel)  # no adapter was asked for
    return loaded.model, loaded.processor


def _with_rope(architecture: dict[str, Any], rope_dtype: str | None) -> dict[str, Any]:
    return architecture if rope_dtype is None else {**architecture, "rope_dtype": rope_dtype}


def _tokenizer(
    settings: FinetuneSettings, datasets: Iterable[Dataset], checkpoint: Path | None
) -> PreTrainedTokenizerFast:
    named = checkpoint or settings.model.tokenizer
    if named is not None:
        return load_tokenizer(named)
    return train_tokenizer(_texts(datasets), settings.model.tokenizer_size)


def _texts(datasets: Iterable[Dataset]) -> Iterator[str]:
    for dataset in datasets:
        yield from dataset.not_found.values()
        for sample in dataset.samples:
            yield from (sample.prompt, sample.label)


def make_trainable(model: PreTrainedModel, settings: FinetuneSettings) -> PreTrainedModel | PeftModel:
    """The model with everything frozen but what the settings train, and gradient checkpointing where it is on.

    Raises:
        InputError: target modules or parts that the model does not have.
    """
    tuning = settings.tuning
    if settings.training.gradient_checkpointing:
        # transformers 5.23 renamed it; releases before have only the old name.
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    if tuning.method == "full":
        train_all_but(model, tuning.freeze)
        return model
    return attach_lora(
        model,
        _targets(model, settings),
        rank=tuning.rank,
        alpha=tuning.alpha,
        dropout=tuning.dropout,
        seed=settings.training.seed,
    )


def _targets(model: torch.nn.Module, settings: FinetuneSettings) -> Targets:
    return target_modules(model, settings.tuning.targets, mlp=settings.tuning.mlp is not False)


def check_start_of(
    model: PreTrainedModel, processor: CogVLMProcessor, settings: FinetuneSettings, start: Path
) -> list[str]:
    """Sees that the adapter in a folder can be trained further on this model, which has none yet.

    Returns:
        Sentences for the user: what of its training is not as it was.

    Raises:
        InputError: it was trained on another base, or fits these settings in some way not (see `check_start`).
    """
    tuning, told = settings.tuning, settings.model
    check_start(model, start, _targets(model, settings), rank=tuning.rank, alpha=tuning.alpha)
    notes = read_notes(start)
    if notes is None:
        return [f"{start} does not say what it was trained on; that its shapes fit is all that is known."]
    if others := notes.other_weights(Path(model.config._name_or_path)):
        raise InputError(others[0], where=f"tuning.start_from = {start}", fix="Name its own base as model.path.")
    quantization = None if told.quantization == "none" else told.quantization
    return notes.other_use(processor.image_size, quantization, told.quantize_tower)


def make_optimizer(model: torch.nn.Module, settings: FinetuneSettings) -> torch.optim.Optimizer | None:
    """The optimiser of what is trainable; None where it is the Trainer's own, AdamW.

    Raises:
        InputError: Muon is asked for, and this torch has none.
    """
    training = settings.training
    if training.optimizer == "adamw":
        return None
    if not hasattr(torch.optim, "Muon"):
        raise InputError(
            f"torch {torch.__version__} has no Muon.",
            where="training.optimizer",
            fix="Use torch 2.9 or newer, or `adamw`.",
        )
    beta1, beta2 = training.betas
    return MuonWithAdamW(
        *matrices_of(model), lr=training.learning_rate, weight_decay=training.weight_decay, betas=(beta1, beta2)
    )


def label_weights(settings: FinetuneSettings, processor: CogVLMProcessor) -> LabelWeights | None:
    """The weights of label tokens; None where all count alike."""
    weights = settings.training.label_weights
    if weights == LabelWeightSettings():
        return None
    return LabelWeights(weights.first, weights.hundreds, weights.tens, weights.units, digit_ids(processor.tokenizer))


def model_writer(
    model: PreTrainedModel | PeftModel,
    processor: CogVLMProcessor,
    settings: FinetuneSettings,
    describe: Callable[[Path], None] = lambda _: None,
) -> WriteModel:
    """What saves the model into a folder: the adapter alone, or the whole checkpoint in the published layout.

    Args:
        describe: writes into an adapter's folder what else belongs there.
    """
    notes = None
    if isinstance(model, PeftModel):
        notes = notes_of(
            processor.image_size,
            model.config._name_or_path,
            settings.model.quantization,
            quantize_tower=settings.model.quantize_tower,
        )

    def write(folder: Path, weights: Mapping[str, Tensor] | None) -> None:
        if isinstance(model, PeftModel):
            save_adapter(model, folder, weights, notes=notes)
            describe(folder)
        else:
            model.save_pretrained(folder, state_dict=weights)
            processor.save_pretrained(folder)
        share_files(folder)

    return write


def accumulation(settings: FinetuneSettings, processes: int) -> int:
    """Micro-batches a process adds up for one optimiser step.

    Raises:
        InputError: micro-batch times processes does not divide the effective batch.
    """
    effective, micro = settings.training.effective_batch, settings.training.micro_batch
    if effective % (micro * processes):
        raise InputError(
            f"{micro} prompts in each of {processes} processes do not divide the effective batch of {effective}",
            where="training.micro_batch",
            fix="effective_batch must be a multiple of micro_batch x processes.",
        )
    return effective // (micro * processes)


def training_arguments(settings: FinetuneSettings) -> TrainingArguments:
    """What Hugging Face's Trainer is told. When to log, evaluate and save is decided by the callbacks."""
    training = settings.training
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    on_cpu = settings.model.device == "cpu" or not torch.cuda.is_available()
    if not on_cpu:
        usable_device(None)
    arguments = TrainingArguments(
        output_dir=settings.output,
        # A batch of the loader is all that a process does in a step; the trainer takes it apart (see `collate`).
        per_device_train_batch_size=-(-training.effective_batch // processes),
        gradient_accumulation_steps=1,
        per_device_eval_batch_size=settings.evaluation.batch,
        learning_rate=training.learning_rate,
        lr_scheduler_type=SCHEDULES[training.schedule],
        warmup_steps=training.warmup,
        weight_decay=training.weight_decay,
        adam_beta1=training.betas[0],
        adam_beta2=training.betas[1],
        max_grad_norm=training.clip,
        num_train_epochs=training.epochs,
        max_steps=training.max_steps or -1,
        optim="adamw_torch",
        bf16=settings.model.dtype == "bfloat16",
        use_cpu=on_cpu,
        seed=training.seed,
        dataloader_num_workers=training.workers,
        dataloader_pin_memory=not on_cpu,
        remove_unused_columns=False,
        label_names=["labels"],
        # Every batch gives every weight a gradient, of zero where nothing of it was used (see `collate` and `route`).
        ddp_find_unused_parameters=False,
        ddp_timeout=int(PATIENCE.total_seconds()),
        logging_strategy="no",
        eval_strategy="no",
        save_strategy="no",
        logging_nan_inf_filter=False,
        report_to=[],
        disable_tqdm=True,
        log_level="error",
    )
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # one process drives one GPU; several GPUs: torchrun
    return arguments
