"""Whom each token sees, and attention over the blocks that follow from it: whole rows, or branches behind a prefix.

Turns the decoder's token list into the blocks that an attention kernel takes, and back. Knows places and branches; it
does not know experts, positions or what the tokens mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from grounding.models.cogvlm.experts import TokenLayout
from grounding.models.cogvlm.joined import attend_behind

Kernel = Callable[[Tensor, Tensor, Tensor, Any], Tensor]
"""query, key, value [B, H, T, d] and a mask to [B, T, H * d]."""


class RowSight(NamedTuple):
    """Each token sees the earlier ones of its row, as `mask` says where causality alone does not say it."""

    layout: TokenLayout
    mask: Any

    def attend(self, heads: Tensor, kernel: Kernel, past: Cache | None, layer: int) -> Tensor:
        """query, key and value [N, 3, H, d] of all tokens -> [N, H * d]; what the cache holds is seen too."""
        query, key, value = self.layout.to_rows(heads).permute(2, 0, 3, 1, 4).unbind(0)
        if past is not None:
            key, value = past.update(key, value, layer)
        return self.layout.to_tokens(kernel(query, key, value, self.mask))

    def read_by(self, tokens: Tensor) -> RowSight:
        """The same: one call of the kernel for all tokens costs no more than one for some."""
        return self


class BranchSight(NamedTuple):
    """Branches see their prefix and themselves.

    Two calls of the kernel in place of one over a mask of all against all: the B prefixes of P columns by themselves,
    then the G branches of L columns, each over its prefix's keys and its own. For many branches that is a fraction of
    the work (`benchmarks/branch_attention.py`), and it needs nothing but a mask, which every kernel takes. Where `rows`
    are given, the branches' part is joined from two instead, which copies no prefix.

    Attributes:
        prefixes: (B, P). branches: (G, L), those of all rows.
        slots: int64[N], where each token of the list stands in the B * P + G * L places of both blocks.
        owner: int64[G], the row of each branch; ascending.
        prefix_mask: as the attention implementation wants it; None where causality says it all.
        branch_mask: bool[G, 1, L, P + L], True = visible.
        prefix_read: whether anything reads what the tokens of a prefix see.
        rows: (tokens of the prefix, branches) of each row; empty: the kernel sees to the branches.
    """

    prefixes: tuple[int, int]
    branches: tuple[int, int]
    slots: Tensor
    owner: Tensor
    prefix_mask: Any
    branch_mask: Tensor
    prefix_read: bool = True
    rows: tuple[tuple[int, int], ...] = ()

    def attend(self, heads: Tensor, kernel: Kernel, past: Cache | None, layer: int) -> Tensor:
        """query, key and value [N, 3, H, d] of all tokens -> [N, H * d]; zeros for a prefix that is not read."""
        sizes = [math.prod(self.prefixes), math.prod(self.branches)]
        places = heads.new_zeros(sum(sizes), *heads.shape[1:]).index_copy_(0, self.slots, heads)
        in_prefix, in_branch = places.split(sizes)
        query, key, value = in_prefix.unflatten(0, self.prefixes).permute(2, 0, 3, 1, 4).unbind(0)
        own = in_branch.unflatten(0, self.branches).permute(2, 0, 3, 1, 4).unbind(0)
        if self.rows:
            of_branch = self._join(kernel, key, value, own)
        else:
            own_query, own_key, own_value = own
            seen_key = torch.cat([self._of_owner(key), own_key], dim=2)
            seen_value = torch.cat([self._of_owner(value), own_value], dim=2)
            of_branch = kernel(own_query, seen_key, seen_value, self.branch_mask).flatten(0, 1)
        if self.prefix_read:
            of_prefix = kernel(query, key, value, self.prefix_mask).flatten(0, 1)
        else:
            of_prefix = of_branch.new_zeros(len(in_prefix), of_branch.shape[-1])
        return torch.cat([of_prefix, of_branch]).index_select(0, self.slots)

    def _join(self, kernel: Kernel, key: Tensor, value: Tensor, own: tuple[Tensor, ...]) -> Tensor:
        """Row by row, each with its own length of prefix, so that no mask is needed; [G * L, H * d]."""
        branches_by_row = zip(*(part.split([branches for _, branches in self.rows]) for part in own), strict=True)
        attended = []
        for row, (query, own_key, own_value) in enumerate(branches_by_row):
            length, branches = self.rows[row]
            if length and branches:
                prefix_key, prefix_value = key[row, :, :length], value[row, :, :length]
                seen = attend_behind(prefix_key, prefix_value, query, own_key, own_value)
                attended.append(seen.transpose(1, 2).flatten(2))
            else:
                attended.append(kernel(query, own_key, own_value, None))
        return torch.cat(attended).flatten(0, 1)

    def _of_owner(self, prefix: Tensor) -> Tensor:
        """[B, H, P, d] to what each branch sees of it, [G, H, P, d]."""
        if len(prefix) == 1:
            return prefix.expand(len(self.owner), -1, -1, -1)
        return prefix.index_select(0, self.owner)

    def read_by(self, tokens: Tensor) -> BranchSight:
        """This where only what these tokens (int64[M], in the list) see is read: prefixes without one are left out."""
        return self._replace(prefix_read=bool((self.slots[tokens] < math.prod(self.prefixes)).any()))


Sight = RowSight | BranchSight


def branch_sight(
    branch_ids: Tensor, layout: TokenLayout, prefix_mask: Callable[[int], Any], *, joined: bool = False
) -> BranchSight:
    """The blocks of a batch whose rows are prefixes with branches.

    Query i sees key j when j <= i and j's branch is 0 (the prefix) or i's own.

    Args:
        branch_ids: int64[B, T], 0 prefix, 1..K branch, -1 padding.
        layout: which of the places are real tokens, in which order.
        prefix_mask: the mask for causal rows of so many columns, as the attention implementation wants it.
        joined: join what branches see of their prefix and of themselves (`joined.can_join` says where that can be).

    Raises:
        ValueError: a token of the prefix stands behind one of a branch, or branches are not counted from 1.
    """
    rows, columns = branch_ids.shape
    if int(branch_ids.max()) > columns:
        raise ValueError(f"branches are numbered 1 to K, K at most {columns}; one has the number {branch_ids.max()}")
    in_prefix, in_branch = branch_ids == 0, branch_ids > 0
    if bool((in_branch.cumsum(-1).bool() & in_prefix).any()):
        raise ValueError("the prefix (branch 0) must stand before all branches of its row")
    prefix_lengths = in_prefix.sum(-1)
    width = int(prefix_lengths.max())
    row_starts = torch.arange(rows, device=branch_ids.device)[:, None] * width
    slot_of = torch.where(in_prefix, row_starts + in_prefix.cumsum(-1) - 1, 0).flatten()

    places = in_branch.flatten().nonzero().squeeze(1)
    row_of = places // columns
    # Branch by branch, in row order within each: the n-th of its group is the n-th token of its branch.
    group_key, by_group = (row_of * (columns + 1) + branch_ids.flatten()[places]).sort(stable=True)
    _, group, sizes = group_key.unique_consecutive(return_inverse=True, return_counts=True)
    rank = torch.arange(len(places), device=places.device) - (sizes.cumsum(0) - sizes)[group]
    groups, length = len(sizes), int(sizes.max()) if len(sizes) else 0
    slot_of[places[by_group]] = rows * width + group * length + rank
    owner = row_of.new_zeros(groups).index_copy_(0, group, row_of[by_group])

    branches_of = owner.bincount(minlength=rows)
    prefix_real = torch.arange(width, device=places.device) < prefix_lengths[owner][:, None]
    causal = torch.ones(length, length, dtype=torch.bool, device=places.device).tril()
    visible = torch.cat(
        [prefix_real[:, None].expand(groups, length, width), causal.expand(groups, length, length)], dim=-1
    )
    return BranchSight(
        prefixes=(rows, width),
        branches=(groups, length),
        slots=layout.to_tokens(slot_of.unflatten(0, (rows, columns))),
        owner=owner,
        prefix_mask=prefix_mask(width),
        branch_mask=visible[:, None],
        rows=tuple(zip(prefix_lengths.tolist(), branches_of.tolist(), strict=True)) if joined else (),
    )
