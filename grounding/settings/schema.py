"""The settings of a fine-tuning run: names, types, defaults, limits and what excludes what.

Knows nothing of files, models or data. The description of a field is its help: it is printed above the key by
`grounding finetune --print-settings`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from grounding.settings.places import KeyPath

Part = Literal["tower", "projector", "vision_experts", "language_experts", "embeddings", "norms", "head"]


class Section(BaseModel):
    """One block of settings: unknown keys are refused and no value is silently converted to another type."""

    model_config = ConfigDict(extra="forbid", strict=True, validate_default=True, frozen=True, allow_inf_nan=False)


def _as_sources(value: object) -> object:
    """A path, alone or in a list, stands for a data source with nothing else set; a source alone for a list of it."""
    if isinstance(value, str | dict):
        value = [value]
    if isinstance(value, list):
        return [{"path": item} if isinstance(item, str) else item for item in value]
    return value


class ModelSettings(Section):
    """Which network, and how it is held in memory."""

    path: str | None = Field(
        default=None, description="Checkpoint folder in the published layout, or a name on the hub."
    )
    revision: str | None = Field(
        default=None, description="Of a name on the hub; none: the newest, which the run folder's settings then name."
    )
    architecture: dict[str, Any] | str | None = Field(
        default=None,
        description="Instead of `path`, random weights: the keys of config.json, or a YAML or JSON file of them.",
    )
    tokenizer: str | None = Field(
        default=None,
        description="Folder, file or name on the hub; none: the checkpoint's; for random weights, one trained here.",
    )
    tokenizer_size: int = Field(
        default=1024, ge=300, description="Pieces of a tokenizer trained here (bytes and digits included)."
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        default="bfloat16",
        description="Frozen weights and arithmetic; trained weights and their optimiser state are always float32.",
    )
    quantization: Literal["none", "nf4", "int8"] = Field(
        default="none", description="Stored form of the frozen decoder (bitsandbytes)."
    )
    quantize_tower: bool = Field(
        default=False, description="Quantise the vision tower too (6 GB less; the projector stays as it is)."
    )
    attention: Literal["eager", "sdpa", "flash_attention_2"] | None = Field(
        default=None, description="Attention kernel; none: the best there is."
    )
    rope_dtype: Literal["float32", "bfloat16"] | None = Field(
        default=None,
        description="Rope tables; `bfloat16`: as the published code, angles off by up to 0.2; none: the checkpoint's.",
    )
    image_size: int | None = Field(
        default=None,
        ge=1,
        description="Side in pixels that images are squashed to, a multiple of the patch (14), by interpolated "
        "position embeddings: larger for small objects; none: the checkpoint's.",
    )
    device: Literal["auto", "cpu"] = Field(default="auto", description="`cpu` keeps the run off a GPU that is there.")


class TuningSettings(Section):
    """What is trained."""

    method: Literal["lora", "full"] = Field(
        default="lora", description="`lora`: small matrices beside frozen ones. `full`: the weights themselves."
    )
    targets: Literal["language", "vision", "both", "both+tower", "published"] = Field(
        default="both",
        description="LoRA: attention of the language experts, the vision experts, both, or both and the vision tower; "
        "`published`: what CogVLM's own script trains.",
    )
    mlp: bool | None = Field(
        default=None, description="LoRA on the MLPs of the targets too; none: yes (`published` has a rule of its own)."
    )
    rank: int = Field(default=16, ge=1, description="LoRA rank.")
    alpha: int = Field(default=32, ge=1, description="LoRA scale: the update is multiplied by alpha / rank.")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Dropout before the LoRA matrices.")
    freeze: list[Part] = Field(
        default=[], description=f"Full training: parts left as they are; any of {', '.join(get_args(Part))}."
    )
    start_from: str | None = Field(
        default=None,
        min_length=1,
        description="LoRA: a run, one of its checkpoints or an adapter folder whose weights are trained further, of "
        "the same base, targets, rank and alpha; none: a fresh adapter. Optimiser and schedule begin anew.",
    )


class DataSource(Section):
    """One data set."""

    path: str = Field(
        min_length=1,
        description="JSONL made by `grounding convert`, its folder (train.jsonl in it; for data.val: val.jsonl), or a "
        "folder with images/ and labels/.",
    )
    images: str | None = Field(
        default=None, description="Image root; none: as the manifest says, else the folder of the JSONL."
    )
    share: float | None = Field(
        default=None, gt=0, description="Weight of this set in the mixture; give one to every set or to none."
    )


Sources = Annotated[list[DataSource], BeforeValidator(_as_sources)]
OneSource = Annotated[
    DataSource | None, BeforeValidator(lambda value: {"path": value} if isinstance(value, str) else value)
]


class DataSettings(Section):
    """What is learned from."""

    train: Sources = Field(
        description="A path, {path, images}, or a list of {path, images, share}. With shares, an epoch is one pass "
        "over the first set, the others drawn beside it in proportion.",
    )
    val: OneSource = Field(
        default=None,
        description="A path, or {path, images}, to evaluate on during training; null: the last checkpoint is kept; "
        "left out: val.jsonl in a convert folder that data.train names alone, else as null.",
    )
    max_label_tokens: int = Field(default=1024, ge=1, description="A longer label is refused, never cut.")
    check_images: bool = Field(
        default=True, description="Decode every image before the first step; no: only look that the files are there."
    )
    flip: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of the epochs in which a training image is mirrored, left and right in its words swapped "
        "too; a prompt of which that cannot be done stays. Not for pictures with writing.",
    )
    flatten_history: bool = Field(
        default=False,
        description="Write earlier turns into the prompt, one a line: a `base` checkpoint has no template for them.",
    )


class LabelWeightSettings(Section):
    """How much a label token counts in the loss; 1 each is the plain loss."""

    first: float = Field(default=1.0, ge=0, description="All up to the first digit: found or not, and what.")
    hundreds: float = Field(default=1.0, ge=0, description="First digit of a coordinate.")
    tens: float = Field(default=1.0, ge=0, description="Second digit.")
    units: float = Field(default=1.0, ge=0, description="Third digit: near to noise while a net is young.")


class TrainingSettings(Section):
    """How it is learned."""

    learning_rate: float = Field(default=5e-5, gt=0, description="Peak learning rate.")
    optimizer: Literal["adamw", "muon"] = Field(
        default="adamw",
        description="`muon`: Muon for the matrices of linear maps, AdamW for the rest; for random weights.",
    )
    label_weights: LabelWeightSettings = Field(default=LabelWeightSettings(), description=LabelWeightSettings.__doc__)
    effective_batch: int = Field(
        default=16, ge=1, description="Prompts an optimiser step, over all processes and accumulated micro-batches."
    )
    micro_batch: int = Field(
        default=1,
        ge=1,
        description="Rows a process holds at once (with `pack` an image and its prompts, else a prompt); lower it when "
        "memory runs out, the result stays.",
    )
    pack: bool = Field(
        default=True,
        description="Prompts about one image that meet in a step share its tokens: the same loss, several times faster "
        "where images have many prompts. At most half of a step's prompts are about one image.",
    )
    pack_tokens: int | None = Field(
        default=None,
        ge=1,
        description="With `pack`: most tokens of a row, image included; a longer single prompt has a row of its own; "
        "none: 2048, or with a larger image its tokens and 768.",
    )
    epochs: float = Field(default=3.0, gt=0, description="Passes over the training data.")
    max_steps: int | None = Field(default=None, ge=1, description="Optimiser steps; overrides `epochs`.")
    warmup: float = Field(
        default=0.02, ge=0, description="Below 1: share of the steps; else number of steps with a rising rate."
    )
    schedule: Literal["cosine", "linear", "constant"] = Field(default="cosine", description="The rate after warm-up.")
    weight_decay: float = Field(default=0.05, ge=0, description="Weight decay (not on norms and biases).")
    betas: Annotated[list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)] = Field(
        default=[0.9, 0.95], description="AdamW's two averaging factors."
    )
    clip: float = Field(default=1.0, ge=0, description="Largest gradient norm; 0 does not clip.")
    seed: int = Field(default=0, ge=0, lt=2**32, description="Of weights, order and evaluation sample.")
    gradient_checkpointing: bool = Field(
        default=True, description="Recompute activations in the backward pass: less memory, about a third slower."
    )
    workers: int = Field(default=2, ge=0, description="Processes that load images.")
    log_every: int = Field(default=10, ge=1, description="Steps between two lines of train_log.jsonl.")
    report_to: list[Literal["tensorboard", "wandb"]] = Field(
        default=[],
        description="Trackers that get losses, evaluations and drawn answers too: `tensorboard` (files in the run "
        "folder), `wandb` (WANDB_MODE=offline keeps it local); each an optional package.",
    )


class EvaluationSettings(Section):
    """How the best checkpoint is found."""

    every: Literal["epoch"] | Annotated[int, Field(ge=1)] = Field(
        default="epoch", description="`epoch`, or a number of steps, between evaluations and checkpoints."
    )
    samples: int = Field(
        default=64,
        ge=0,
        description="Validation samples answered by generation (a seeded draw); 0: judge by loss alone.",
    )
    batch: int = Field(default=4, ge=1, description="Prompts evaluated at once.")
    max_new_tokens: int = Field(default=256, ge=1, description="Longest answer generated.")
    pictures: int = Field(
        default=12, ge=0, description="Answered samples drawn for the trackers at each evaluation (training.report_to)."
    )
    patience: int = Field(default=3, ge=0, description="Stop after so many evaluations without a better one; 0: never.")
    keep_checkpoints: int = Field(default=2, ge=1, description="Newest checkpoints kept; the best is kept besides.")


class FinetuneSettings(Section):
    """All settings of `grounding finetune`."""

    output: str = Field(min_length=1, description="Run folder.")
    model: ModelSettings = Field(default=ModelSettings(), description=ModelSettings.__doc__)
    tuning: TuningSettings = Field(default=TuningSettings(), description=TuningSettings.__doc__)
    data: DataSettings = Field(description=DataSettings.__doc__)
    training: TrainingSettings = Field(default=TrainingSettings(), description=TrainingSettings.__doc__)
    evaluation: EvaluationSettings = Field(default=EvaluationSettings(), description=EvaluationSettings.__doc__)


# A stopped run may go on with these changed: they alter speed and memory, not what is learned.
MAY_CHANGE_ON_RESUME = (
    "output",
    "model.attention",
    "model.device",
    "data.check_images",
    "training.micro_batch",
    "training.pack_tokens",
    "training.gradient_checkpointing",
    "training.workers",
    "training.log_every",
    "training.report_to",
    "evaluation.pictures",
    "evaluation.batch",
    "evaluation.keep_checkpoints",
)


def without_effect(settings: FinetuneSettings) -> Iterator[tuple[str, str]]:
    """Settings that are not as they were by default, and that nothing reads: (the key, why)."""
    training, evaluation = settings.training, settings.evaluation
    answering = ("evaluation.max_new_tokens", "evaluation.pictures")
    unread = (
        (settings.data.val is None, "data.val names nothing to evaluate on", ("evaluation.batch", *answering)),
        (not evaluation.samples, "evaluation.samples is 0, so that nothing is answered", answering),
        (not training.report_to, "training.report_to names no tracker", ("evaluation.pictures",)),
        (not training.pack, "training.pack is false", ("training.pack_tokens",)),
        (training.max_steps is not None, "training.max_steps is given", ("training.epochs",)),
    )
    told: set[str] = set()
    for unused, why, keys in unread:
        for key in keys if unused else ():
            section, name = key.split(".")
            block: BaseModel = getattr(settings, section)
            if key not in told and getattr(block, name) != type(block).model_fields[name].get_default():
                told.add(key)
                yield key, why


def contradictions(settings: FinetuneSettings) -> Iterator[tuple[KeyPath, str]]:
    """Settings that are each possible but not together: (the key to change, what is wrong and what is allowed)."""
    model, tuning, data, training = settings.model, settings.tuning, settings.data, settings.training
    if (model.path is None) == (model.architecture is None):
        yield ("model",), "needs either `path` (a checkpoint) or `architecture` (random weights), and not both"
    if model.revision is not None and model.path is None:
        yield ("model", "revision"), "belongs to a `path` that is a name on the hub"
    if model.image_size is not None and model.architecture is not None:
        yield ("model", "image_size"), "belongs to a `path`: `architecture` has vision_config.image_size"
    if model.architecture is not None and tuning.method == "lora":
        yield ("tuning", "method"), "random weights have nothing for LoRA to adapt: use `full`"
    if model.quantization != "none" and tuning.method == "full":
        yield ("model", "quantization"), "quantised weights cannot be trained: use `none`, or tuning.method `lora`"
    if model.quantize_tower and model.quantization == "none":
        yield ("model", "quantize_tower"), "needs model.quantization `nf4` or `int8`"
    if tuning.method == "lora" and tuning.freeze:
        yield ("tuning", "freeze"), "LoRA freezes everything else already: leave it empty, or use method `full`"
    if tuning.method == "full" and tuning.start_from is not None:
        yield ("tuning", "start_from"), "names an adapter: to train a whole checkpoint further, name it as model.path"
    if tuning.targets == "published" and tuning.mlp is not None:
        yield ("tuning", "mlp"), "`published` says itself which MLPs are trained: leave `mlp` out"
    if not data.train:
        yield ("data", "train"), "is empty: name at least one data set"
    shares = [source.share for source in data.train]
    if any(share is None for share in shares) and any(share is not None for share in shares):
        yield ("data", "train"), "give a `share` to every data set or to none"
    if data.val is not None and data.val.share is not None:
        yield ("data", "val", "share"), "has no meaning: every sample of it counts once"
    if training.pack and model.attention == "flash_attention_2":
        yield (
            ("model", "attention"),
            "takes no mask for prompts that share an image: use `sdpa`, or training.pack false",
        )
    if training.effective_batch % training.micro_batch:
        yield (
            ("training", "micro_batch"),
            f"{training.micro_batch} does not divide the effective batch of {training.effective_batch}",
        )
    if training.warmup >= 1 and training.warmup != int(training.warmup):
        yield ("training", "warmup"), f"{training.warmup} is neither a share below 1 nor a whole number of steps"
