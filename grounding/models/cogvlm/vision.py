"""The vision tower: pixels to P + 2 vectors of the decoder's width per image.

A vision transformer (EVA2-CLIP-E) whose norms stand after each sub-layer, a projector, and two learned vectors around
the patches. Knows nothing of words; it takes pixels that are already squashed and normalised.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer

from grounding.models.cogvlm.attention import attend
from grounding.models.cogvlm.config import CogVLMConfig, CogVLMVisionConfig
from grounding.models.cogvlm.projector import Projector


class PatchEmbedding(nn.Module):
    """A linear map of each patch, the cls vector in front, and a learned position on every one of the P + 1 tokens."""

    def __init__(self, config: CogVLMVisionConfig) -> None:
        super().__init__()
        size = config.patch_size
        self.proj = nn.Conv2d(config.in_channels, config.hidden_size, kernel_size=size, stride=size)
        self.cls_embedding = nn.Parameter(torch.zeros(1, config.hidden_size))
        assert config.num_positions is not None
        self.position_embedding = nn.Embedding(config.num_positions, config.hidden_size)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """float[n, C, S, S] -> float[n, P + 1, Dv], row of patches after row of patches."""
        patches = self.proj(pixel_values).flatten(2).transpose(1, 2)
        cls = self.cls_embedding.expand(len(patches), 1, -1)
        tokens = torch.cat([cls, patches], dim=1)
        return tokens + self.position_embedding(torch.arange(tokens.shape[1], device=tokens.device))


class VisionAttention(nn.Module):
    """Full self-attention with one fused input matrix and biases."""

    def __init__(self, config: CogVLMConfig) -> None:
        super().__init__()
        vision = config.vision
        # The whole model's config names the attention implementation, one for tower and decoder.
        self.config, self.is_causal, self.heads = config, False, vision.num_heads
        self.query_key_value = nn.Linear(vision.hidden_size, 3 * vision.hidden_size)
        self.dense = nn.Linear(vision.hidden_size, vision.hidden_size)
        self.output_dropout = nn.Dropout(vision.dropout_prob)

    def forward(self, x: Tensor) -> Tensor:
        """float[n, P + 1, Dv] -> the same."""
        by_head = self.query_key_value(x).unflatten(-1, (3, self.heads, -1))
        query, key, value = by_head.permute(2, 0, 3, 1, 4).unbind(0)
        return self.output_dropout(self.dense(attend(self, self.config, query, key, value, None)))


class VisionMLP(nn.Module):
    """Two linear maps with an activation between."""

    def __init__(self, config: CogVLMVisionConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)
        self.activation = ACT2FN[config.hidden_act]

    def forward(self, x: Tensor) -> Tensor:
        """float[n, P + 1, Dv] -> the same."""
        return self.fc2(self.activation(self.fc1(x)))


class CogVLMVisionLayer(GradientCheckpointingLayer):
    """x + norm(attention(x)), then x + norm(mlp(x)): the norms stand behind, whatever their names."""

    def __init__(self, config: CogVLMConfig) -> None:
        super().__init__()
        width, eps = config.vision.hidden_size, config.vision.layer_norm_eps
        self.input_layernorm = nn.LayerNorm(width, eps=eps)
        self.attention = VisionAttention(config)
        self.mlp = VisionMLP(config.vision)
        self.post_attention_layernorm = nn.LayerNorm(width, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """float[n, P + 1, Dv] -> the same."""
        x = x + self.input_layernorm(self.attention(x))
        return x + self.post_attention_layernorm(self.mlp(x))


class VisionTransformer(nn.Module):
    """The layers, one after the other, without a norm at the end."""

    def __init__(self, config: CogVLMConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(CogVLMVisionLayer(config) for _ in range(config.vision.num_hidden_layers))

    def forward(self, x: Tensor) -> Tensor:
        """float[n, P + 1, Dv] -> the same."""
        for layer in self.layers:
            x = layer(x)
        return x


class CogVLMVisionTower(nn.Module):
    """Pixels to the vectors that stand at an image's positions in the decoder."""

    def __init__(self, config: CogVLMConfig) -> None:
        super().__init__()
        self.pixel_shape = (config.vision.in_channels, config.vision.image_size, config.vision.image_size)
        self.patch_embedding = PatchEmbedding(config.vision)
        self.transformer = VisionTransformer(config)
        self.linear_proj = Projector(config.vision.hidden_size, config.hidden_size, config.intermediate_size)
        self.boi = nn.Parameter(torch.zeros(1, 1, config.hidden_size))
        self.eoi = nn.Parameter(torch.zeros(1, 1, config.hidden_size))

    def forward(self, pixel_values: Tensor) -> Tensor:
        """float[n, C, S, S] -> float[n, P + 2, D]: boi, the patches, eoi.

        Raises:
            ValueError: the pixels have another shape.
        """
        if pixel_values.ndim != 4 or tuple(pixel_values.shape[1:]) != self.pixel_shape:
            raise ValueError(
                f"pixel_values must be [images, {', '.join(map(str, self.pixel_shape))}], all images of the batch in "
                f"row order; got {list(pixel_values.shape)}"
            )
        hidden = self.patch_embedding(pixel_values.to(self.patch_embedding.proj.weight.dtype))
        if not hidden.requires_grad and torch.is_grad_enabled():
            # Reentrant checkpointing drops the gradients of layers whose input asks for none.
            hidden.requires_grad_(any(one.requires_grad for one in self.transformer.parameters()))
        patches = self.linear_proj(self.transformer(hidden)[:, 1:])
        images = len(patches)
        return torch.cat([self.boi.expand(images, -1, -1), patches, self.eoi.expand(images, -1, -1)], dim=1)
