"""From a folder or an architecture to a model and its processor: dtype, device, quantisation, adapter.

Everything that can be refused is refused before weights are read. Knows nothing of samples or training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.integrations import is_deepspeed_zero3_enabled
from transformers.utils import is_flash_attn_2_available
from transformers.utils import logging as transformers_logging

from grounding.errors import InputError, RunError
from grounding.models.adapter_check import check_adapter
from grounding.models.adapter_notes import read_notes
from grounding.models.checkpoint import check_tensors, config_from, read_config
from grounding.models.cogvlm import CogVLMConfig, CogVLMForCausalLM, CogVLMProcessor
from grounding.models.cogvlm.config import ROPE_DTYPES
from grounding.models.cogvlm.resolution import set_image_size, with_image_size
from grounding.models.hub import checkpoint_folder, is_hub_name, tokenizer_place
from grounding.models.memory import freed_at_once
from grounding.models.quantization import (
    QUANTIZATIONS,
    check_backend,
    check_quantized,
    parts_kept,
    quantization_options,
)
from grounding.models.tokenizers import load_tokenizer
from grounding.processes import number_here

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
ATTENTIONS = ("eager", "sdpa", "flash_attention_2")


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model, the processor that belongs to it, and the folder of its weights (None where they are random).

    `warnings` are sentences for the user: what of an adapter's training is not met here.
    """

    model: PreTrainedModel | PeftModel
    processor: CogVLMProcessor
    folder: Path | None = None
    warnings: tuple[str, ...] = ()


def load_model(
    path: str | Path,
    *,
    dtype: str | None = None,
    device: str | torch.device | None = None,
    quantization: str | None = None,
    quantize_tower: bool = False,
    adapter: str | Path | None = None,
    tokenizer: str | Path | None = None,
    attention: str | None = None,
    rope_dtype: str | None = None,
    revision: str | None = None,
    image_size: int | None = None,
) -> LoadedModel:
    """A checkpoint folder in the published layout, in evaluation mode.

    Args:
        path: holds config.json, safetensors weights and, unless `tokenizer` names it, the tokenizer; or a name on the
            hub, whose files are fetched (with CogVLM's usual tokenizer, where there is none).
        dtype: "float32", "bfloat16" or "float16"; as stored when left out (with a quantisation: what it computes in).
        device: the first GPU of this process, else the CPU, when left out.
        quantization: "nf4" (4 bits, double quantisation) or "int8", for the decoder; tower and head stay as they are.
        quantize_tower: quantise the tower's transformer as well; the projector stays as it is.
        adapter: a PEFT adapter folder trained on this checkpoint.
        tokenizer: folder, file or name on the hub, where the checkpoint ships none.
        attention: "eager", "sdpa" or "flash_attention_2"; transformers' choice when left out.
        rope_dtype: "float32" or "bfloat16" (what the published code does); the config's when left out.
        revision: of a name on the hub; its newest when left out.
        image_size: side in pixels that pictures are squashed to, a multiple of the patch size; when left out, the one
            that the adapter was trained at, else the checkpoint's. Position embeddings are interpolated to it.

    Raises:
        InputError: something in the call or the files is wrong.
        RunError: the device's memory is too small.
    """
    _check_choice("quantization", quantization, QUANTIZATIONS)
    if quantize_tower and quantization is None:
        raise InputError("the tower is quantised only with the decoder: choose nf4 or int8.", where="quantize_tower")
    _check_attention(attention)
    _check_choice("rope_dtype", rope_dtype, ROPE_DTYPES)
    folder = checkpoint_folder(path, revision)
    config = read_config(folder)
    config.rope_dtype = rope_dtype or config.rope_dtype
    check_tensors(folder, config)
    words = load_tokenizer(tokenizer_place(folder, tokenizer, fetched=is_hub_name(path)))
    notes = None if adapter is None else read_notes(Path(adapter))
    size = image_size or (notes.image_size if notes else None)
    processor = make_processor(with_image_size(config, size), words)
    place = usable_device(device)
    options: dict[str, Any] = {"dtype": torch_dtype(dtype) or config.dtype or torch.float32}
    if quantization is not None:
        check_backend(quantization, place)
        kept = parts_kept(quantize_tower)
        options = quantization_options(quantization, kept, torch_dtype(dtype), place)
    try:
        with freed_at_once(), _no_bars():
            model = CogVLMForCausalLM.from_pretrained(
                folder,
                config=config,
                device_map=None if is_deepspeed_zero3_enabled() else {"": place},  # which places weights itself
                attn_implementation=attention,
                use_safetensors=True,
                **options,
            )
    except torch.OutOfMemoryError as error:
        raise RunError(f"{path}: the model does not fit into the memory of {place}. Load it as nf4 or int8.") from error
    if quantization is not None:
        check_quantized(model, kept)
    set_image_size(model, size)
    model.eval()
    warnings = notes.differences(folder, processor.image_size, quantization, quantize_tower) if notes else []
    adapted = model if adapter is None else load_adapter(model, adapter)
    return LoadedModel(adapted, processor, folder, tuple(warnings))


