"""CogVLM the way its published code works, rebuilt from public facts as the contender to measure against.

One sequence for every prompt, each expert's tokens picked out by a mask for every matrix, logits at every position. It
computes with the weights of a model of this project, so that losses and gradients can be compared; it knows nothing of
packing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from grounding.models.cogvlm import CogVLMForCausalLM
from grounding.models.cogvlm.attention import rope_frequencies
from grounding.models.cogvlm.decoder import CogVLMDecoderLayer
from grounding.models.cogvlm.positions import image_position_ids, vision_expert_mask

Expert = Callable[[Tensor], Tensor]


def forward(
    model: CogVLMForCausalLM,
    input_ids: Tensor,
    token_type_ids: Tensor,
    pixel_values: Tensor,
    labels: Tensor,
    **_: Any,
) -> Tensor:
    """The mean loss over label tokens.

    Args:
        input_ids, token_type_ids, labels: int64[B, T] without padding. pixel_values: float[B, 3, S, S].
    """
    inner = model.model
    hidden = inner.embed_tokens(input_ids)
    features = inner.vision(pixel_values)
    hidden = hidden.index_put([token_type_ids == 1], features.flatten(0, 1))
    vision = vision_expert_mask(token_type_ids)
    angles = image_position_ids(token_type_ids)[..., None].float() * rope_frequencies(model.config.head_size)
    angles = torch.cat([angles, angles], dim=-1)[:, None]
    rope = angles.cos(), angles.sin()
    for layer in inner.layers:
        hidden = hidden + _attention(layer, layer.input_layernorm(hidden), vision, ~vision, rope)
        mlp = layer.mlp
        hidden = hidden + _by_mask(
            layer.post_attention_layernorm(hidden), vision, ~vision, mlp.vision_mlp, mlp.language_mlp
        )
    logits = model.lm_head(inner.norm(hidden)).float()
    shifted, targets = logits[:, :-1].contiguous(), labels[:, 1:].contiguous()
    return nn.functional.cross_entropy(shifted.view(-1, shifted.shape[-1]), targets.view(-1))


def _by_mask(x: Tensor, vision: Tensor, language: Tensor, vision_expert: Expert, language_expert: Expert) -> Tensor:
    """Each token [B, T, D] through its own expert: two selections, and two writes into an empty result."""
    for_vision, for_language = vision_expert(x[vision]), language_expert(x[language])
    result = torch.empty(*x.shape[:2], for_vision.shape[-1], dtype=x.dtype, device=x.device)
    result[vision] = for_vision
    result[language] = for_language
    return result


def _attention(
    layer: CogVLMDecoderLayer, x: Tensor, vision: Tensor, language: Tensor, rope: tuple[Tensor, Tensor]
) -> Tensor:
    own = layer.self_attn
    fused = _by_mask(x, vision, language, own.vision_expert_query_key_value, own.language_expert_query_key_value)
    query, key, value = (
        part.unflatten(-1, (own.heads, own.head_size)).transpose(1, 2) for part in fused.chunk(3, dim=-1)
    )
    query, key = _rotate(query, *rope), _rotate(key, *rope)
    attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    attended = attended.transpose(1, 2).flatten(2)
    return _by_mask(attended, vision, language, own.vision_expert_dense, own.language_expert_dense)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin
