"""Merging laws: merged = base plus adapter for every target set and kind, dequantised where it was quantised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import IA3Config, LoHaConfig, LoraConfig, PeftModel, VeraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor

from grounding.errors import InputError, RunError
from grounding.models.checkpoint import check_tensors, read_config
from grounding.models.cogvlm import CogVLMForCausalLM
from grounding.models.quantization import check_quantized, parts_kept, quantization_options
from grounding.models.shards import TensorPlan, write_shards
from grounding.tuning import merge as merging
from grounding.tuning.adapters import attach_lora, save_adapter
from grounding.tuning.merge import Merged, Recipe, merge
from grounding.tuning.targets import SETS, target_modules
from tests.tuning.conftest import tiny_model
from tests.tuning.test_adapters import logits, stirred

Batch = dict[str, Tensor]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The tiny model as a checkpoint folder of several shards, without a tokenizer."""
    tiny_model().save_pretrained(tmp_path / "base", max_shard_size="30KB")
    return tmp_path / "base"


def merged_into(folder: Path, base: Path, adapter: Path, **options: Any) -> Merged:
    folder.mkdir()
    config = read_config(base)
    recipe = Recipe(base, adapter, **options)
    found = merge(recipe, config, folder, shard_bytes=20_000)
    config.save_pretrained(folder)
    check_tensors(folder, config)
    return found


def stored(model: PeftModel, folder: Path) -> Path:
    save_adapter(stirred(model), folder)
    return folder


def peft_on(base: Path, config: Any) -> PeftModel:
    return get_peft_model(CogVLMForCausalLM.from_pretrained(base).eval(), config)