@contextmanager
def _no_bars() -> Iterator[None]:
    """Keeps transformers from drawing bars of its own, as long as the block runs."""
    drawn = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if drawn:
            transformers_logging.enable_progress_bar()


def load_adapter(model: PreTrainedModel, folder: str | Path) -> PeftModel:
    """The model with a stored PEFT adapter on it, for use and not for training.

    Raises:
        InputError: no adapter, a kind that CogVLM's positions cannot carry, or one of another base model.
    """
    check_adapter(model, Path(folder))
    return PeftModel.from_pretrained(model, str(folder)).eval()


def build_model(
    architecture: Mapping[str, Any],
    tokenizer: PreTrainedTokenizerFast | CogVLMProcessor,
    *,
    dtype: str = "float32",
    device: str | torch.device | None = None,
    seed: int = 0,
    attention: str | None = None,
) -> LoadedModel:
    """A model of random weights, drawn from `seed` without touching the global random state.

    Args:
        architecture: values of a config.json; `vocab_size` follows from the tokenizer when left out.
        tokenizer: a Llama-like tokenizer, or a processor whose tokenizer is taken.

    Raises:
        InputError: unknown or impossible values.
    """
    _check_attention(attention)
    words = tokenizer.tokenizer if isinstance(tokenizer, CogVLMProcessor) else tokenizer
    values = {"model_type": CogVLMConfig.model_type, "vocab_size": words.vocab_size, **architecture}
    _check_known(values)
    config = config_from(values, where="architecture")
    processor = make_processor(config, words)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CogVLMForCausalLM._from_config(config, attn_implementation=attention, dtype=torch_dtype(dtype))
    model.to(usable_device(device))
    return LoadedModel(model.eval(), processor)


def default_device() -> torch.device:
    """The GPU of this process (LOCAL_RANK where several run), else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", number_here())
    return torch.device("cpu")


def usable_device(device: str | torch.device | None) -> torch.device:
    """The device of this name, or the default one; `cuda` is this process's GPU.

    Raises:
        InputError: there is no such kind of device, or none of it here.
    """
    if device is None or str(device) == "cuda":
        place = default_device()
        cards = torch.cuda.device_count()
        if place.type == "cuda" and number_here() >= cards:
            raise InputError(
                f"process {number_here()} on this machine has no GPU of its own: torch sees {cards}.",
                where="device",
                fix=f"Start as many processes as there are GPUs: --nproc-per-node {cards}.",
            )
        if device is None or place.type == "cuda":
            return place
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"{device!r} is no device; allowed: cpu, cuda, cuda:0, ...", where="device") from error
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"{device!r} was asked for, but torch sees {torch.cuda.device_count()} GPUs.",
            where="device",
            fix="Use cpu, or install the CUDA build of torch (`grounding doctor` says which is here).",
        )
    return place


def torch_dtype(name: str | None) -> torch.dtype | None:
    """A dtype by name; None stays None.

    Raises:
        InputError: the name is none of `DTYPES`.
    """
    _check_choice("dtype", name, tuple(DTYPES))
    return None if name is None else DTYPES[name]


def _check_choice(setting: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        raise InputError(f"{value!r} is unknown; allowed: {', '.join(allowed)}.", where=setting)


def _check_attention(attention: str | None) -> None:
    _check_choice("attention", attention, ATTENTIONS)
    if attention == "flash_attention_2" and not is_flash_attn_2_available():
        raise InputError(
            "flash_attention_2 needs a GPU and the flash-attn package, and one of them is not here.",
            where="attention",
            fix="Use sdpa, which has flash kernels of its own where there is no padding.",
        )


def _check_known(values: Mapping[str, Any]) -> None:
    """Refuse misspelt keys, which a config would carry along unused."""
    vision = values.get("vision_config") or {}
    allowed = {"architectures", "auto_map", "dtype", "model_type", "torch_dtype", "transformers_version"}
    unknown = sorted(set(values) - set(CogVLMConfig.__dataclass_fields__) - allowed)
    if isinstance(vision, Mapping):
        known_vision = set(CogVLMConfig().vision.__dataclass_fields__) | {"model_type"}
        unknown += [f"vision_config.{key}" for key in sorted(set(vision) - known_vision)]
    if unknown:
        raise InputError(f"unknown keys: {', '.join(unknown)}.", where="architecture")


def make_processor(config: CogVLMConfig, tokenizer: PreTrainedTokenizerFast) -> CogVLMProcessor:
    """The processor for a config, once it is sure that the tokenizer's ids mean what the config says."""
    fix = "Use the tokenizer that the model was made with."
    if tokenizer.vocab_size > config.vocab_size:
        problem = f"the tokenizer has {tokenizer.vocab_size} pieces, the model only {config.vocab_size} (vocab_size)."
        raise InputError(problem, fix=fix)
    for name in ("pad", "bos", "eos"):
        theirs, ours = getattr(tokenizer, f"{name}_token_id"), getattr(config, f"{name}_token_id")
        if theirs != ours:
            problem = f"{name}_token_id is {theirs} in the tokenizer and {ours} in the model's config."
            raise InputError(problem, fix=fix)
    vision = config.vision
    return CogVLMProcessor(tokenizer, vision.image_size, vision.patch_size, config.template_version)
