"""Optimisers: AdamW over everything, or Muon over the inner matrices and AdamW over the rest.

Knows modules and their parameters; no settings, no schedule.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for matrices, AdamW for vectors, embeddings and heads, as one optimiser: one rate, one state.

    Muon (https://kellerjordan.github.io/posts/muon/) makes each step of a matrix orthogonal; its steps are scaled to
    the size that AdamW's have (`match_rms_adamw`, https://arxiv.org/abs/2502.16982), so that one rate fits both.

    Args:
        matrices: two-dimensional parameters for Muon.
        others: parameters for AdamW, without weight decay.
    """

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        others: Iterable[nn.Parameter],
        *,
        lr: float,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.95),
    ) -> None:
        inner, rest = list(matrices), list(others)
        parts: dict[str, torch.optim.Optimizer] = {}
        if inner:
            parts["muon"] = torch.optim.Muon(inner, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
        if rest:  # LoRA has matrices alone
            parts["adamw"] = torch.optim.AdamW(rest, lr=lr, weight_decay=0.0, betas=betas)
        super().__init__([group for part in parts.values() for group in part.param_groups], {})
        self.parts = parts
        self._share_groups()

    def step(self, closure: Any = None) -> None:
        """One step of both."""
        assert closure is None, "neither part takes a closure"
        for part in self.parts.values():
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """The states of both parts."""
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what `state_dict` gave."""
        for name, part in self.parts.items():
            part.load_state_dict(state_dict[name])
        self._share_groups()

    def _share_groups(self) -> None:
        """A schedule changes the rate in this object's groups: they are the parts' own."""
        self.param_groups = [group for part in self.parts.values() for group in part.param_groups]


def matrices_of(module: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The trained parameters of a module as (weights of its linear maps but the head, all others).

    Embeddings and the head (`lm_head`) have a row for each token, which Muon would mix.
    """
    inner = {
        id(part.weight)
        for name, part in module.named_modules()
        if isinstance(part, nn.Linear) and name.rpartition(".")[2] != "lm_head"
    }
    trained = [one for one in module.parameters() if one.requires_grad]
    return [one for one in trained if id(one) in inner], [one for one in trained if id(one) not in inner]
