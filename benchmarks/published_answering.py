"""Answering the way CogVLM's published code works, rebuilt from public facts as the contender to measure against.

One prompt after the other: the image is encoded for each, each expert's tokens are picked out by a mask for every
matrix at every step, logits come at every position, and the cache is a tuple that is copied to grow. It computes with
the weights of a model of this project, so that tokens can be compared; it knows nothing of shared prefixes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from grounding.models.cogvlm import CogVLMForCausalLM
from grounding.models.cogvlm.attention import rope_frequencies
from grounding.models.cogvlm.decoder import CogVLMDecoderLayer
from grounding.models.cogvlm.positions import image_position_ids, vision_expert_mask

Expert = Callable[[Tensor], Tensor]
Past = tuple[Tensor, Tensor]


@torch.inference_mode()
def answer_one(model: CogVLMForCausalLM, prompt: Tensor, types: Tensor, pixels: Tensor, new_tokens: int) -> Tensor:
    """The likeliest tokens, int64[new_tokens], whatever the end token says.

    Args:
        prompt, types: int64[1, T], with the begin token and the image block. pixels: float[1, 3, S, S].
    """
    inner = model.model
    hidden = inner.embed_tokens(prompt)
    hidden[types == 1] = inner.vision(pixels)[0]
    positions = image_position_ids(types)
    vision = vision_expert_mask(types)
    past: list[Past | None] = [None] * len(inner.layers)
    chosen: list[Tensor] = []
    for step in range(new_tokens):
        if step:
            hidden = inner.embed_tokens(chosen[-1][None])
            positions, vision = positions[:, -1:] + 1, torch.zeros(1, 1, dtype=torch.bool)
        logits = _logits(model, hidden, positions, vision, past)
        chosen.append(logits[:, -1].argmax(-1))
    return torch.cat(chosen)


def _logits(
    model: CogVLMForCausalLM, hidden: Tensor, positions: Tensor, vision: Tensor, past: list[Past | None]
) -> Tensor:
    """float32[1, T, V]; `past` gets the keys and values of these tokens."""
    angles = positions[..., None].float() * rope_frequencies(model.config.head_size)
    angles = torch.cat([angles, angles], dim=-1)[:, None]
    rope = angles.cos(), angles.sin()
    for number, layer in enumerate(model.model.layers):
        attended, past[number] = _attention(layer, layer.input_layernorm(hidden), vision, rope, past[number])
        hidden = hidden + attended
        mlp = layer.mlp
        hidden = hidden + _by_mask(layer.post_attention_layernorm(hidden), vision, mlp.vision_mlp, mlp.language_mlp)
    return model.lm_head(model.model.norm(hidden)).float()


def _by_mask(x: Tensor, vision: Tensor, vision_expert: Expert, language_expert: Expert) -> Tensor:
    """Each token [B, T, D] through its own expert: two selections, and two writes into an empty result."""
    for_vision, for_language = vision_expert(x[vision]), language_expert(x[~vision])
    result = torch.empty(*x.shape[:2], for_vision.shape[-1], dtype=x.dtype, device=x.device)
    result[vision] = for_vision
    result[~vision] = for_language
    return result


def _attention(
    layer: CogVLMDecoderLayer, x: Tensor, vision: Tensor, rope: Past, past: Past | None
) -> tuple[Tensor, Past]:
    own = layer.self_attn
    fused = _by_mask(x, vision, own.vision_expert_query_key_value, own.language_expert_query_key_value)
    query, key, value = (
        part.unflatten(-1, (own.heads, own.head_size)).transpose(1, 2) for part in fused.chunk(3, dim=-1)
    )
    query, key = _rotate(query, *rope), _rotate(key, *rope)
    if past is not None:
        key, value = torch.cat([past[0], key], dim=2), torch.cat([past[1], value], dim=2)
    attended = F.scaled_dot_product_attention(query, key, value, is_causal=past is None)
    attended = attended.transpose(1, 2).flatten(2)
    return _by_mask(attended, vision, own.vision_expert_dense, own.language_expert_dense), (key, value)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin
