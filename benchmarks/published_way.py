"""CogVLM the way its published code works, rebuilt from public facts as the contender to measure against.

One sequence for every prompt, each expert's tokens picked out by a mask for every matrix, logits at every position, a
cache that is copied to grow. It computes with the weights of a model of this project, so that losses, gradients and
tokens can be compared; it knows nothing of packing and of shared prefixes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from grounding.models.cogvlm import CogVLMForCausalLM
from grounding.models.cogvlm.attention import rope_frequencies
from grounding.models.cogvlm.decoder import CogVLMDecoderLayer
from grounding.models.cogvlm.positions import image_position_ids, vision_expert_mask

Expert = Callable[[Tensor], Tensor]
Past = tuple[Tensor, Tensor]
"""Keys and values of a layer, [B, H, T, d] each."""


class _Tokens(NamedTuple):
    """What all layers are told: whose tokens are whose expert's, bool[B, T] each, and cosines and sines of rope."""

    vision: Tensor
    language: Tensor
    rope: tuple[Tensor, Tensor]


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
    hidden = _embed(model, input_ids, token_type_ids, pixel_values)
    tokens = _tokens(model, image_position_ids(token_type_ids), vision_expert_mask(token_type_ids))
    logits = _logits(model, hidden, tokens, _nothing_past(model))
    shifted, targets = logits[:, :-1].contiguous(), labels[:, 1:].contiguous()
    return F.cross_entropy(shifted.view(-1, shifted.shape[-1]), targets.view(-1))


@torch.inference_mode()
def answer(model: CogVLMForCausalLM, prompt: Tensor, types: Tensor, pixels: Tensor, new_tokens: int) -> Tensor:
    """The likeliest tokens, int64[new_tokens], whatever the end token says.

    Args:
        prompt, types: int64[1, T], with the begin token and the image block. pixels: float[1, 3, S, S].
    """
    hidden = _embed(model, prompt, types, pixels)
    positions, vision = image_position_ids(types), vision_expert_mask(types)
    past = _nothing_past(model)
    chosen: list[Tensor] = []
    for step in range(new_tokens):
        if step:
            hidden = model.model.embed_tokens(chosen[-1][None])
            positions, vision = positions[:, -1:] + 1, torch.zeros_like(vision[:, -1:])
        logits = _logits(model, hidden, _tokens(model, positions, vision), past)
        chosen.append(logits[:, -1].argmax(-1))
    return torch.cat(chosen)


def _embed(model: CogVLMForCausalLM, ids: Tensor, types: Tensor, pixels: Tensor) -> Tensor:
    """float[B, T, D]: the tower runs for every row."""
    features = model.model.vision(pixels)
    return model.model.embed_tokens(ids).index_put([types == 1], features.flatten(0, 1))


def _tokens(model: CogVLMForCausalLM, positions: Tensor, vision: Tensor) -> _Tokens:
    angles = positions[..., None].float() * rope_frequencies(model.config.head_size, positions.device)
    angles = torch.cat([angles, angles], dim=-1)[:, None]
    dtype = model.dtype
    return _Tokens(vision, ~vision, (angles.cos().to(dtype), angles.sin().to(dtype)))


def _nothing_past(model: CogVLMForCausalLM) -> list[Past | None]:
    return [None] * len(model.model.layers)


def _logits(model: CogVLMForCausalLM, hidden: Tensor, tokens: _Tokens, past: list[Past | None]) -> Tensor:
    """float32[B, T, V]; `past` gets the keys and values of these tokens."""
    for number, layer in enumerate(model.model.layers):
        attended, past[number] = _attention(layer, layer.input_layernorm(hidden), tokens, past[number])
        hidden = hidden + attended
        mlp = layer.mlp
        hidden = hidden + _by_mask(layer.post_attention_layernorm(hidden), tokens, mlp.vision_mlp, mlp.language_mlp)
    return model.lm_head(model.model.norm(hidden)).float()


def _by_mask(x: Tensor, tokens: _Tokens, vision_expert: Expert, language_expert: Expert) -> Tensor:
    """Each token [B, T, D] through its own expert: two selections, and two writes into an empty result."""
    for_vision, for_language = vision_expert(x[tokens.vision]), language_expert(x[tokens.language])
    result = torch.empty(*x.shape[:2], for_vision.shape[-1], dtype=for_vision.dtype, device=x.device)
    result[tokens.vision] = for_vision
    result[tokens.language] = for_language
    return result


def _attention(layer: CogVLMDecoderLayer, x: Tensor, tokens: _Tokens, past: Past | None) -> tuple[Tensor, Past]:
    own = layer.self_attn
    fused = _by_mask(x, tokens, own.vision_expert_query_key_value, own.language_expert_query_key_value)
    query, key, value = (
        part.unflatten(-1, (own.heads, own.head_size)).transpose(1, 2) for part in fused.chunk(3, dim=-1)
    )
    query, key = _rotate(query, *tokens.rope), _rotate(key, *tokens.rope)
    if past is not None:
        key, value = torch.cat([past[0], key], dim=2), torch.cat([past[1], value], dim=2)
    attended = F.scaled_dot_product_attention(query, key, value, is_causal=past is None)
    attended = attended.transpose(1, 2).flatten(2)
    return _by_mask(attended, tokens, own.vision_expert_dense, own.language_expert_dense), (key, value)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin
