"""The loss of label tokens, with one tensor the size of their logits where torch's own takes three.

Knows logits and targets; it does not know which tokens are labels, nor by how many the sum is divided.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def summed_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """The sum of -log softmax(logits)[target], as `nn.functional.cross_entropy` with reduction "sum" has it.

    Its gradient is made in place of the log-probabilities, so it can be propagated once: a second time raises
    RuntimeError.

    Args:
        logits: float[M, V]. targets: int64[M], 0 to V - 1.
    """
    total: Tensor = _SummedCrossEntropy.apply(logits, targets)
    return total


class _SummedCrossEntropy(torch.autograd.Function):
    """d loss / d logits = softmax(logits) - one_hot(target)."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        log_probs = logits.log_softmax(-1)
        ctx.save_for_backward(log_probs, targets)
        return -log_probs.gather(1, targets[:, None]).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        log_probs, targets = ctx.saved_tensors
        slopes = log_probs.exp_()
        slopes.scatter_add_(1, targets[:, None], slopes.new_full((len(targets), 1), -1.0))
        return slopes.mul_(gradient), None
