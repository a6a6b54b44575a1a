"""From folder to model: the published layout in and out, and everything that is refused, with its reason."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import BPE
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from grounding.errors import InputError, RunError
from grounding.models import loading, quantization
from grounding.models.cogvlm import CogVLMForCausalLM, Encoded
from grounding.models.loading import LoadedModel, build_model, load_model, usable_device
from grounding.models.quantization import quantized_layers, say_quantized
from tests.models.parity import Case


def logits(loaded: LoadedModel | CogVLMForCausalLM, rows: list[Encoded], pixels: Tensor, tiny: LoadedModel) -> Tensor:
    model = loaded.model if isinstance(loaded, LoadedModel) else loaded
    with torch.no_grad():
        output = model(**tiny.processor.pad(rows), pixel_values=pixels)
    result: Tensor = output.logits
    return result


def edit_config(folder: Path, **values: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def edit_weights(folder: Path, change: Callable[[dict[str, Tensor]], Any]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_saved_and_loaded_is_the_same(
    tiny: LoadedModel, checkpoint: Path, encoded: list[Encoded], pixels: Tensor
) -> None:
    expected = logits(tiny, encoded, pixels, tiny)
    again = load_model(checkpoint, device="cpu")
    assert torch.equal(logits(again, encoded, pixels, tiny), expected) and not again.model.training
    plain = CogVLMForCausalLM.from_pretrained(checkpoint)
    assert torch.equal(logits(plain, encoded, pixels, tiny), expected)
    assert set(load_file(checkpoint / "model.safetensors")) == set(tiny.model.state_dict())


@pytest.fixture
def few_words(tmp_path: Path) -> Path:
    """A tokenizer folder small enough for the vocabularies of the parity cases."""
    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2, "a": 3}
    words = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(BPE(vocabulary, [])), unk_token="<unk>")
    words.save_pretrained(tmp_path / "words")
    return tmp_path / "words"


@pytest.mark.parametrize("shards", [False, True])
@pytest.mark.parametrize("frequencies", [False, True])
def test_published_layout(shards: bool, frequencies: bool, tmp_path: Path, few_words: Path) -> None:
    """A folder as the original wrote it: no model_type, auto_map inside, inv_freq there or not, one file or shards."""
    case = Case("batch-mixed")
    (tmp_path / "config.json").write_text(json.dumps(case.document["config"]))
    tensors = {key: value for key, value in case.state_dict.items() if frequencies or "inv_freq" not in key}
    if shards:
        files = {f"model-{part}.safetensors": sorted(tensors)[part::2] for part in (0, 1)}
        for file, names in files.items():
            save_file({key: tensors[key] for key in names}, tmp_path / file, metadata={"format": "pt"})
        weight_map = {key: file for file, names in files.items() for key in names}
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    else:
        save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"no tokenizer\.json and no tokenizer\.model.*tokenizer\.model of"):
        load_model(tmp_path, device="cpu")
    plain = CogVLMForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(plain.lm_head.weight, case.state_dict["lm_head.weight"]) and plain.config.rms_norm_eps == 1e-5
    loaded = load_model(tmp_path, device="cpu", tokenizer=few_words, attention="eager")
    stored = loaded.model.state_dict()
    assert set(stored) == set(case.state_dict)
    for key, value in case.state_dict.items():
        torch.testing.assert_close(stored[key], value, rtol=0, atol=1e-7 if "inv_freq" in key else 0)
    assert loaded.model.config._attn_implementation == "eager" and loaded.model.dtype == torch.float32
    assert loaded.processor.template_version == "vqa" and loaded.processor.image_size == 28


def test_dtypes(checkpoint: Path) -> None:
    assert load_model(checkpoint, device="cpu", dtype="bfloat16").model.dtype == torch.bfloat16
    edit_config(checkpoint, torch_dtype="bfloat16")
    assert load_model(checkpoint, device="cpu").model.dtype == torch.bfloat16
    assert load_model(checkpoint, device="cpu", dtype="float32").model.dtype == torch.float32


@pytest.mark.parametrize(("kind", "bound"), [("nf4", 0.35), ("int8", 0.05)])
def test_quantized(
    kind: str,
    bound: float,
    architecture: dict[str, Any],
    words: Any,
    tmp_path: Path,
    encoded: list[Encoded],
    pixels: Tensor,
) -> None:
    tiny = build_model(architecture | {"initializer_range": 0.05}, words, device="cpu")
    tiny.model.save_pretrained(tmp_path)
    tiny.processor.save_pretrained(tmp_path)
    quantized = load_model(tmp_path, device="cpu", quantization=kind)
    names = [name for name, module in quantized.model.named_modules() if type(module).__name__ in KINDS]
    # Per layer: two experts, each with two matrices of attention and three of the MLP.
    assert len(names) == 2 * 2 * 5 and not any(name.startswith(("model.vision", "lm_head")) for name in names)

    table, text = quantized.model.get_input_embeddings().weight, tiny.processor.pad([encoded[1]])

    def gradient() -> Tensor:
        """Through the quantised layers; the vision expert's empty slice passes through them too."""
        table.grad = None
        quantized.model(**text).loss.backward()
        return table.grad.clone()

    before = gradient()
    expected, found = logits(tiny, encoded, pixels, tiny), logits(quantized, encoded, pixels, tiny)
    assert 0 < float((found - expected).std() / expected.std()) < bound
    batch = tiny.processor.pad([tiny.processor.encode("dog", has_image=True)], side="left")
    new = quantized.model.generate(**batch, pixel_values=pixels[:1], max_new_tokens=4, do_sample=False)
    assert new.shape[1] <= batch["input_ids"].shape[1] + 4
    torch.testing.assert_close(gradient(), before)  # an evaluation in between changes nothing
    plain = tiny.model.get_input_embeddings().weight
    tiny.model(**text).loss.backward()
    assert torch.cosine_similarity(plain.grad.flatten(), before.flatten(), dim=0) > 0.9


