"""Another image size than the checkpoint's: positions by bicubic convolution, and nothing else changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from grounding.errors import InputError
from grounding.models.cogvlm import CogVLMConfig, CogVLMForCausalLM, CogVLMProcessor
from grounding.models.cogvlm.resolution import POSITIONS, interpolate_positions, set_image_size, with_image_size
from grounding.models.loading import LoadedModel, load_model


def keys_weights(old: int, new: int) -> Tensor:
    """float64[new, old]: cubic convolution (Keys 1981, a = -0.75) at the centres of `new` cells, edges repeated."""

    def kernel(x: float) -> float:
        a, x = -0.75, abs(x)
        if x <= 1:
            return (a + 2) * x**3 - (a + 3) * x**2 + 1
        return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0

    weights = torch.zeros(new, old, dtype=torch.float64)
    for place in range(new):
        at = (place + 0.5) * old / new - 0.5
        for source in range(int(at // 1) - 1, int(at // 1) + 3):
            weights[place, min(max(source, 0), old - 1)] += kernel(at - source)
    return weights


@pytest.mark.parametrize(("old", "new"), [(2, 4), (4, 7), (16, 35), (5, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_positions_are_those_of_bicubic_convolution(old: int, new: int, dtype: torch.dtype) -> None:
    table = torch.randn(old**2 + 1, 6, generator=torch.Generator().manual_seed(old)).to(dtype)
    found = interpolate_positions(table, new**2 + 1)
    assert found.dtype == dtype and torch.equal(found[0], table[0])
    weights, grid = keys_weights(old, new), table[1:].double().unflatten(0, (old, old))
    expected = torch.einsum("yr,xc,rcd->yxd", weights, weights, grid).flatten(0, 1)
    torch.testing.assert_close(found[1:].double(), expected.to(dtype).double(), rtol=1e-2, atol=1e-5)


def test_the_same_grid_keeps_every_bit() -> None:
    table = torch.randn(26, 3).to(torch.bfloat16)
    assert torch.equal(interpolate_positions(table, 26), table)
    config = CogVLMConfig()
    assert with_image_size(config, 490) is config and with_image_size(config, None) is config


@pytest.mark.parametrize(
    ("size", "near"), [(500, "490 and 504"), (1, "14."), (13, "14."), (-3, "14."), (491, "490 and 504")]
)
def test_sizes_that_are_no_multiple_of_the_patch(size: int, near: str) -> None:
    with pytest.raises(
        InputError, match=rf"image_size: {size} is no multiple of the patch size of 14 .*Near it: {near}"
    ):
        with_image_size(CogVLMConfig(), size)


def test_the_published_towers_become_each_other_in_shape() -> None:
    config = with_image_size(CogVLMConfig(), 224)
    assert (config.vision.num_positions, config.image_token_count) == (257, 258)
    assert CogVLMConfig(**config.to_diff_dict()).vision.image_size == 224


def test_the_checkpoints_own_size_is_bit_identical(checkpoint: Path) -> None:
    first, second = (load_model(checkpoint, device="cpu", image_size=size).model.state_dict() for size in (None, 28))
    assert all(torch.equal(first[name], second[name]) for name in first | second)


def logits(loaded: LoadedModel) -> Tensor:
    processor, generator = loaded.processor, torch.Generator().manual_seed(0)
    batch = processor.pad([processor.encode("Where is the dog?", has_image=True, answer="no")])
    pixels = torch.randn(1, 3, processor.image_size, processor.image_size, generator=generator)
    with torch.no_grad():
        return loaded.model(**batch, pixel_values=pixels.to(loaded.model.get_input_embeddings().weight.dtype)).logits


@pytest.mark.parametrize(
    "options",
    [{}, {"dtype": "bfloat16"}, {"quantization": "nf4"}, {"quantization": "int8", "quantize_tower": True}],
    ids=["float32", "bfloat16", "nf4", "int8"],
)
def test_a_larger_size_changes_the_positions_alone(checkpoint: Path, options: dict[str, Any]) -> None:
    plain = load_model(checkpoint, device="cpu", **options)
    larger = load_model(checkpoint, device="cpu", image_size=56, **options)
    before, after = plain.model.state_dict(), larger.model.state_dict()
    assert before.keys() == after.keys()
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed == [POSITIONS] and after[POSITIONS].dtype == before[POSITIONS].dtype
    assert torch.equal(after[POSITIONS], interpolate_positions(before[POSITIONS], 17))
    assert larger.processor.image_size == 56 and larger.processor.image_token_count == 18
    assert larger.model.config.image_token_count == 18 and not larger.model.training
    assert logits(larger).isfinite().all()
    with pytest.raises(ValueError, match=r"\[images, 3, 56, 56\]"):
        larger.model.model.vision(torch.zeros(1, 3, 28, 28))


def test_no_other_weight_is_copied(tiny: LoadedModel) -> None:
    model = tiny.model
    assert isinstance(model, CogVLMForCausalLM)
    held = {name: one.data_ptr() for name, one in model.named_parameters() if name != POSITIONS}
    set_image_size(model, 70)
    assert held == {name: one.data_ptr() for name, one in model.named_parameters() if name != POSITIONS}
    assert model.get_parameter(POSITIONS).shape == (26, 16) and model.get_parameter(POSITIONS).requires_grad
    model.requires_grad_(False)
    set_image_size(model, 28)
    assert not model.get_parameter(POSITIONS).requires_grad


def test_weights_that_are_cut_into_parts_are_refused(tiny: LoadedModel) -> None:
    with torch.no_grad():
        tiny.model.get_parameter(POSITIONS).set_(torch.empty(0, 16))  # as ZeRO-3 leaves it outside of a forward
    with pytest.raises(InputError, match=r"image_size: position embeddings cannot be interpolated in parts.*ZeRO-2"):
        set_image_size(tiny.model, 56)


def test_a_saved_model_keeps_its_size_by_itself(checkpoint: Path, tmp_path: Path) -> None:
    larger = load_model(checkpoint, device="cpu", image_size=42)
    larger.model.save_pretrained(tmp_path / "larger")
    larger.processor.save_pretrained(tmp_path / "larger")
    again = load_model(tmp_path / "larger", device="cpu")
    assert again.processor.image_size == CogVLMProcessor.from_pretrained(tmp_path / "larger").image_size == 42
    assert torch.equal(logits(again), logits(larger))
