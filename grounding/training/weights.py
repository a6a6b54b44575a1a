"""How much each label token counts in the loss, by its place in the answer: what stands first, digits by value.

Knows label ids and which ids are digits; it does not know models or batches' other tensors.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast

from grounding.models.cogvlm.cogvlm import NO_LABEL


class LabelWeights(NamedTuple):
    """Weights of label tokens; 1 for those not named.

    Attributes:
        first: of an answer's tokens up to its first digit, which say whether something was found, and what: later
            digits can follow from earlier ones.
        hundreds, tens, units: of a coordinate's digits, which must be tokens of their own.
        digits: int64[10], the ids of the digits.
    """

    first: float
    hundreds: float
    tens: float
    units: float
    digits: Tensor

    def of(self, labels: Tensor) -> Tensor:
        """int64[B, T] with -100 where nothing is trained -> float32[B, T], the weight of each label."""
        digit = torch.isin(labels, self.digits.to(labels.device))
        one_before, two_before = _shifted(digit, 1), _shifted(digit, 2)
        weights = torch.ones(labels.shape, device=labels.device)
        weights[digit & ~one_before] = self.hundreds
        weights[digit & one_before & ~two_before] = self.tens
        weights[digit & one_before & two_before] = self.units
        weights[_up_to_first(digit, labels != NO_LABEL)] = self.first
        return weights


def _up_to_first(digit: Tensor, answer: Tensor) -> Tensor:
    """bool[B, T] each -> where a token of an answer has no digit before it in the same answer."""
    before = digit.cumsum(-1) - digit.long()
    starts = answer & ~_shifted(answer, 1)
    return answer & (before == (before * starts).cummax(-1).values)


def _shifted(values: Tensor, columns: int) -> Tensor:
    """What stands so many columns before; False in front of the row."""
    return F.pad(values[:, :-columns], (columns, 0), value=False)


def weighted_loss(label_logits: Tensor, labels: Tensor, weights: Tensor, total: Tensor | int) -> Tensor:
    """The weighted sum of the negative log-likelihood of all labels, divided by `total`.

    Args:
        label_logits: float[M, V], where a label is predicted, in row order.
        labels: int64[B, T], -100 where there is none. weights: float[B, T].
        total: what stands for the number of label tokens of the step.
    """
    rows, columns = (labels[:, 1:] != NO_LABEL).nonzero(as_tuple=True)
    nats = F.cross_entropy(label_logits, labels[rows, columns + 1], reduction="none")
    return (nats * weights[rows, columns + 1]).sum() / total


def digit_ids(tokenizer: PreTrainedTokenizerFast) -> Tensor:
    """int64[10], the ids of the digits in a tokenizer that has them as pieces."""
    return torch.tensor(tokenizer.convert_tokens_to_ids(list("0123456789")))
