"""LoRA laws: fresh = base, reloaded = saved, every target learns, PEFT alone reads the files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel, PromptTuningConfig, get_peft_model
from torch import Tensor, nn

from grounding.errors import InputError
from grounding.tuning.adapters import attach_lora, load_adapter, save_adapter
from grounding.tuning.freeze import count_parameters
from grounding.tuning.targets import SETS, target_modules
from tests.tuning.conftest import tiny_model

Batch = dict[str, Tensor]


def logits(model: nn.Module, batch: Batch) -> Tensor:
    model.eval()
    with torch.no_grad():
        return model(**batch).logits


def stirred(model: PeftModel) -> PeftModel:
    """The adapter as after some training: nothing zero any more."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def adapted(name: str, **changes: float) -> PeftModel:
    model = tiny_model()
    return attach_lora(model, target_modules(model, name), **({"rank": 4, "alpha": 8} | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SETS)
def test_a_fresh_adapter_changes_nothing_and_every_part_of_it_learns(name: str, batch: Batch) -> None:
    before = logits(tiny_model(), batch)
    model = adapted(name)
    assert torch.equal(logits(model, batch), before)
    model.train()
    stirred(model)(**batch).loss.backward()
    for parameter_name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, parameter_name
        else:
            assert parameter.grad is None


@pytest.mark.parametrize("name", SETS)
def test_saved_is_loaded_by_peft_alone_and_by_us(name: str, batch: Batch, tmp_path: Path) -> None:
    model = stirred(adapted(name))
    expected = logits(model, batch)
    save_adapter(model, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} >= {"adapter_config.json", "adapter_model.safetensors"}
    assert torch.equal(logits(PeftModel.from_pretrained(tiny_model(), str(tmp_path)), batch), expected)
    again = load_adapter(tiny_model(), tmp_path)
    assert torch.equal(logits(again, batch), expected)
    assert count_parameters(again).trainable == count_parameters(model).trainable > 0


def test_the_seed_decides_the_adapter_and_nothing_else() -> None:
    bare = tiny_model()
    torch.manual_seed(3)
    expected_next = torch.rand(1)
    torch.manual_seed(3)
    attach_lora(bare, target_modules(bare, "both"), rank=4, alpha=8, seed=1)
    assert torch.equal(torch.rand(1), expected_next)
    one, same, other = adapted("both", seed=1), adapted("both", seed=1), adapted("both", seed=2)
    states = [
        {key: value for key, value in model.state_dict().items() if "lora_A" in key} for model in (one, same, other)
    ]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not any(torch.equal(states[0][key], states[2][key]) for key in states[0])


def test_weights_that_learn_are_float32_on_a_bfloat16_base() -> None:
    model = tiny_model().to(torch.bfloat16)
    adapter = attach_lora(model, target_modules(model, "published"), rank=2, alpha=2)
    for _, parameter in adapter.named_parameters():
        assert parameter.dtype == (torch.float32 if parameter.requires_grad else torch.bfloat16)


def test_the_scale_is_alpha_over_rank(batch: Batch) -> None:
    def shift(alpha: int) -> Tensor:
        model = adapted("language", alpha=alpha)
        qkv = model.get_submodule(f"base_model.model.{target_modules(tiny_model(), 'language').lora[0]}")
        nn.init.ones_(qkv.lora_B["default"].weight)
        x = torch.ones(1, 32)
        return qkv(x) - qkv.base_layer(x)

    torch.testing.assert_close(shift(8), 4 * shift(2))


def test_what_is_no_lora_adapter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"adapter_config\.json"):
        load_adapter(tiny_model(), tmp_path)
    prompt = get_peft_model(
        tiny_model(), PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM", token_dim=32, num_layers=2)
    )
    prompt.save_pretrained(str(tmp_path))
    with pytest.raises(InputError, match="PROMPT_TUNING"):
        load_adapter(tiny_model(), tmp_path)


def test_an_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    model = tiny_model(layers=3)
    save_adapter(attach_lora(model, target_modules(model, "both"), rank=2, alpha=2), tmp_path)
    with pytest.raises(InputError, match="do not fit"):
        load_adapter(tiny_model(), tmp_path)
