"""Attention of branches in two parts, over their prefix and over themselves, joined by the sums of their softmaxes.

No key of the prefix is copied: the queries of all branches meet them as one block. Each part runs in the flash kernel
by which torch computes `scaled_dot_product_attention` on a CPU, called by its own name because only so does it tell the
sums; a test holds the result to that of one softmax over both. Knows no ids, no masks and no experts.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_FORWARD = "_scaled_dot_product_flash_attention_for_cpu"
_NO_DROPOUT, _ALL, _CAUSAL = 0.0, False, True


def can_join(device: torch.device) -> bool:
    """Whether torch has these kernels, in both directions, for tensors on the device."""
    return device.type == "cpu" and all(hasattr(torch.ops.aten, _FORWARD + end) for end in ("", "_backward"))


def attend_behind(prefix_key: Tensor, prefix_value: Tensor, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d)) v where each branch sees the whole prefix and, causally, itself.

    Args:
        prefix_key, prefix_value: [H, P, d], P at least 1.
        query, key, value: of K branches of L tokens, [K, H, L, d], none of them empty.

    Returns:
        [K, H, L, d], differentiable once.
    """
    joined: Tensor = _Joined.apply(prefix_key[None], prefix_value[None], query, key, value)
    return joined


class _Joined(torch.autograd.Function):
    """The prefix's keys and values come as [1, H, P, d].

    With s the log of a part's sum of exponentials, out = sum over parts of out_part * exp(s_part - s_whole).

    Backward: a part's probabilities under the whole softmax are exp(score - s_whole), and what every score loses by the
    normalisation is the dot product of output and gradient. Both kernels take these from outside, so each, given the
    whole's output and sum, works out its own part of the gradient (as flash attention does block by block, Dao 2022).
    """

    @staticmethod
    def forward(ctx: Any, prefix_key: Tensor, prefix_value: Tensor, *own: Tensor) -> Tensor:
        attend = getattr(torch.ops.aten, _FORWARD)
        over_prefix, prefix_sum = attend(_side_by_side(own[0]), prefix_key, prefix_value, _NO_DROPOUT, _ALL)
        over_prefix, prefix_sum = _by_branch(over_prefix, own[0]), _by_branch(prefix_sum, own[0])
        over_own, own_sum = attend(*own, _NO_DROPOUT, _CAUSAL)
        whole = torch.logaddexp(prefix_sum, own_sum)
        joined = over_prefix * _share(prefix_sum, whole) + over_own * _share(own_sum, whole)
        joined = joined.to(own[0].dtype)  # the sums and shares are float32 in any dtype
        ctx.save_for_backward(prefix_key, prefix_value, *own, joined, whole)
        return joined

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        prefix_key, prefix_value, query, key, value, joined, whole = ctx.saved_tensors
        propagate = getattr(torch.ops.aten, _FORWARD + "_backward")
        gradient, joined, whole = gradient.contiguous(), joined.contiguous(), whole.contiguous()
        rows = [_side_by_side(each) for each in (gradient, query, joined, whole)]
        by_prefix, of_prefix_key, of_prefix_value = propagate(
            rows[0], rows[1], prefix_key, prefix_value, rows[2], rows[3], _NO_DROPOUT, _ALL
        )
        by_own, of_key, of_value = propagate(gradient, query, key, value, joined, whole, _NO_DROPOUT, _CAUSAL)
        return of_prefix_key, of_prefix_value, _by_branch(by_prefix, query) + by_own, of_key, of_value


def _share(part: Tensor, whole: Tensor) -> Tensor:
    """Of the whole sum of exponentials, what a part has of it; logs [K, H, L] -> [K, H, L, 1]."""
    return (part - whole).exp().unsqueeze(-1)


def _side_by_side(branches: Tensor) -> Tensor:
    """[K, H, L, ...] -> [1, H, K * L, ...]."""
    return branches.transpose(0, 1).flatten(1, 2)[None]


def _by_branch(rows: Tensor, branches: Tensor) -> Tensor:
    """[1, H, K * L, ...] -> [K, H, L, ...], K and L as in `branches`."""
    return rows[0].unflatten(1, (len(branches), branches.shape[2])).transpose(0, 1)
