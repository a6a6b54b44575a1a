"""The loss of label tokens is torch's, forward and backward, and refuses to be propagated twice."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from grounding.models.cogvlm.label_loss import summed_cross_entropy


@pytest.mark.parametrize("count", [0, 1, 7])
@pytest.mark.parametrize("size", [1.0, 30.0])
def test_it_is_torch_s(count: int, size: float) -> None:
    draw = torch.Generator().manual_seed(0)
    logits = size * torch.randn(count, 50, generator=draw)
    targets = torch.randint(50, (count,), generator=draw)
    mine, theirs = (logits.clone().requires_grad_() for _ in range(2))
    found = summed_cross_entropy(mine, targets)
    expected = nn.functional.cross_entropy(theirs, targets, reduction="sum")
    torch.testing.assert_close(found, expected)
    (0.3 * found).backward()
    (0.3 * expected).backward()
    torch.testing.assert_close(mine.grad, theirs.grad)
    assert mine.detach().equal(logits), "the logits, which are given out too, stay as they are"


def test_a_second_time_is_refused() -> None:
    logits = torch.randn(3, 5, requires_grad=True)
    loss = summed_cross_entropy(logits, torch.tensor([0, 1, 2]))
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="inplace"):
        loss.backward()
