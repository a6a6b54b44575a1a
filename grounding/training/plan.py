"""What a run will need before anything is loaded: memory by part, from names and shapes and a computation without data.

Knows settings and the model's classes, on the meta device; it reads no weights. All sizes are in bytes; they are worked
out as

    weights     stored size of every frozen tensor. nf4: a number takes 1/2, a block of 64 one byte for its scale, 256
                blocks 4 for theirs, a matrix 1092 for tables and offset. int8: 1, and 4 a row. Otherwise the dtype's.
    trained     4 a number (LoRA pairs, copies of what is trained in full): what learns is float32.
    gradients   4 a trained number.
    optimiser   8 a trained number: AdamW's two averages (Muon keeps one of a matrix: this is then too much).
    activations the most that is alive at once in forward and backward of one micro-batch, beside the parts above, by
                running the model's own layers on tensors without storage. A packed row has 1 + image + prompts *
                (text - 1) tokens: every prompt as long as the longest, as many as may meet (see `prompts_in_row`).
    logits      the same of the head and the loss alone, for the tokens that have a label.
    cache       keys and values while answering: 2 * layers * width * tokens * prompts * size of the dtype.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from grounding.models.cogvlm import CogVLMConfig, CogVLMForCausalLM
from grounding.models.cogvlm.attention import rope_tables
from grounding.models.cogvlm.experts import Readers
from grounding.models.cogvlm.label_loss import summed_cross_entropy
from grounding.models.quantization import is_quantizable, parts_kept
from grounding.settings import FinetuneSettings
from grounding.training.build import make_trainable
from grounding.training.planned_batch import Lengths, PlannedBatch, prompts_in_row
from grounding.training.simulated import Alive, without_memory

GIB = 2**30
CONTEXT = int(0.6 * GIB)
"""What the CUDA context and the libraries' workspaces take: an estimate, not measured here."""
SLACK = 0.03
"""Share of the rest that the allocator holds without using it: an estimate, not measured here."""
USABLE = 0.98
"""Of a card of N GB, N GiB times this are there to be used."""


@dataclass(frozen=True)
class Plan:
    """What a run needs, in bytes.

    Attributes:
        weights, trained, gradients, optimiser: as the module says; alive all the time.
        activations: with gradient checkpointing as the settings say; `activations_otherwise` with the other choice,
            None where that was not asked for.
        logits: of the labelled tokens, part of `activations`.
        dequantised: the one matrix that is unpacked at a time.
        cache: while validation samples are answered, with `answering` besides.
        numbers: trained and all parameters.
        prompts: that share a row.
        tokens: of such a row.
        gathered: of weights spread over processes, what is whole at a time (see `plan_spread`).
    """

    weights: int
    trained: int
    gradients: int
    optimiser: int
    activations: int
    activations_otherwise: int | None
    logits: int
    dequantised: int
    cache: int
    answering: int
    numbers: tuple[int, int]
    prompts: int
    tokens: int
    gathered: int = 0

    @property
    def resident(self) -> int:
        """Alive all the time."""
        return self.weights + self.trained + self.gradients + self.optimiser

    @property
    def training(self) -> int:
        """The most while training. An optimiser step needs another copy of what is trained, but no activations."""
        return self.resident + max(self.activations + self.dequantised + self.gathered, self.trained)

    @property
    def evaluating(self) -> int:
        """The most while validation samples are answered."""
        return self.resident + self.cache + self.answering + self.dequantised + self.gathered

    @property
    def peak(self) -> int:
        """The most of all, with context and slack."""
        return CONTEXT + int(max(self.training, self.evaluating) * (1 + SLACK))


