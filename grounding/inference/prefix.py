"""What stands in front of every prompt about an image, its begin token and image block, worked out once.

Runs the model over it and lays the keys and values ready for the rows of a batch. Knows tokens, positions and caches;
no words and no answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel

from grounding.models.cogvlm.positions import image_position_ids
from grounding.models.cogvlm.prefix import PrefixCache, Prefixes
from grounding.models.cogvlm.processor import Encoded


class Prefilled(NamedTuple):
    """G prefixes of equal length, run through the model.

    Attributes:
        layers: keys and values of each layer, [G, H, P, d] each.
        columns: P. next_position: the rope position of the token behind them.
    """

    layers: Sequence[tuple[Tensor, Tensor]]
    columns: int
    next_position: int

    def pick(self, index: int) -> Prefilled:
        """One of them, without holding on to the memory of the others."""
        return self._replace(
            layers=[(keys[index, None].clone(), values[index, None].clone()) for keys, values in self.layers]
        )


class Prompts(NamedTuple):
    """The B prompts of a batch without their prefixes, padded on the left: between prefix and prompt.

    Attributes:
        input_ids, position_ids: int64[B, T].
        real: int64[B, T], 0 at padding.
    """

    input_ids: Tensor
    position_ids: Tensor
    real: Tensor


def prefix_of(encoded: Encoded) -> Encoded:
    """The begin token and the image block of a sequence."""
    columns = 1 + sum(encoded.token_type_ids)
    return Encoded(encoded.input_ids[:columns], encoded.token_type_ids[:columns])


def prefill(model: PreTrainedModel, prefix: Encoded, images: int, pixel_values: Tensor | None) -> Prefilled:
    """Run the same prefix over so many images, float[images, 3, S, S], or one without an image, None."""
    device = model.device
    types = torch.tensor([prefix.token_type_ids] * images, device=device)
    output = model(
        input_ids=torch.tensor([prefix.input_ids] * images, device=device),
        token_type_ids=types,
        pixel_values=pixel_values,
        use_cache=True,
        logits_to_keep=1,
    )
    layers = [(layer.keys, layer.values) for layer in output.past_key_values.layers]
    return Prefilled(layers, len(prefix), int(image_position_ids(types[:1])[0, -1]) + 1)


def pad_prompts(prompts: Sequence[Sequence[int]], pad: int, start: int, device: torch.device) -> Prompts:
    """Token ids of prompts without their prefixes as one batch; their rope positions begin at `start`."""
    width = max(map(len, prompts))
    empty = [width - len(ids) for ids in prompts]
    columns = torch.arange(width, device=device)
    padding = torch.tensor(empty, device=device)[:, None]
    return Prompts(
        torch.tensor([[pad] * more + list(ids) for ids, more in zip(prompts, empty, strict=True)], device=device),
        start + (columns - padding).clamp(min=0),
        (columns >= padding).long(),
    )


def row_cache(
    prefixes: Sequence[tuple[Prefilled, Sequence[int]]], prompts: Prompts, *, rows_per_prompt: int = 1
) -> PrefixCache:
    """The cache of a batch of which nothing but the prefixes was run.

    Args:
        prefixes: some that were run together, and how many prompts of the batch each of them has, in its order.
        rows_per_prompt: beams, or samples of one prompt.
    """
    blocks = []  # of one run and side by side those with equally many readers
    for prefilled, sizes in prefixes:
        start = 0
        for size, equal in groupby(sizes):
            end = start + len(list(equal))
            blocks.append((prefilled.layers, slice(start, end), size * rows_per_prompt))
            start = end
    layers = [
        [Prefixes(layers[number][0][part], layers[number][1][part], readers) for layers, part, readers in blocks]
        for number in range(len(blocks[0][0]))
    ]
    return PrefixCache(layers, (prompts.real == 0).repeat_interleave(rows_per_prompt, dim=0))