KINDS = ("Linear4bit", "Linear8bitLt")


def test_a_quantisation_that_took_nothing_is_an_error(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization, "UNQUANTIZED", ("model", "lm_head"))
    with pytest.raises(RunError, match="0 layers quantised where 0 are meant"):
        load_model(checkpoint, device="cpu", quantization="nf4")


@pytest.mark.parametrize("kind", ["nf4", "int8"])
@pytest.mark.parametrize("tower", [False, True])
def test_what_is_not_quantised_stays_in_bfloat16(checkpoint: Path, kind: str, tower: bool) -> None:
    """PEFT's preparation for k-bit training would turn all of these into float32."""
    model = load_model(checkpoint, device="cpu", dtype="bfloat16", quantization=kind, quantize_tower=tower).model
    # Per tower layer: two matrices of attention, two of the MLP.
    decoder, inside = 2 * 2 * 5, 2 * 4 * tower
    assert len(quantized_layers(model)) == decoder + inside
    said = say_quantized(model)
    assert (
        f"{decoder + inside} of {decoder + 8 + 4 + 1} linear layers, as {kind}; {inside} of them in the tower" in said
    )
    for name, parameter in model.named_parameters():
        small = name.rpartition(".")[0] in quantized_layers(model) and name.endswith("weight")
        assert (parameter.dtype in (torch.uint8, torch.int8)) if small else (parameter.dtype == torch.bfloat16), name


def test_the_tower_is_not_quantised_alone(checkpoint: Path) -> None:
    with pytest.raises(InputError, match="only with the decoder"):
        load_model(checkpoint, device="cpu", quantize_tower=True)


