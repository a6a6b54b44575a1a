"""Another image size than the checkpoint's: the tower's position embeddings interpolated, and the config that says so.

Knows grids of patches; nothing of pictures, files or which size is a good one.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from grounding.errors import InputError
from grounding.models.cogvlm.cogvlm import CogVLMForCausalLM
from grounding.models.cogvlm.config import CogVLMConfig

POSITIONS = "model.vision.patch_embedding.position_embedding.weight"
"""The one tensor of a checkpoint whose shape follows from the image size."""


def with_image_size(config: CogVLMConfig, image_size: int | None) -> CogVLMConfig:
    """A config for pictures of `image_size` pixels a side; the same object where that is None or its own size.

    Raises:
        InputError: no multiple of the patch size (the nearest ones are named).
    """
    vision = config.vision
    if image_size in (None, vision.image_size):
        return config
    assert image_size is not None
    side, patch = image_size // vision.patch_size, vision.patch_size
    if image_size != side * patch or side < 1:
        near = dict.fromkeys(max(multiple, 1) * patch for multiple in (side, side + 1))
        raise InputError(
            f"{image_size} is no multiple of the patch size of {patch} pixels.",
            where="image_size",
            fix=f"Near it: {' and '.join(map(str, near))}.",
        )
    changed = deepcopy(config)
    changed.vision.image_size, changed.vision.num_positions = image_size, side**2 + 1
    return changed


def interpolate_positions(table: Tensor, positions: int) -> Tensor:
    """Position embeddings of a grid of patches for a finer or coarser grid.

    The cls position is kept. The others, as a square picture of Dv channels, are interpolated by bicubic convolution
    (a = -0.75, corners not aligned, no smoothing when the grid shrinks), in float32. This is how the 490-pixel
    checkpoints came from the 224-pixel ones: `InterpolatedPositionEmbeddingMixin.reinit` of SwissArmyTransformer,
    CogVLM's training library, after DINO's `interpolate_pos_encoding`.

    Args:
        table: float[P + 1, Dv], cls first, then row after row of patches.
        positions: P' + 1.

    Returns:
        float[P' + 1, Dv] of the same dtype; the very values of `table` where P' = P.
    """
    if positions == len(table):
        return table.clone()
    old, new = (round((count - 1) ** 0.5) for count in (len(table), positions))
    grid = table[1:].float().T.reshape(1, -1, old, old)
    finer = nn.functional.interpolate(grid, size=(new, new), mode="bicubic", align_corners=False)
    return torch.cat([table[:1], finer.flatten(2)[0].T.to(table.dtype)])


@torch.no_grad()
def set_image_size(model: CogVLMForCausalLM, image_size: int | None) -> None:
    """Let a model take pictures of another size from now on, in place; nothing but the position embeddings changes.

    Works on a loaded model, quantised or not: beside the model only the two tables are held.

    Raises:
        InputError: see `with_image_size`; or the weights are cut into parts that several processes hold (ZeRO-3).
    """
    vision = with_image_size(model.config, image_size).vision
    if vision is model.config.vision:
        return
    tower, side = model.model.vision, vision.image_size
    table = tower.patch_embedding.position_embedding.weight
    if len(table) != model.config.vision.num_positions:
        raise InputError(
            "position embeddings cannot be interpolated in parts, and each process holds a part of the weights.",
            where="image_size",
            fix="Take ZeRO-2, FSDP or DDP, or the checkpoint's own image size.",
        )
    assert vision.num_positions is not None
    tower.patch_embedding.position_embedding = nn.Embedding.from_pretrained(
        interpolate_positions(table, vision.num_positions), freeze=not table.requires_grad
    )
    tower.pixel_shape = (vision.in_channels, side, side)
    model.config.vision_config = vision
