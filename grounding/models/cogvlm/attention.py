"""Attention of the tower and the decoder through transformers' attention interface, and rope.

Knows which expert's matrices a token uses only through the layout it is given.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.cache_utils import Cache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from grounding.models.cogvlm.config import CogVLMConfig
from grounding.models.cogvlm.experts import Readers, TokenLayout
from grounding.models.cogvlm.prefix import SharedRows
from grounding.models.cogvlm.visibility import Sight

ROPE_BASE = 10000.0
"""Base of the rotary frequencies; CogVLM has no scaling and no setting for it."""


def eager_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Written-out attention, softmax in float32.

    Args:
        query, key, value: [B, H, T, d].
        attention_mask: broadcastable to [B, H, T, T]; bool (True = visible) or added to the scores.

    Returns:
        [B, T, H, d] and the weights [B, H, T, T].
    """
    scores = query @ key.transpose(-1, -2) * scaling
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    elif attention_mask is not None:
        scores = scores + attention_mask
    weights = scores.softmax(-1, dtype=torch.float32).to(query.dtype)
    weights = nn.functional.dropout(weights, p=dropout, training=module.training)
    return (weights @ value).transpose(1, 2), weights


def attend(
    module: nn.Module,
    config: PreTrainedConfig,
    query: Tensor,
    key: Tensor | SharedRows,
    value: Tensor | SharedRows,
    mask: Tensor | None,
) -> Tensor:
    """softmax(q k^T / sqrt(d)) v by the implementation that `config` names; [B, H, T, d] each -> [B, T, H * d].

    `module.is_causal` says whether the absence of a mask means causal or full attention. Rows behind a shared prefix
    bring their own way to attend, in place of keys and values.
    """
    if query.numel() == 0:  # no kernel is asked to run on nothing, and gradients still find their way
        return query.transpose(1, 2).flatten(2)
    if isinstance(key, SharedRows):
        return key.attend(query)
    implementation = ALL_ATTENTION_FUNCTIONS.get_interface(config._attn_implementation, eager_attention)
    scaling = query.shape[-1] ** -0.5
    attended, _ = implementation(module, query, key, value, mask, dropout=0.0, scaling=scaling)
    return attended.flatten(2)


def rope_frequencies(head_size: int, device: torch.device | None = None) -> Tensor:
    """float32[d/2]: base^(-2j/d) for j = 0 .. d/2 - 1."""
    exponents = torch.arange(0, head_size, 2, dtype=torch.float32, device=device) / head_size
    return ROPE_BASE**-exponents


def rope_tables(position_ids: Tensor, frequencies: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine, [N, 1, 1, d/2] each, every step of them in the dtype of the frequencies.

    Args:
        position_ids: int64[N], of each token.
        frequencies: [d/2]. In bfloat16 positions, angles and tables are rounded as in the published code: positions
            above 256 are no longer exact, and angles are off by up to 0.2 radians within the first 64.
    """
    angles = position_ids[:, None, None, None].to(frequencies.dtype) * frequencies
    return angles.cos(), angles.sin()


def rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rope on [N, 2, H, d], query and key of each token: component j turns with component j + d/2. Worked in the wider
    dtype of heads and tables, returned in that of the heads."""
    first, second = heads.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1).to(heads.dtype)


class RopeFrequencies(nn.Module):
    """Holds the `inv_freq` buffer that published checkpoints store in every layer, in whatever precision.

    Tables in float32 are made from the formula, so that a bfloat16 copy costs no precision; tables in bfloat16 are made
    from this buffer, since the published code takes what the checkpoint stores (two ways to round differ by 0.7 %).
    """

    inv_freq: Tensor

    def __init__(self, head_size: int) -> None:
        super().__init__()
        self.head_size = head_size
        self.register_buffer("inv_freq", rope_frequencies(head_size))

    def frequencies(self, dtype: str) -> Tensor:
        """[d/2] in "float32" (from the formula) or "bfloat16" (as stored)."""
        if dtype == "bfloat16":
            return self.inv_freq.to(torch.bfloat16)
        return rope_frequencies(self.head_size, self.inv_freq.device)


class CogVLMAttention(nn.Module):
    """Causal self-attention: input and output matrices for each expert, one softmax over the tokens of both."""

    def __init__(self, config: CogVLMConfig, layer_index: int) -> None:
        super().__init__()
        width = config.hidden_size
        self.config, self.layer_idx, self.is_causal = config, layer_index, True
        self.heads, self.head_size = config.num_attention_heads, config.head_size
        self.vision_expert_query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.vision_expert_dense = nn.Linear(width, width, bias=False)
        self.language_expert_query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.language_expert_dense = nn.Linear(width, width, bias=False)
        self.rotary_emb = RopeFrequencies(config.head_size)

    def forward(
        self,
        tokens: Tensor,
        layout: TokenLayout,
        rope: tuple[Tensor, Tensor],
        sight: Sight,
        past_key_values: Cache | None,
        readers: Readers | None = None,
    ) -> Tensor:
        """float[N, D] -> float[N, D], or float[M, D] for M readers; `rope` from `rope_tables` for the N tokens."""
        fused = layout.route(tokens, self.vision_expert_query_key_value, self.language_expert_query_key_value)
        # Rows of a fused matrix: all of q, then k, then v; inside each, head after head.
        heads = fused.unflatten(-1, (3, self.heads, self.head_size))
        turning, value = heads.split([2, 1], dim=1)
        heads = torch.cat([rotate(turning, *rope), value], dim=1)

        def kernel(query: Tensor, key: Tensor, value: Tensor, mask: Any) -> Tensor:
            return attend(self, self.config, query, key, value, mask)

        attended = sight.attend(heads, kernel, past_key_values, self.layer_idx)
        if readers is not None:
            attended, layout = attended.index_select(0, readers.tokens), readers.narrowed(layout)
        return layout.route(attended, self.vision_expert_dense, self.language_expert_dense)