@pytest.mark.parametrize("kind", ["nf4", "int8"])
@pytest.mark.parametrize("problem", [RuntimeError("no native library\nmore"), NotImplementedError("no kernel")])
def test_bitsandbytes_without_a_usable_backend(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, kind: str, problem: Exception
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise problem

    monkeypatch.setattr("bitsandbytes.functional.quantize_4bit", fail)
    monkeypatch.setattr("bitsandbytes.functional.int8_vectorwise_quant", fail)
    with pytest.raises(InputError, match=rf"cannot quantise to {kind} on cpu \(no .*Load without quantisation"):
        load_model(checkpoint, device="cpu", quantization=kind)
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(InputError, match=f"{kind} needs bitsandbytes, which is not here"):
        load_model(checkpoint, device="cpu", quantization=kind)


def test_build_model(architecture: dict[str, Any], tiny: LoadedModel) -> None:
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    same = build_model(architecture, tiny.processor.tokenizer, seed=3, device="cpu")
    assert torch.equal(torch.rand(1), expected)  # the global random state was left alone
    other = build_model(architecture, tiny.processor, seed=4, device="cpu", dtype="bfloat16", attention="eager")
    first, again = tiny.model.state_dict(), same.model.state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert other.model.dtype == torch.bfloat16 and other.model.config._attn_implementation == "eager"
    assert not torch.equal(other.model.lm_head.weight.float(), tiny.model.lm_head.weight)
    assert tiny.model.config.vocab_size == tiny.processor.tokenizer.vocab_size
    for name, tensor in first.items():  # nothing was left at what memory happened to hold
        assert tensor.isfinite().all() and (tensor.any() or name.endswith("bias")), name
    assert float(tiny.model.model.vision.boi.detach().std()) == pytest.approx(0.2, rel=0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hiden_size": 8}, "unknown keys: hiden_size"),
        ({"vision_config": {"hidden_size": 16, "layers": 2}}, r"unknown keys: vision_config\.layers"),
        ({"vocab_size": 300}, "only 300"),
        ({"hidden_size": 33}, "even whole number"),
        ({"model_type": "llama"}, "model_type 'llama'"),
        ({"hidden_size": "wide"}, "hidden_size"),
        ({"bos_token_id": 5}, "bos_token_id is 1 in the tokenizer and 5"),
    ],
)
def test_impossible_architectures(
    architecture: dict[str, Any], tiny: LoadedModel, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        build_model({**architecture, **change}, tiny.processor)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dtype": "double"}, "dtype: 'double' is unknown; allowed: float32"),
        ({"quantization": "nf8"}, "allowed: nf4, int8"),
        ({"attention": "flash"}, "allowed: eager, sdpa, flash_attention_2"),
        ({"tokenizer": "nowhere"}, "nowhere: this tokenizer does not exist"),
        ({"adapter": "nowhere"}, "no such adapter folder"),
    ],
)
def test_wrong_calls(checkpoint: Path, settings: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_model(checkpoint, device="cpu", **settings)


def test_flash_attention_where_there_is_none(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "is_flash_attn_2_available", lambda: False)
    with pytest.raises(InputError, match="Use sdpa"):
        load_model(checkpoint, device="cpu", attention="flash_attention_2")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}, "model_type 'llama'"),
        ({"model_type": "", "architectures": ["CogAgentForCausalLM"]}, "CogAgentForCausalLM"),
        ({"model_type": None, "architectures": None}, "no model_type"),
        ({"num_multi_query_heads": 8}, "CogVLM2"),
        ({"cross_hidden_size": 1024}, "CogAgent"),
        ({"rope_theta": 500000}, "another rope base"),
        ({"quantization_config": {"load_in_4bit": True}}, "stored quantised"),
        ({"hidden_size": 31}, "even whole number"),
        ({"rms_norm_eps": "small"}, "rms_norm_eps"),
    ],
)
def test_configs_of_something_else(checkpoint: Path, values: dict[str, Any], message: str) -> None:
    edit_config(checkpoint, **values)
    with pytest.raises(InputError, match=message) as caught:
        load_model(checkpoint, device="cpu")
    assert "config.json" in str(caught.value)


def test_model_type_may_be_absent(checkpoint: Path) -> None:
    edit_config(checkpoint, model_type="")
    assert load_model(checkpoint, device="cpu").model.config.model_type == "cogvlm"


