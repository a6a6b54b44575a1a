"""A tiny CogVLM of random weights with a tokenizer of its own, as a model and as a checkpoint folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from grounding.models.cogvlm.processor import Encoded
from grounding.models.loading import LoadedModel, build_model
from grounding.models.tokenizers import load_tokenizer, train_tokenizer

TEXTS = ["Where is the dog? answer in [[x0,y0,x1,y1]] format. [[086,540,400,760;001,002,003,004]]", "图片中存在一只狗"]


@pytest.fixture(scope="session")
def words() -> PreTrainedTokenizerFast:
    """A tokenizer of a few hundred pieces."""
    return train_tokenizer(TEXTS * 3, 420)


@pytest.fixture(scope="session")
def llama(shared_dir: Path) -> PreTrainedTokenizerFast:
    """The Llama tokenizer that CogVLM was trained with; tests that need it skip where it is absent."""
    file = shared_dir / "tokenizer" / "tokenizer.model"
    if not file.is_file():
        pytest.skip("the Llama tokenizer.model is not here")
    return load_tokenizer(file)


@pytest.fixture(scope="session")
def architecture() -> dict[str, Any]:
    """28-pixel images of 4 patches, two layers of each kind."""
    vision = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_heads": 2, "image_size": 28}
    decoder = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    # A large deviation, so that the logits of a random model differ enough to have one clear maximum.
    return {**decoder, "initializer_range": 0.2, "rms_norm_eps": 1e-5, "vision_config": {**vision, "patch_size": 14}}


@pytest.fixture
def tiny(architecture: dict[str, Any], words: PreTrainedTokenizerFast) -> LoadedModel:
    """A fresh tiny model and its processor."""
    return build_model(architecture, words, seed=3, device="cpu")


@pytest.fixture
def checkpoint(tiny: LoadedModel, tmp_path: Path) -> Path:
    """The same as a folder."""
    folder = tmp_path / "checkpoint"
    tiny.model.save_pretrained(folder)
    tiny.processor.save_pretrained(folder)
    return folder


@pytest.fixture
def encoded(tiny: LoadedModel) -> list[Encoded]:
    """Four sequences with answers: with and without an image, of different lengths."""
    rows = [("Where is the dog?", True, "[[086,540,400,760]]"), ("2 + 2?", False, "four"), ("dog", True, "no")]
    rows.append(("狗在哪里", True, "[[001,002,003,004]]"))
    return [tiny.processor.encode(query, has_image=image, answer=answer) for query, image, answer in rows]


@pytest.fixture
def pixels() -> Tensor:
    """Three images for `encoded`, float32[3, 3, 28, 28]."""
    return torch.randn(3, 3, 28, 28, generator=torch.Generator().manual_seed(5))
