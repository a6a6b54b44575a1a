"""Config and names: the published layout in and out, and the published model's size, on the meta device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError

from grounding.models.checkpoint import expected_tensors
from grounding.models.cogvlm import CogVLMConfig, CogVLMForCausalLM, CogVLMVisionConfig
from tests.models.parity import CASES, FIXTURES, Case

PUBLISHED = CogVLMConfig(rms_norm_eps=1e-5)


def test_class_defaults_are_the_published_model() -> None:
    assert CogVLMConfig().rms_norm_eps == 1e-6  # the class's; the files say 1e-5
    assert PUBLISHED.image_token_count == 1227 and PUBLISHED.head_size == 128
    with torch.device("meta"):
        model = CogVLMForCausalLM(PUBLISHED)
    counts = {name: parameter.numel() for name, parameter in model.named_parameters()}
    assert sum(counts.values()) == 17_639_685_376 and len(counts) == 1155
    vision_layer = [count for name, count in counts.items() if name.startswith("model.vision.transformer.layers.7.")]
    decoder_layer = [count for name, count in counts.items() if name.startswith("model.layers.7.")]
    assert (sum(vision_layer), sum(decoder_layer)) == (67_926_784, 404_758_528)
    tensors = expected_tensors(PUBLISHED)
    assert len(tensors) == 1187 and sum(name.endswith("self_attn.rotary_emb.inv_freq") for name in tensors) == 32
    assert tensors["model.layers.31.self_attn.rotary_emb.inv_freq"] == (64,)
    assert tensors["model.vision.patch_embedding.position_embedding.weight"] == (1226, 1792)


@pytest.mark.parametrize("name", CASES)
def test_names_and_shapes_are_the_originals(name: str) -> None:
    case = Case(name)
    assert expected_tensors(case.config) == {key: tuple(value.shape) for key, value in case.state_dict.items()}


def test_published_file_is_read_and_written_as_it_was(tmp_path: Path) -> None:
    document: dict[str, Any] = json.loads((FIXTURES / "tiny.json").read_text("utf-8"))["config"]
    config = CogVLMConfig(**document)
    assert isinstance(config.vision_config, CogVLMVisionConfig) and config.dtype == torch.float32
    config.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text("utf-8"))
    ours = {"model_type": "cogvlm", "transformers_version": written["transformers_version"]}
    assert written == {key: value for key, value in document.items() if key != "auto_map"} | ours
    again = CogVLMConfig.from_pretrained(tmp_path)
    assert again.to_dict() | {"architectures": None} == config.to_dict() | {"architectures": None}
    assert CogVLMConfig(**CogVLMConfig().to_dict()).vision.num_positions == 1226


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hidden_size": 30, "num_attention_heads": 4}, "even whole number"),
        ({"template_version": "chat_old"}, "none of base, chat, vqa"),
        ({"tie_word_embeddings": True}, "tie_word_embeddings must be false"),
        ({"vision_config": {"image_size": 100}}, "no multiple of patch_size"),
        ({"vision_config": {"num_heads": 5}}, "no multiple of num_heads"),
        ({"vision_config": {"num_positions": 257}}, "num_positions is 257"),
        ({"hidden_size": "wide"}, "hidden_size"),
    ],
)
def test_impossible_values(values: dict[str, Any], message: str) -> None:
    with pytest.raises((StrictDataclassError, ValueError), match=message):
        CogVLMConfig(**values)
