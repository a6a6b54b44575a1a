"""Which way of attention is fastest for branches behind a shared prefix, forward and backward?

    OMP_NUM_THREADS=1 python -m benchmarks.branch_attention

`dense` is one call over a mask of all against all. `blocks` and `joined` are the model's (`BranchSight`), prefix and
branches apart: `blocks`, with any kernel, copies the prefix's keys for every branch, which is also what a prefix cache
with gradients computes; `joined`, on a CPU, copies nothing and joins two partial results. Eight heads of 64, branches
of 64 tokens, one layer.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import click
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.timing import report, side_by_side
from grounding.models.cogvlm.experts import token_layout
from grounding.models.cogvlm.visibility import BranchSight, branch_sight

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
        layout = token_layout(*branch_ids.shape, None, None)
        blocks = branch_sight(branch_ids, layout, lambda _: None)
        joined = branch_sight(branch_ids, layout, lambda _: None, joined=True)

        def run_dense(heads: Tensor = heads, visible: Tensor = visible) -> None:
            dense(heads, visible).sum().backward()

        def run_sight(sight: BranchSight, heads: Tensor = heads) -> None:
            sight.attend(heads, kernel, None, 0).sum().backward()

        contenders = {"dense": run_dense, "blocks": partial(run_sight, blocks), "joined": partial(run_sight, joined)}
        figures = side_by_side(contenders, rounds=rounds)
        results |= {f"{prefix} + {count} x {LENGTH} {name}": row for name, row in figures.items()}
    settings = {"heads": HEADS, "head_size": WIDTH, "threads": torch.get_num_threads(), "rounds": rounds}
    report("branch_attention", "Attention of branches behind a prefix", settings, results, ("torch",))


if __name__ == "__main__":
    main()