def make_plan(settings: FinetuneSettings, config: CogVLMConfig, lengths: Lengths, *, compare: bool = False) -> Plan:
    """What the run of these settings needs on one GPU.

    Args:
        config: of the checkpoint, or from `model.architecture`.
        lengths: of the longest sample, and how many prompts an image has.
        compare: work out the activations with the other choice of gradient checkpointing too.

    Raises:
        InputError: target modules or parts that the model does not have.
    """
    full = settings.tuning.method == "full"
    config._attn_implementation = "eager" if settings.model.attention == "eager" else "sdpa"
    with torch.device("meta"):
        model = CogVLMForCausalLM(config).to(torch.float32 if full else getattr(torch, settings.model.dtype))
        frozen_sizes = _frozen_sizes(model, settings)
        everything = sum(parameter.numel() for parameter in model.parameters())
        checkpointed = settings.training.gradient_checkpointing
        forced = settings.training.model_copy(update={"gradient_checkpointing": True})
        adapted = make_trainable(model, settings.model_copy(update={"training": forced}))
    trained = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
    numbers = sum(parameter.numel() for parameter in trained)
    own = {id(parameter) for parameter in trained}
    kept = sum(size for parameter, size in frozen_sizes if id(parameter) not in own)
    prompts = prompts_in_row(settings, config, lengths)
    batch = PlannedBatch(config, settings.training.micro_batch, lengths, prompts)
    asked = PlannedBatch(config, settings.evaluation.batch, lengths)
    half = settings.model.dtype == "bfloat16"
    choices = [checkpointed, not checkpointed] if compare else [checkpointed]
    with without_memory(adapted):
        activations = {on: _step(adapted, batch, half, checkpointing=on) for on in choices}
        logits = _logits(adapted, batch, half)
        answering = _prefill(adapted, asked, half)
    width = (torch.float32 if full else getattr(torch, settings.model.dtype)).itemsize
    columns = asked.columns - lengths.label + settings.evaluation.max_new_tokens
    looks = settings.data.val is not None and settings.evaluation.samples > 0
    return Plan(
        weights=kept + sum(buffer.nbytes for buffer in model.buffers()),
        trained=4 * numbers,
        gradients=4 * numbers,
        optimiser=8 * numbers,
        activations=activations[checkpointed],
        activations_otherwise=activations.get(not checkpointed),
        logits=logits,
        dequantised=_largest_quantised(model, settings) * width,
        cache=2 * config.num_hidden_layers * config.hidden_size * columns * asked.rows * width if looks else 0,
        answering=answering if looks else 0,
        numbers=(numbers, everything + (0 if full else numbers)),
        prompts=prompts,
        tokens=batch.columns,
    )


def stored_size(shape: Iterable[int], dtype: torch.dtype, quantization: str) -> int:
    """Bytes of a matrix as it is held: "none", "nf4" (double quantisation, blocks of 64 and 256) or "int8"."""
    sides = list(shape)
    count = math.prod(sides)
    if quantization == "nf4":
        blocks = math.ceil(count / 64)
        # Scales of blocks as bytes; theirs, an offset, and two tables of 16 and 256 as float32.
        return math.ceil(count / 2) + blocks + 4 * math.ceil(blocks / 256) + 4 * (1 + 16 + 256)
    if quantization == "int8":
        return count + 4 * sides[0]
    return count * dtype.itemsize


def _frozen_sizes(model: nn.Module, settings: FinetuneSettings) -> list[tuple[nn.Parameter, int]]:
    """Every parameter with its size as it is loaded."""
    small = set(_quantised(model, settings))
    return [
        (
            parameter,
            stored_size(parameter.shape, parameter.dtype, settings.model.quantization if name in small else "none"),
        )
        for name, parameter in model.named_parameters()
    ]


def _quantised(model: nn.Module, settings: FinetuneSettings) -> dict[str, nn.Parameter]:
    """The matrices that the settings quantise, by name."""
    if settings.model.quantization == "none":
        return {}
    kept = parts_kept(settings.model.quantize_tower)
    return {
        f"{name}.weight": module.weight
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and is_quantizable(name, module, kept)
    }


def _largest_quantised(model: PreTrainedModel, settings: FinetuneSettings) -> int:
    if settings.model.quantization == "none":
        return 0
    vision = model.config.vision
    sides = [model.config.hidden_size * max(3 * model.config.hidden_size, model.config.intermediate_size)]
    if settings.model.quantize_tower:
        sides.append(vision.hidden_size * max(3 * vision.hidden_size, vision.intermediate_size))
    return max(sides)


def _parts(adapted: nn.Module) -> CogVLMForCausalLM:
    """The model under its adapter, if any: the layers inside carry their LoRA pairs."""
    inner = adapted.get_base_model() if hasattr(adapted, "get_base_model") else adapted
    assert isinstance(inner, CogVLMForCausalLM)
    return inner


def _decode(model: CogVLMForCausalLM, batch: PlannedBatch, read: int | None = None) -> Tensor:
    """A batch through tower and decoder, without what depends on values: all hidden states, or as many as are read."""
    core, config = model.model, model.config
    features = core.vision(batch.pixels()).flatten(0, 1)
    text = torch.empty(batch.rows * batch.columns - len(features), config.hidden_size, dtype=features.dtype)
    if core.embed_tokens.weight.requires_grad:
        text.requires_grad_()
    tokens = torch.cat([features, text]).to(core.embed_tokens.weight.dtype)
    layout, sight = batch.layout(), batch.sight()
    positions = torch.empty(batch.rows * batch.columns, dtype=torch.long)
    rope = rope_tables(positions, core.layers[0].self_attn.rotary_emb.frequencies(config.rope_dtype))
    readers = None
    for layer in core.layers:
        if layer is core.layers[-1] and read is not None:  # labels are read in the branches alone
            readers, sight = Readers(torch.empty(read, dtype=torch.long), 0), batch.sight(prefix_read=False)
        tokens = layer(tokens, layout=layout, rope=rope, sight=sight, readers=readers)
    return core.norm(tokens)


