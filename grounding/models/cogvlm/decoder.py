"""The decoder: layers of attention and gated MLPs with two sets of weights, one for image tokens and one for text.

Works on a list of tokens and a layout; knows nothing of ids, images or losses.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.cache_utils import Cache
from transformers.modeling_layers import GradientCheckpointingLayer

from grounding.models.cogvlm.attention import CogVLMAttention
from grounding.models.cogvlm.config import CogVLMConfig
from grounding.models.cogvlm.experts import Readers, TokenLayout
from grounding.models.cogvlm.visibility import Sight


class CogVLMRMSNorm(nn.Module):
    """weight * x / sqrt(mean(x^2) + eps), all of it in float32, the weight too, then back to the dtype of x."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] -> [..., D]."""
        wide = x.float()
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return (self.weight.float() * (wide * scale)).to(x.dtype)


class GatedMLP(nn.Module):
    """down(act(gate x) * up x), without biases."""

    def __init__(self, width: int, inner_width: int, activation: str) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, inner_width, bias=False)
        self.up_proj = nn.Linear(width, inner_width, bias=False)
        self.down_proj = nn.Linear(inner_width, width, bias=False)
        self.activation = ACT2FN[activation]

    def forward(self, x: Tensor) -> Tensor:
        """[N, D] -> [N, D]."""
        return self.down_proj(self.activation(self.gate_proj(x)) * self.up_proj(x))


class ExpertMLP(nn.Module):
    """One gated MLP for image tokens and one for text."""

    def __init__(self, config: CogVLMConfig) -> None:
        super().__init__()
        self.language_mlp = GatedMLP(config.hidden_size, config.intermediate_size, config.hidden_act)
        self.vision_mlp = GatedMLP(config.hidden_size, config.intermediate_size, config.hidden_act)

    def forward(self, tokens: Tensor, layout: TokenLayout) -> Tensor:
        """[N, D] -> [N, D]."""
        return layout.route(tokens, self.vision_mlp, self.language_mlp)


class CogVLMDecoderLayer(GradientCheckpointingLayer):
    """Attention and MLP, each on the normalised input and added to it. The norms are shared by both experts."""

    def __init__(self, config: CogVLMConfig, layer_index: int) -> None:
        super().__init__()
        self.self_attn = CogVLMAttention(config, layer_index)
        self.mlp = ExpertMLP(config)
        self.input_layernorm = CogVLMRMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = CogVLMRMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(
        self,
        tokens: Tensor,
        layout: TokenLayout,
        rope: tuple[Tensor, Tensor],
        sight: Sight,
        past_key_values: Cache | None = None,
        readers: Readers | None = None,
    ) -> Tensor:
        """float[N, D] -> float[N, D]; float[M, D] where only the states of M readers are wanted."""
        attended = self.self_attn(self.input_layernorm(tokens), layout, rope, sight, past_key_values, readers)
        if readers is not None:
            tokens, layout = tokens.index_select(0, readers.tokens), readers.narrowed(layout)
        tokens = tokens + attended
        return tokens + self.mlp(self.post_attention_layernorm(tokens), layout)
