"""The examples of an optimiser step to batches of tensors, text-only rows among image rows, packed or one by one.

Knows padding and the order of images; it does not know files, samples or losses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from grounding.models.cogvlm import CogVLMProcessor
from grounding.models.cogvlm.cogvlm import NO_LABEL
from grounding.samples import TASKS
from grounding.training.dataset import Example
from grounding.training.packing import pack, rows_of

Batch = dict[str, Tensor]
Collate = Callable[[Sequence[Example]], list[Batch]]


def collator(processor: CogVLMProcessor, *, rows_at_once: int | None = None, pack_tokens: int | None = None) -> Collate:
    """A function from examples to right-padded batches that hold each of them once.

    `input_ids token_type_ids labels` are int64[B, T], with `attention_mask`, or `branch_ids` where rows are packed;
    `pixel_values` float32[n, 3, S, S] holds the images of the rows that have one, in row order; with n = 0 the vision
    tower runs on nothing, so that what is trained of it gets a gradient, of zero: processes wait for every one, and
    the optimiser does the same for them as for one. `tasks` int64[B, T] says of which of `samples.TASKS` each token is.

    Args:
        rows_at_once: most rows of a batch; None puts all rows into one.
        pack_tokens: most tokens of a row that examples about one picture share; None gives each example a row.
    """

    def collate(examples: Sequence[Example]) -> list[Batch]:
        rows = [[example] for example in examples] if pack_tokens is None else rows_of(examples, pack_tokens)
        size = rows_at_once or len(rows)
        return [_batch(rows[start : start + size], processor) for start in range(0, len(rows), size)]

    return collate


def _batch(rows: Sequence[Sequence[Example]], processor: CogVLMProcessor) -> Batch:
    batch: Batch
    if all(len(row) == 1 for row in rows):  # nothing is shared: causality alone is the mask, which kernels like best
        batch = dict(processor.pad([row[0].encoded for row in rows], side="right"))
        tasks = torch.tensor([TASKS.index(row[0].task) for row in rows])
        batch["tasks"] = tasks[:, None].expand_as(batch["input_ids"])
    else:
        batch = pack(rows, processor)
    images = [pixels for row in rows if (pixels := row[0].pixels) is not None]
    size = processor.image_size
    batch["pixel_values"] = torch.stack(images) if images else torch.empty(0, 3, size, size)
    return batch


def without_labels(batch: Batch) -> Batch:
    """The batch with nothing to learn from it: its loss and all gradients are zero."""
    return {**batch, "labels": torch.full_like(batch["labels"], NO_LABEL)}