def remove(*names: str) -> Callable[[dict[str, Tensor]], None]:
    return lambda tensors: [tensors.pop(name) for name in names] and None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (remove("lm_head.weight"), r"1 tensor is missing: lm_head\.weight"),
        (lambda tensors: tensors.update(extra=torch.ones(1)), "1 tensor is unknown to CogVLM: extra"),
        (
            lambda tensors: tensors.update({"model.norm.weight": torch.ones(31)}),
            r"1 tensor is of another shape: model\.norm\.weight \[31\] instead of \[32\]",
        ),
        (
            lambda tensors: tensors.update({"model.layers.1.self_attn.rotary_emb.inv_freq": torch.rand(8)}),
            "other rope frequencies",
        ),
    ],
)
def test_tensors_that_do_not_belong(checkpoint: Path, change: Callable[[Any], Any], message: str) -> None:
    edit_weights(checkpoint, change)
    with pytest.raises(InputError, match=message):
        load_model(checkpoint, device="cpu")


def test_from_pretrained_is_as_strict(checkpoint: Path) -> None:
    model, info = CogVLMForCausalLM.from_pretrained(checkpoint, output_loading_info=True)
    assert isinstance(model, CogVLMForCausalLM) and not info["missing_keys"]
    edit_weights(checkpoint, lambda tensors: tensors.update(extra=tensors.pop("model.norm.weight")))
    with pytest.raises(InputError, match=r"1 missing tensors: model\.norm\.weight; 1 unexpected tensors: extra"):
        CogVLMForCausalLM.from_pretrained(checkpoint)


def test_frequencies_rounded_to_bfloat16_are_taken(checkpoint: Path) -> None:
    def coarse(tensors: dict[str, Tensor]) -> None:
        for name in tensors:
            if name.endswith("inv_freq"):
                tensors[name] = tensors[name].to(torch.bfloat16)

    edit_weights(checkpoint, coarse)
    assert load_model(checkpoint, device="cpu").model.dtype == torch.float32


def test_broken_folders(checkpoint: Path, tmp_path: Path) -> None:
    weights, config = checkpoint / "model.safetensors", checkpoint / "config.json"

    def refuse(message: str, path: Path = checkpoint) -> None:
        with pytest.raises(InputError, match=message):
            load_model(path, device="cpu")

    refuse("no folder", tmp_path / "nowhere")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    refuse("cannot be read")
    weights.unlink()
    refuse("no model.safetensors")
    (checkpoint / "pytorch_model.bin").write_bytes(b"")
    refuse("can run code")
    index = checkpoint / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"lm_head.weight": "model-1.safetensors"}}))
    refuse("1 of 1 weight files are missing: model-1.safetensors")
    index.write_text("{}")
    refuse("no weight_map")
    config.write_text("{")
    refuse("no valid JSON")
    config.write_text("[]")
    refuse("no object")
    config.unlink()
    refuse("no config.json")


def test_a_truncated_shard_is_named(tiny: LoadedModel, checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").unlink()
    tiny.model.save_pretrained(checkpoint, max_shard_size="30KB")
    shard = sorted(checkpoint.glob("model-*.safetensors"))[1]
    whole = shard.read_bytes()
    for size in (len(whole) - 1, len(whole) // 2, 5, 0):
        shard.write_bytes(whole[:size])
        with pytest.raises(InputError, match=rf"{shard.name} cannot be read .*: copy or download this file again"):
            load_model(checkpoint, device="cpu")


def test_memory_that_is_too_small(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(CogVLMForCausalLM, "from_pretrained", full)
    with pytest.raises(RunError, match="Load it as nf4"):
        load_model(checkpoint, device="cpu")


def test_default_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert loading.default_device() == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert loading.default_device() == torch.device("cuda", 2)


@pytest.mark.parametrize(("name", "said"), [("gpu", "is no device"), ("cuda:97", "torch sees")])
def test_a_device_that_is_not_here_is_named(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        usable_device(name)
