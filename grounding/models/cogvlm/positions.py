"""Which expert a token belongs to, where it stands for rope, and what predicts it when branches share a prefix.

Works on token types and branch numbers alone; knows nothing of weights, ids or words.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LANGUAGE, VISION = 0, 1
"""Token types: text (and padding), and the P + 2 positions of an image."""


def vision_expert_mask(token_type_ids: Tensor) -> Tensor:
    """True where the vision expert works: an image position that another one follows (so eoi is language).

    Args:
        token_type_ids: int64[B, T], 1 at image positions.

    Returns:
        bool[B, T]; the last column is always False.
    """
    is_image = token_type_ids == VISION
    return is_image & F.pad(is_image[:, 1:], (0, 1))


def image_position_ids(token_type_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
    """Rope positions in which all patches of an image share one id.

    The outermost positions of an image (boi, eoi) count like text. The id grows by one at each text position and at
    the first patch, never at a masked position, and starts at 0 in the first column. An end of an image is only known
    as one where it touches unmasked text or the border of the row.

    Args:
        token_type_ids: int64[B, T].
        attention_mask: int64[B, T] or bool, 0 at padding; None when there is none.

    Returns:
        int64[B, T].
    """
    real = torch.ones_like(token_type_ids, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
    image = (token_type_ids == VISION) & real
    text = (token_type_ids != VISION) & real
    text_before = F.pad(text[:, :-1], (1, 0), value=True)
    text_after = F.pad(text[:, 1:], (0, 1), value=True)
    patch = image & ~text_before & ~text_after
    text = text | (image & ~patch)
    first_patch = patch & F.pad(text[:, :-1], (1, 0))
    steps = text | first_patch
    steps[:, 0] = False
    return steps.cumsum(-1)


def branch_position_ids(token_type_ids: Tensor, branch_ids: Tensor) -> Tensor:
    """Rope positions under which each branch starts right behind the prefix, as if it stood there alone.

    Args:
        token_type_ids: int64[B, T]; image positions in the prefix only.
        branch_ids: int64[B, T], 0 prefix, 1..K branch, -1 padding.

    Returns:
        int64[B, T]; padding has 0.
    """
    positions = image_position_ids(token_type_ids, branch_ids >= 0)
    in_prefix = branch_ids == 0
    prefix_end = positions.masked_fill(~in_prefix, -1).amax(-1, keepdim=True)
    same_branch = branch_ids[:, :, None] == branch_ids[:, None, :]
    rank = same_branch.tril().sum(-1)
    return torch.where(in_prefix, positions, (prefix_end + rank).masked_fill(branch_ids < 0, 0))


def predictor_of(branch_ids: Tensor | None, rows: Tensor, columns: Tensor) -> Tensor:
    """The column whose output predicts the token at (row, column): the one before, or for the first token of a branch
    the last of its prefix.

    Args:
        branch_ids: int64[B, T] or None where rows are single sequences.
        rows, columns: int64[M], with columns >= 1.

    Returns:
        int64[M].
    """
    before = columns - 1
    if branch_ids is None:
        return before
    index = torch.arange(branch_ids.shape[1], device=branch_ids.device)
    prefix_end = (index * (branch_ids == 0)).amax(-1)
    starts_branch = branch_ids[rows, before] != branch_ids[rows, columns]
    return torch.where(starts_branch & (branch_ids[rows, columns] > 0), prefix_end[rows], before)


def reach_of(read: Tensor, branch_ids: Tensor | None, rows: int, columns: int) -> Tensor:
    """What the states at some places can depend on: a row or branch up to its last such place, and every prefix.

    Args:
        read: int64[M], places (row * T + column).
        branch_ids: int64[B, T], or None where rows are single sequences.
        rows, columns: B and T.

    Returns:
        bool[B, T].
    """
    column = torch.arange(columns, device=read.device).expand(rows, columns)
    branch = torch.ones_like(column) if branch_ids is None else branch_ids.clamp(min=0)
    last_read = torch.full((rows, columns + 1), -1, device=read.device)
    group = (read // columns) * (columns + 1) + branch.flatten()[read]
    last_read = last_read.flatten().scatter_reduce(0, group, read % columns, "amax").unflatten(0, (rows, columns + 1))
    reached = column <= last_read.gather(1, branch)
    return reached if branch_ids is None else reached | (branch_ids == 0)
