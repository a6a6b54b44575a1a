"""A tiny CogVLM and one batch for it; the published architecture without memory for its weights."""

from __future__ import annotations

import pytest
import torch

from grounding.models.cogvlm import CogVLMConfig, CogVLMForCausalLM


def tiny_model(layers: int = 2, tower_layers: int = 3) -> CogVLMForCausalLM:
    torch.manual_seed(0)
    config = CogVLMConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=layers,
        num_attention_heads=2,
        initializer_range=0.2,
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_hidden_layers": tower_layers,
            "num_heads": 2,
            "image_size": 28,
            "patch_size": 14,
        },
    )
    return CogVLMForCausalLM(config).eval()


@pytest.fixture
def model() -> CogVLMForCausalLM:
    return tiny_model()


@pytest.fixture(scope="session")
def published() -> CogVLMForCausalLM:
    """The 17-billion-parameter model on the meta device."""
    with torch.device("meta"):
        return CogVLMForCausalLM(CogVLMConfig())


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    """One row with an image of 4 patches and one of text alone."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(3, 64, (2, 12), generator=generator)
    types = torch.zeros(2, 12, dtype=torch.long)
    types[0, 1:7] = 1
    labels = ids.clone()
    labels[:, :8] = -100
    return {
        "input_ids": ids,
        "token_type_ids": types,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": torch.randn(1, 3, 28, 28, generator=generator),
        "labels": labels,
    }
