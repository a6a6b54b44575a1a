"""Examples to one batch of tensors, text-only rows among image rows.

Knows padding and the order of images; it does not know files, samples or losses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from grounding.models.cogvlm import CogVLMProcessor
from grounding.samples import TASKS
from grounding.training.dataset import Example

Batch = dict[str, Tensor]


def collator(processor: CogVLMProcessor) -> Callable[[Sequence[Example]], Batch]:
    """A function from B examples to a right-padded batch.

    `input_ids token_type_ids attention_mask labels` are int64[B, T]; `pixel_values` float32[n, 3, S, S] holds the
    images of the rows that have one, in row order, and is left out where none has; `tasks` int64[B] indexes
    `samples.TASKS`.
    """

    def collate(examples: Sequence[Example]) -> Batch:
        batch: Batch = dict(processor.pad([example.encoded for example in examples], side="right"))
        images = [example.pixels for example in examples if example.pixels is not None]
        if images:
            batch["pixel_values"] = torch.stack(images)
        batch["tasks"] = torch.tensor([TASKS.index(example.task) for example in examples])
        return batch

    return collate
