"""Weights of linear layers in 4 or 8 bits by bitsandbytes: which, whether this machine can, and whether it was done.

Knows module names and bitsandbytes; it does not know files.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import nn
from transformers import BitsAndBytesConfig

from grounding.errors import InputError, RunError

QUANTIZATIONS = ("nf4", "int8")
UNQUANTIZED = ("model.vision", "lm_head")
"""Parts that stay in full precision: full dotted names, since a bare "vision" is matched nowhere."""
UNQUANTIZED_BESIDE_TOWER = ("model.vision.linear_proj", "lm_head")
"""The same where the tower's transformer is quantised too: the projector and the head are left."""


def check_backend(kind: str, place: torch.device) -> None:
    """See that bitsandbytes is here and can quantise on this device, by doing it once.

    Raises:
        InputError: it is not here, or has no kernels for the device.
    """
    fix = "Load without quantisation (bfloat16), or install a bitsandbytes that was built for this device."
    try:
        from bitsandbytes import functional

        probe = torch.zeros(64, 64, dtype=torch.float16, device=place)
        if kind == "nf4":
            functional.quantize_4bit(probe, quant_type="nf4", compress_statistics=True)
        else:
            functional.int8_vectorwise_quant(probe)
    except ImportError as error:
        raise InputError(
            f"{kind} needs bitsandbytes, which is not here ({error}).", where="quantization", fix=fix
        ) from error
    except (RuntimeError, NotImplementedError, AttributeError, ValueError, OSError, AssertionError) as error:
        # Each stands for a way to have no kernels: no native library, none for the device, a torch without the device.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"bitsandbytes cannot quantise to {kind} on {place} ({reason}).", where="quantization", fix=fix
        ) from error


def quantization_options(
    kind: str, kept: tuple[str, ...], dtype: torch.dtype | None, place: torch.device
) -> dict[str, Any]:
    """Options of from_pretrained for quantised layers; they compute in bfloat16 on a GPU and in float32 on a CPU."""
    compute = dtype or (torch.bfloat16 if place.type == "cuda" else torch.float32)
    if kind == "nf4":
        settings = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=compute,
            llm_int8_skip_modules=list(kept),
        )
    else:
        settings = BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=list(kept))
        # It would say in every layer of every step that inputs are rounded to half precision on their way to 8 bits.
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    return {"quantization_config": settings, "dtype": compute}


def parts_kept(quantize_tower: bool) -> tuple[str, ...]:
    """The parts that stay in full precision."""
    return UNQUANTIZED_BESIDE_TOWER if quantize_tower else UNQUANTIZED


def through_quantization(weight: torch.Tensor, kind: str) -> torch.Tensor:
    """A matrix as its quantised form stands for it: float[out, in] -> the same shape and dtype, on the same device."""
    from bitsandbytes import functional

    if kind == "nf4":
        packed, state = functional.quantize_4bit(weight, quant_type="nf4", compress_statistics=True)
        return functional.dequantize_4bit(packed, state).to(weight.dtype)
    packed, scales, _ = functional.int8_vectorwise_quant(weight.to(torch.float16))
    return functional.int8_vectorwise_dequant(packed, scales).to(weight.dtype)


def is_quantizable(name: str, module: nn.Module, kept: tuple[str, ...]) -> bool:
    """Whether a module is a linear layer outside the parts that stay in full precision."""
    inside = any(name == part or name.startswith(f"{part}.") for part in kept)
    return isinstance(module, nn.Linear) and not inside


def quantized_layers(model: nn.Module) -> dict[str, nn.Module]:
    """The layers of a model that bitsandbytes stores in 4 or 8 bits, by name."""
    from bitsandbytes.nn import Linear4bit, Linear8bitLt

    return {name: one for name, one in model.named_modules() if isinstance(one, Linear4bit | Linear8bitLt)}


def say_quantized(model: nn.Module) -> str:
    """How many layers are quantised and how many linear layers are not, in a sentence."""
    layers = quantized_layers(model)
    kind = "nf4" if any(hasattr(one.weight, "quant_state") for one in layers.values()) else "int8"
    tower = sum(name.startswith("model.vision.") for name in layers)
    linear = sum(isinstance(module, nn.Linear) for module in model.modules())
    return f"Quantised: {len(layers)} of {linear} linear layers, as {kind}; {tower} of them in the tower."


def check_quantized(model: nn.Module, kept: tuple[str, ...]) -> None:
    """Make sure that exactly the layers meant were quantised: a misspelt part would pass in silence."""
    layers = quantized_layers(model)
    # bitsandbytes' layers are linear layers too, so the model as it is tells which were meant.
    meant = {name for name, module in model.named_modules() if is_quantizable(name, module, kept)}
    wrong = layers.keys() ^ meant
    if not layers or wrong:
        raise RunError(
            f"quantisation went wrong: {len(layers)} layers quantised where {len(meant)} are meant"
            + (f", such as {sorted(wrong)[0]}." if wrong else ".")
        )
    for layer in layers.values():
        # On some CPUs bitsandbytes repacks a 4-bit layer at its first use in evaluation. Such a layer passes no
        # gradient on when training goes on, and an empty batch (an expert without tokens) ends the whole process.
        layer.support_avx512bf16_for_cpu = False