@pytest.mark.parametrize("name", SETS)
def test_merged_is_unmerged(name: str, batch: Batch, base: Path, tmp_path: Path) -> None:
    model = CogVLMForCausalLM.from_pretrained(base)
    targets = target_modules(model, name)
    adapter = stored(attach_lora(model, targets, rank=4, alpha=8), tmp_path / "adapter")
    found = merged_into(tmp_path / "merged", base, adapter)
    expected = logits(PeftModel.from_pretrained(tiny_model(), str(adapter)), batch)
    merged = CogVLMForCausalLM.from_pretrained(tmp_path / "merged")
    torch.testing.assert_close(logits(merged, batch), expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(expected, logits(tiny_model(), batch), atol=1e-2)
    assert found.matrices == len(targets.lora) and found.largest <= 1e-5 and found.where
    assert found.replaced == 4 * len(targets.full)  # two matrices and two biases each
    assert len(found.files) > 3


EXPERTS = r".*(vision|language)_expert_dense"


@pytest.mark.parametrize(
    "config",
    [
        LoraConfig(target_modules=EXPERTS, use_rslora=True, r=4, rank_pattern={r"layers\.1\..*": 2}),
        LoraConfig(target_modules=EXPERTS, use_dora=True),
        LoHaConfig(target_modules=EXPERTS, r=4),
        IA3Config(target_modules=EXPERTS, feedforward_modules=[]),
        LoraConfig(target_modules=["language_expert_dense"], layers_to_transform=[1], layers_pattern="layers"),
    ],
    ids=["rslora", "dora", "loha", "ia3", "one layer"],
)
def test_other_kinds_of_adapter(config: Any, batch: Batch, base: Path, tmp_path: Path) -> None:
    adapter = stored(peft_on(base, config), tmp_path / "adapter")
    merged_into(tmp_path / "merged", base, adapter)
    expected = logits(PeftModel.from_pretrained(tiny_model(), str(adapter)), batch)
    merged = CogVLMForCausalLM.from_pretrained(tmp_path / "merged")
    torch.testing.assert_close(logits(merged, batch), expected, atol=2e-5, rtol=1e-4)


def test_what_belongs_to_no_single_matrix_is_refused(base: Path, tmp_path: Path) -> None:
    adapter = stored(
        peft_on(base, VeraConfig(target_modules=["language_expert_dense"], r=4, save_projection=True)),
        tmp_path / "adapter",
    )
    with pytest.raises(InputError, match=r"VERA|no such module"):
        merged_into(tmp_path / "merged", base, adapter)


@pytest.mark.parametrize(("kind", "bound"), [("nf4", 2e-5), ("int8", 0.05)])
@pytest.mark.parametrize("tower", [False, True])
def test_after_qlora_the_dequantised_base_answers_as_in_training(
    kind: str, bound: float, tower: bool, batch: Batch, base: Path, tmp_path: Path
) -> None:
    """int8 rounds what goes into a layer as well, which no merged weight can stand for."""
    kept = parts_kept(tower)
    options = quantization_options(kind, kept, torch.float32, torch.device("cpu"))
    quantised = CogVLMForCausalLM.from_pretrained(base, device_map={"": "cpu"}, **options)
    check_quantized(quantised, kept)
    adapter = stored(attach_lora(quantised, target_modules(quantised, "both"), rank=4, alpha=8), tmp_path / "adapter")
    expected = logits(quantised, batch)
    merged_into(
        tmp_path / "merged", base, adapter, quantization=kind, quantize_tower=tower, compute_dtype=torch.float32
    )
    merged = logits(CogVLMForCausalLM.from_pretrained(tmp_path / "merged"), batch)
    original = PeftModel.from_pretrained(tiny_model(), str(adapter))
    apart = (logits(original, batch) - expected).norm() / expected.norm()
    assert (merged - expected).norm() / expected.norm() < bound
    assert kind == "int8" or apart > 100 * bound


def test_in_bfloat16_the_difference_is_rounding(base: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    tiny_model().to(torch.bfloat16).save_pretrained(half)
    model = CogVLMForCausalLM.from_pretrained(half)
    adapter = stored(attach_lora(model, target_modules(model, "both+tower"), rank=4, alpha=8), tmp_path / "adapter")
    found = merged_into(tmp_path / "merged", half, adapter)
    assert 1e-4 < found.largest < 1e-2
    merged = [load_file(file) for file in found.files]
    assert {tensor.dtype for part in merged for tensor in part.values()} <= {torch.bfloat16, torch.float32}
    untouched = "model.layers.0.mlp.vision_mlp.gate_proj.weight", "model.embed_tokens.weight"
    whole = {name: tensor for part in merged for name, tensor in part.items()}
    assert torch.equal(whole[untouched[1]], load_file(half / "model.safetensors")[untouched[1]])
    assert not torch.equal(whole[untouched[0]], load_file(half / "model.safetensors")[untouched[0]])


def test_a_matrix_that_differs_too_much_stops_it(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    adapter = stored(attach_lora(model, target_modules(model, "both"), rank=4, alpha=8), tmp_path / "adapter")
    monkeypatch.setattr(merging, "TOLERANCE", {torch.float32: 1e-12})
    with pytest.raises(RunError, match=r"language_expert|vision_expert|mlp.*more than the 1e-12 that float32 allows"):
        merged_into(tmp_path / "merged", base, adapter)


def test_an_adapter_for_another_base_is_refused(base: Path, tmp_path: Path) -> None:
    model = tiny_model(layers=3)
    adapter = stored(attach_lora(model, target_modules(model, "both"), rank=2, alpha=2), tmp_path / "adapter")
    with pytest.raises(InputError, match="trained on another base"):
        merged_into(tmp_path / "merged", base, adapter)


def test_shards_hold_what_was_planned(tmp_path: Path) -> None:
    plan = {name: TensorPlan((5, 2), torch.float32) for name in "abcde"}
    files = write_shards(tmp_path, plan, lambda name: torch.full((5, 2), float(ord(name))), shard_bytes=80)
    assert [sorted(load_file(file)) for file in files] == [["a", "b"], ["c", "d"], ["e"]]
    (single,) = write_shards(tmp_path, {"a": plan["a"]}, lambda _: torch.zeros(2, 5).T)
    assert single.name == "model.safetensors" and load_file(single)["a"].shape == (5, 2)
    with pytest.raises(ValueError, match="planned"):
        write_shards(tmp_path, plan, lambda _: torch.zeros(3))
    save_file({"a": torch.zeros(1)}, tmp_path / "x.safetensors")
