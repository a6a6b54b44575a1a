"""From the tower's patch vectors to vectors of the decoder's width: a linear map, a norm and a gated MLP.

Knows nothing of images or words.
"""

from __future__ import annotations

from torch import Tensor, nn


class Projector(nn.Module):
    """down(silu(gate h) * up h) with h = gelu(LayerNorm(W x)); the matrices have no bias.

    The LayerNorm has PyTorch's own eps of 1e-5, not the tower's `layer_norm_eps`.
    """

    def __init__(self, vision_width: int, width: int, inner_width: int) -> None:
        super().__init__()
        self.linear_proj = nn.Linear(vision_width, width, bias=False)
        self.norm1 = nn.LayerNorm(width, eps=1e-5)
        self.dense_h_to_4h = nn.Linear(width, inner_width, bias=False)
        self.gate_proj = nn.Linear(width, inner_width, bias=False)
        self.dense_4h_to_h = nn.Linear(inner_width, width, bias=False)

    def forward(self, patches: Tensor) -> Tensor:
        """float[n, P, Dv] -> float[n, P, D]."""
        hidden = nn.functional.gelu(self.norm1(self.linear_proj(patches)))
        return self.dense_4h_to_h(nn.functional.silu(self.gate_proj(hidden)) * self.dense_h_to_4h(hidden))
