"""Which way of attention is fastest for branches behind a shared prefix, forward and backward?

    OMP_NUM_THREADS=1 python -m benchmarks.branch_attention

`dense` is one call over a mask of all against all. `blocks` is what the model does (`BranchSight`): prefix and branches
apart, the prefix's keys copied for every branch, which is also what a prefix cache with gradients computes. `merged`
copies nothing and joins two partial results by their log-sum-exp, with torch's private kernels of the CPU and a
backward pass by hand; it finds its tokens in place, where `blocks` moves them there and back. Eight heads of 64,
branches of 64 tokens, one layer.
"""

from __future__ import annotations

from typing import Any

import click
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.timing import report, side_by_side
from grounding.models.cogvlm.experts import token_layout
from grounding.models.cogvlm.visibility import branch_sight

HEADS, WIDTH, LENGTH = 8, 64, 64
CASES = [(259, 1), (259, 8), (259, 16), (1228, 1), (1228, 8), (1228, 16)]
"""Tokens of the prefix and branches."""


def dense(heads: Tensor, visible: Tensor) -> Tensor:
    """[N, 3, H, d] and bool[N, N] -> [N, H * d]."""
    query, key, value = heads[None].permute(2, 0, 3, 1, 4).unbind(0)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=visible).transpose(1, 2).flatten(2)[0]


def kernel(query: Tensor, key: Tensor, value: Tensor, mask: Any) -> Tensor:
    """What the model's `sdpa` runs."""
    attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=mask is None)
    return attended.transpose(1, 2).flatten(2)


class Merged(torch.autograd.Function):
    """Branches over the prefix as one block and over themselves as another, joined by their log-sum-exp."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, *own: Tensor) -> Tensor:
        """Queries [1, H, K * L, d] with the prefix's keys and values [1, H, P, d]; then all three of [K, H, L, d]."""
        flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        over_prefix, prefix_sum = flash(query, key, value, 0.0, False)
        over_own, own_sum = flash(*own, 0.0, True)
        flat = over_own.transpose(0, 1).reshape(query.shape)
        own_sum = own_sum.transpose(0, 1).reshape(query.shape[:3])
        prefix_sum = prefix_sum.reshape(query.shape[:3])
        whole = torch.logaddexp(prefix_sum, own_sum)
        joined = over_prefix * (prefix_sum - whole).exp()[..., None] + flat * (own_sum - whole).exp()[..., None]
        ctx.save_for_backward(query, key, value, *own, joined, whole)
        return joined

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        """With the joined result and sum each block's own backward pass gives its part of the gradient."""
        flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
        query, key, value, own_query, own_key, own_value, joined, whole = ctx.saved_tensors
        shared = flash(gradient, query, key, value, joined, whole, 0.0, False)

        def by_branch(flat: Tensor) -> Tensor:
            return flat.unflatten(2, (len(own_query), -1))[0].transpose(0, 1).contiguous()

        apart = flash(
            by_branch(gradient), own_query, own_key, own_value, by_branch(joined), by_branch(whole), 0.0, True
        )
        return (*shared, *apart)


def merged(heads: Tensor, prefix: int, branches: int) -> tuple[Tensor, Tensor]:
    """[N, 3, H, d] -> the prefix's [1, H, P, d] and the branches' [1, H, K * L, d]."""
    before, behind = heads.split([prefix, branches * LENGTH])
    query, key, value = before[None].permute(2, 0, 3, 1, 4).unbind(0)
    own = behind.unflatten(0, (branches, LENGTH)).permute(2, 0, 3, 1, 4).unbind(0)
    flat = own[0].transpose(0, 1).flatten(1, 2)[None]
    return F.scaled_dot_product_attention(query, key, value, is_causal=True), Merged.apply(flat, key, value, *own)


@click.command(help=__doc__)
@click.option("--rounds", default=5)
def main(rounds: int) -> None:
    """Times the three ways and writes benchmarks/results/branch_attention.json."""
    results: dict[str, dict[str, float]] = {}
    for prefix, count in CASES:
        branch_ids = torch.cat([torch.zeros(prefix), torch.arange(1, count + 1).repeat_interleave(LENGTH)]).long()[None]
        draw = torch.Generator().manual_seed(0)
        heads = torch.randn(branch_ids.shape[1], 3, HEADS, WIDTH, generator=draw, requires_grad=True)
        key_branch, query_branch = branch_ids[0][None], branch_ids[0][:, None]
        visible = ((key_branch == 0) | (key_branch == query_branch)).tril()
        sight = branch_sight(branch_ids, token_layout(*branch_ids.shape, None, None), lambda _: None)

        def run_dense(heads: Tensor = heads, visible: Tensor = visible) -> None:
            dense(heads, visible).sum().backward()

        def run_blocks(heads: Tensor = heads, sight: Any = sight) -> None:
            sight.attend(heads, kernel, None, 0).sum().backward()

        def run_merged(heads: Tensor = heads, prefix: int = prefix, count: int = count) -> None:
            of_prefix, of_branches = merged(heads, prefix, count)
            (of_prefix.sum() + of_branches.sum()).backward()

        figures = side_by_side({"dense": run_dense, "blocks": run_blocks, "merged": run_merged}, rounds=rounds)
        results |= {f"{prefix} + {count} x {LENGTH} {name}": row for name, row in figures.items()}
    settings = {"heads": HEADS, "head_size": WIDTH, "threads": torch.get_num_threads(), "rounds": rounds}
    report("branch_attention", "Attention of branches behind a prefix", settings, results, ("torch",))


if __name__ == "__main__":
    main()
