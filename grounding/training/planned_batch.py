"""The largest batch that a run may meet, by counts alone: rows of an image and the prompts that share it.

Knows lengths and how a batch is laid out for the model; it reads no data, and its tensors hold no values.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from grounding.models.cogvlm import CogVLMConfig
from grounding.models.cogvlm.experts import TokenLayout
from grounding.models.cogvlm.visibility import BranchSight, RowSight, Sight
from grounding.settings import FinetuneSettings
from grounding.training.packing import row_budget
from grounding.training.steps import most_of_one_picture


@dataclass(frozen=True)
class Lengths:
    """Of the data, where it is known.

    Attributes:
        text: tokens of the longest sample besides the image: prompt and label with bos and eos.
        label: of the longest label, with eos.
        prompts: about one image, at most; None: as many as a step may have.
    """

    text: int
    label: int
    prompts: int | None = None


def prompts_in_row(settings: FinetuneSettings, config: CogVLMConfig, lengths: Lengths) -> int:
    """How many prompts of the longest kind meet in a packed row, at most; 1 where rows are not packed.

    The least of: prompts about one image in the data; half of an optimiser step's; what fits into the row's tokens.
    """
    training = settings.training
    if not training.pack:
        return 1
    prefix = 1 + config.image_token_count
    budget = training.pack_tokens or row_budget(config.image_token_count)
    fitting = (budget - prefix) // (lengths.text - 1)
    most = most_of_one_picture(training.effective_batch)
    return max(1, min(fitting, most, lengths.prompts or most))


class PlannedBatch:
    """Rows of begin, an image, and as many prompts of the longest kind each.

    Attributes:
        columns: tokens of a row: 1 + image + prompts * (text - 1).
        labels: labelled tokens of the batch.
    """

    def __init__(self, config: CogVLMConfig, rows: int, lengths: Lengths, prompts: int = 1) -> None:
        self.config, self.rows, self.prompts = config, rows, prompts
        self.prefix, self.branch = 1 + config.image_token_count, lengths.text - 1
        self.columns = self.prefix + prompts * self.branch
        self.labels = rows * prompts * lengths.label

    def pixels(self) -> Tensor:
        """float32[rows, 3, S, S]."""
        vision = self.config.vision
        return torch.empty(self.rows, vision.in_channels, vision.image_size, vision.image_size)

    def layout(self) -> TokenLayout:
        """boi and patches to the vision expert; bos, eoi and text to the language expert."""
        places = torch.empty(self.rows * self.columns, dtype=torch.long)
        return TokenLayout(self.rows, self.columns, self.rows * (self.config.vision.patch_count + 1), places)

    def sight(self, *, prefix_read: bool = True) -> Sight:
        """Whole causal rows, or branches behind their prefixes, as the model works them out from branch ids."""
        layout = self.layout()
        if self.prompts == 1:
            return RowSight(layout, None)
        groups = self.rows * self.prompts
        return BranchSight(
            prefixes=(self.rows, self.prefix),
            branches=(groups, self.branch),
            slots=torch.empty(self.rows * self.columns, dtype=torch.long),
            owner=torch.empty(groups, dtype=torch.long),
            prefix_mask=None,
            branch_mask=torch.empty(groups, 1, self.branch, self.prefix + self.branch, dtype=torch.bool),
            prefix_read=prefix_read,
        )