def _step(adapted: nn.Module, batch: PlannedBatch, half: bool, *, checkpointing: bool) -> int:
    """The most alive in one forward and backward, gradients of weights not counted."""
    model = _parts(adapted).train()
    for module in model.modules():
        if hasattr(module, "gradient_checkpointing"):
            module.gradient_checkpointing = checkpointing
    with _alive(adapted) as alive, torch.autocast("cpu", torch.bfloat16, enabled=half):
        _loss(model, _decode(model, batch, batch.labels)).backward()
    return alive.peak


def _logits(adapted: nn.Module, batch: PlannedBatch, half: bool) -> int:
    """The most alive in the head and the loss, forward and backward."""
    model = _parts(adapted)
    hidden = torch.empty(batch.labels, model.config.hidden_size, dtype=model.lm_head.weight.dtype, requires_grad=True)
    with _alive(adapted) as alive, torch.autocast("cpu", torch.bfloat16, enabled=half):
        _loss(model, hidden).backward()
    return alive.peak


def _loss(model: CogVLMForCausalLM, hidden: Tensor) -> Tensor:
    logits = model.lm_head(hidden).float()
    return summed_cross_entropy(logits, torch.empty(len(logits), dtype=torch.long))


def _prefill(adapted: nn.Module, batch: PlannedBatch, half: bool) -> int:
    """The most alive while prompts go through once, without gradients."""
    model = _parts(adapted).eval()
    with _alive(adapted) as alive, torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        model.lm_head(_decode(model, batch)[: batch.rows]).float()
    return alive.peak


def _alive(adapted: nn.Module) -> Alive:
    """A counter that leaves out weights and their gradients."""
    alive = Alive()
    alive.known(adapted.parameters())
    alive.known(adapted.buffers())
    for parameter in adapted.parameters():
        if parameter.requires_grad and parameter.grad is None:
            parameter.grad = torch.empty(parameter.shape, dtype=parameter.dtype)
        if parameter.grad is not None:
            alive.known([parameter.grad])
    return alive


def savings(settings: FinetuneSettings, config: CogVLMConfig, lengths: Lengths) -> list[tuple[str, FinetuneSettings]]:
    """Changes that save memory, the mildest first, each laid over the ones before: (`key=value`, all settings then)."""
    steps: list[tuple[str, str, str, object]] = []
    tuning, training, evaluation, model = settings.tuning, settings.training, settings.evaluation, settings.model
    if not training.gradient_checkpointing:
        steps.append(("training.gradient_checkpointing=true", "training", "gradient_checkpointing", True))
    if evaluation.batch > 1:
        steps.append(("evaluation.batch=1", "evaluation", "batch", 1))
    if training.micro_batch > 1:
        steps.append(("training.micro_batch=1", "training", "micro_batch", 1))
    if (prompts := prompts_in_row(settings, config, lengths)) > 1:
        fewer = PlannedBatch(config, 1, lengths, prompts // 2).columns
        steps.append((f"training.pack_tokens={fewer}", "training", "pack_tokens", fewer))
    if tuning.method == "full" and model.path is not None:
        steps.append(("tuning.method=lora", "tuning", "method", "lora"))
    if model.path is not None and model.quantization != "nf4":
        steps.append(("model.quantization=nf4", "model", "quantization", "nf4"))
    if model.path is not None and not model.quantize_tower:
        steps.append(("model.quantize_tower=true", "model", "quantize_tower", True))
    if model.path is not None and tuning.targets != "published" and tuning.mlp is not False:
        steps.append(("tuning.mlp=false", "tuning", "mlp", False))
    if model.path is not None and tuning.rank > 8:
        steps.append(("tuning.rank=8", "tuning", "rank", 8))
    changed, found = settings, []
    for word, block, key, value in steps:
        update: Mapping[str, object] = {key: value} | ({"freeze": []} if word == "tuning.method=lora" else {})
        changed = changed.model_copy(update={block: getattr(changed, block).model_copy(update=update)})
        found.append((word, changed))
    return found
