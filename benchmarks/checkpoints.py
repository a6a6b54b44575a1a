"""Checkpoints of random weights in the published layout, of any size, drawn tensor by tensor: a stand-in for real ones.

    python -m benchmarks.checkpoints FOLDER        a billion parameters in bfloat16, in shards of 256 MiB

Knows nothing of what is measured on them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from grounding.models.checkpoint import expected_tensors
from grounding.models.cogvlm import CogVLMConfig, CogVLMProcessor
from grounding.models.cogvlm.attention import rope_frequencies
from grounding.models.shards import TensorPlan, write_shards
from grounding.models.tokenizers import train_tokenizer

BILLION: dict[str, Any] = {
    "hidden_size": 1536,
    "intermediate_size": 4096,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "rms_norm_eps": 1e-5,
    "vision_config": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 16,
        "num_heads": 16,
        "image_size": 224,
        "patch_size": 14,
    },
}
"""1.0 billion parameters: the published proportions, narrower and shallower."""
SMALL: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "rms_norm_eps": 1e-5,
    "vision_config": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    },
}
"""0.2 million parameters."""
SHARD_BYTES = 256 * 1024**2


def write_random_checkpoint(
    folder: Path,
    values: dict[str, Any] = BILLION,
    *,
    dtype: torch.dtype = torch.bfloat16,
    shard_bytes: int = SHARD_BYTES,
    seed: int = 0,
) -> int:
    """Write config, tokenizer and weights; at most one shard is in memory. Returns the number of parameters."""
    folder.mkdir(parents=True, exist_ok=True)
    config = CogVLMConfig(**values, architectures=["CogVLMForCausalLM"], dtype=dtype)
    config.save_pretrained(folder)
    words = train_tokenizer(["Where is the red circle? answer in [[x0,y0,x1,y1]] format."], 320)
    vision = config.vision
    CogVLMProcessor(words, vision.image_size, vision.patch_size, config.template_version).save_pretrained(folder)
    plan = {name: TensorPlan(shape, dtype) for name, shape in expected_tensors(config).items()}
    generator = torch.Generator().manual_seed(seed)

    def make(name: str) -> Tensor:
        if name.endswith("inv_freq"):
            return rope_frequencies(config.head_size).to(dtype)
        if "norm" in name and name.endswith("weight"):
            return torch.ones(plan[name].shape, dtype=dtype)
        return torch.empty(plan[name].shape, dtype=dtype).normal_(0, config.initializer_range, generator=generator)

    write_shards(folder, plan, make, shard_bytes=shard_bytes)
    return sum(torch.Size(one.shape).numel() for name, one in plan.items() if not name.endswith("inv_freq"))


if __name__ == "__main__":
    print(f"{write_random_checkpoint(Path(sys.argv[1])):,} parameters in {sys.argv[1]}")
