"""Rope tables against those of the original, in float32 and in both ways that the original rounds to bfloat16."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from grounding.errors import InputError
from grounding.models.cogvlm import CogVLMConfig, Encoded
from grounding.models.cogvlm.attention import RopeFrequencies, rope_tables, rotate
from grounding.models.loading import LoadedModel, build_model, load_model
from tests.models.parity import FIXTURES

ABOUT = json.loads((FIXTURES / "rope-bf16.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def vectors() -> dict[str, Tensor]:
    return load_file(FIXTURES / "rope-bf16.safetensors")


@pytest.mark.parametrize(
    ("way", "dtype"), [("fp32", "float32"), ("bf16_cast", "bfloat16"), ("bf16_default_dtype", "bfloat16")]
)
def test_tables_are_the_originals(way: str, dtype: str, vectors: dict[str, Tensor]) -> None:
    """`bf16_default_dtype` stands for a checkpoint that stores frequencies rounded another way: they are taken."""
    held = RopeFrequencies(ABOUT["head_dim"])
    if way == "bf16_default_dtype":
        held.inv_freq.copy_(vectors[f"{way}.inv_freq"])
    frequencies = held.frequencies(dtype)
    positions = torch.arange(ABOUT["positions"])
    cos, sin = rope_tables(positions, frequencies)
    assert frequencies.dtype == cos.dtype == getattr(torch, dtype)
    half = ABOUT["head_dim"] // 2
    for found, name in ((frequencies, "inv_freq"), (cos[:, 0, 0], "cos"), (sin[:, 0, 0], "sin")):
        expected = vectors[f"{way}.{name}"][..., :half]
        if dtype == "bfloat16":
            assert torch.equal(found, expected), name
        else:
            torch.testing.assert_close(found, expected, rtol=0, atol=5e-6)


def test_bfloat16_heads_turn_in_bfloat16_arithmetic(vectors: dict[str, Tensor]) -> None:
    cos, sin = rope_tables(torch.arange(40), RopeFrequencies(128).frequencies("bfloat16"))
    heads = torch.randn(40, 2, 3, 128, generator=torch.Generator().manual_seed(1)).bfloat16()
    first, second = heads.chunk(2, dim=-1)
    written_out = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
    assert written_out.dtype == torch.bfloat16 and torch.equal(rotate(heads, cos, sin), written_out)


def test_it_is_asked_for_by_call_or_config_and_kept_in_the_config(
    tiny: LoadedModel, checkpoint: Path, encoded: list[Encoded], pixels: Tensor
) -> None:
    def logits(loaded: LoadedModel) -> Tensor:
        with torch.no_grad():
            output: Tensor = loaded.model(**tiny.processor.pad(encoded), pixel_values=pixels).logits
        return output

    exact = logits(load_model(checkpoint, device="cpu"))
    rounded = load_model(checkpoint, device="cpu", rope_dtype="bfloat16")
    assert torch.equal(exact, logits(tiny)) and not torch.equal(logits(rounded), exact)
    assert "rope_dtype" not in json.loads((checkpoint / "config.json").read_text())
    rounded.model.save_pretrained(checkpoint)
    assert json.loads((checkpoint / "config.json").read_text())["rope_dtype"] == "bfloat16"
    again = load_model(checkpoint, device="cpu")
    assert torch.equal(logits(again), logits(rounded))
    assert torch.equal(logits(load_model(checkpoint, device="cpu", rope_dtype="float32")), exact)


def test_other_precisions_are_refused(tiny: LoadedModel, checkpoint: Path, architecture: dict[str, object]) -> None:
    with pytest.raises(InputError, match="allowed: float32, bfloat16"):
        load_model(checkpoint, device="cpu", rope_dtype="float16")
    with pytest.raises(InputError, match="rope_dtype 'half' is none of float32, bfloat16"):
        build_model({**architecture, "rope_dtype": "half"}, tiny.processor)
    assert CogVLMConfig(rope_dtype="bfloat16").to_dict()["rope_dtype"] == "bfloat16"
