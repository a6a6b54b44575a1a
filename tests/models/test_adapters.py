"""PEFT adapters and distributed training on this model: on some experts only, with rows that miss an expert."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from peft import IA3Config, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from grounding.errors import InputError
from grounding.models.cogvlm import Encoded
from grounding.models.loading import LoadedModel, load_adapter, load_model

VISION_ONLY = r".*layers.*(vision_expert_query_key_value|vision_mlp\.down_proj)"
BOTH = r".*layers.*(expert_query_key_value|expert_dense|gate_proj)|.*attention\.dense"


def lora(tiny: LoadedModel, targets: str, **settings: object) -> PeftModel:
    config = LoraConfig(r=2, target_modules=targets, init_lora_weights=False, task_type="CAUSAL_LM", **settings)
    return get_peft_model(tiny.model, config)


@pytest.mark.parametrize("targets", [VISION_ONLY, BOTH])
@pytest.mark.parametrize("reentrant", [False, True])
def test_lora_trains_with_checkpointing(
    tiny: LoadedModel, encoded: list[Encoded], pixels: Tensor, targets: str, reentrant: bool
) -> None:
    model = lora(tiny, targets).train()
    model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    model.enable_input_require_grads()
    for rows, images in ((encoded, pixels), ([encoded[1]], None)):
        model.zero_grad(set_to_none=True)
        model(**tiny.processor.pad(rows), pixel_values=images, label_logits_only=True).loss.backward()
        adapters = {name: one.grad for name, one in model.named_parameters() if one.requires_grad}
        assert all("lora_" in name for name in adapters)
        tower = [one for name, one in adapters.items() if ".transformer.layers.0." in name]
        vision = [one for name, one in adapters.items() if ".layers.0.self_attn.vision" in name]
        assert vision and bool(tower) == (targets == BOTH)
        assert all(one is not None and one.any() == (images is not None) for one in vision)
        assert all(one is not None and one.any() if images is not None else one is None for one in tower)


@pytest.fixture
def process_group() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("targets", [VISION_ONLY, BOTH])
def test_distributed_training_finds_every_parameter(
    tiny: LoadedModel, encoded: list[Encoded], pixels: Tensor, targets: str, process_group: None
) -> None:
    """Batches without an image leave no adapter without a gradient, or the next step would raise."""
    model = DistributedDataParallel(lora(tiny, targets).train())
    for rows, images in (([encoded[1]], pixels[:0]), (encoded, pixels), ([encoded[1]], pixels[:0])):
        model(**tiny.processor.pad(rows), pixel_values=images).loss.backward()
    assert all(one.grad is not None for one in model.parameters() if one.requires_grad)


def test_generation_with_adapter(tiny: LoadedModel, pixels: Tensor, tmp_path: Path, checkpoint: Path) -> None:
    batch = tiny.processor.pad([tiny.processor.encode(word, has_image=True) for word in ("dog", "where?")], side="left")
    inputs = {**batch, "pixel_values": pixels[:2], "max_new_tokens": 4, "do_sample": False}
    model = lora(tiny, BOTH, modules_to_save=["fc2"]).eval()
    expected = model.generate(**inputs)
    model.save_pretrained(tmp_path / "adapter")
    loaded = load_model(checkpoint, device="cpu", adapter=tmp_path / "adapter").model
    assert isinstance(loaded, PeftModel) and torch.equal(loaded.generate(**inputs), expected)
    assert not any(one.requires_grad for one in loaded.parameters())
    merged = loaded.merge_and_unload()
    with torch.no_grad():
        both = [one(**batch, pixel_values=pixels[:2]).logits for one in (merged, model)]
    torch.testing.assert_close(*both, rtol=1e-4, atol=1e-4)
    merged.save_pretrained(tmp_path / "merged")
    assert set(load_file(tmp_path / "merged" / "model.safetensors")) == set(load_file(checkpoint / "model.safetensors"))


def test_other_kinds_of_adapter(tiny: LoadedModel, tmp_path: Path, checkpoint: Path) -> None:
    config = IA3Config(target_modules=r".*language_expert_dense", feedforward_modules=[])
    get_peft_model(tiny.model, config).save_pretrained(tmp_path / "adapter")
    assert isinstance(load_model(checkpoint, device="cpu", adapter=tmp_path / "adapter").model, PeftModel)


def test_adapters_that_do_not_belong(tiny: LoadedModel, tmp_path: Path, checkpoint: Path) -> None:
    lora(tiny, BOTH, modules_to_save=["fc2"]).save_pretrained(tmp_path)
    settings, weights = tmp_path / "adapter_config.json", tmp_path / "adapter_model.safetensors"
    tensors, written = load_file(weights), settings.read_text()
    model = load_model(checkpoint, device="cpu").model

    def refuse(message: str, change: dict[str, Tensor] | None = None) -> None:
        if change is not None:
            save_file(change, weights)
        with pytest.raises(InputError, match=message):
            load_adapter(model, tmp_path)

    first = "base_model.model.model.layers.0.self_attn.vision_expert_dense"
    wide = "base_model.model.model.vision.transformer.layers.0.mlp.fc2.weight"
    for name, shape, expected in [
        (f"{first}.lora_A.weight", (2, 31), r"\[2, 31\] instead of \[2, 32\]"),
        (f"{first}.lora_B.weight", (31, 2), r"\[31, 2\] instead of \[32, 2\]"),
        (wide, (16, 31), r"\[16, 31\] instead of \[16, 32\]"),
    ]:
        assert name in tensors
        refuse(expected, {**tensors, name: torch.ones(shape)})
    for name in ("model.layers.9.mlp.lora_A.weight", "transformer.h.0.lora_A.weight", "model.layers.0.mlp.lora_E"):
        refuse("1 of .*no such module", {**tensors, f"base_model.model.{name}": torch.ones(2, 2)})
    refuse("holds no tensors", {})
    weights.write_bytes(b"broken")
    refuse("cannot be read")
    settings.write_text(json.dumps(json.loads(written) | {"peft_type": "PROMPT_TUNING"}))
    refuse("shift the image")
    weights.unlink()
    refuse(r"no adapter_model\.safetensors")
    settings.unlink()
    refuse(r"no adapter_config\.json")
