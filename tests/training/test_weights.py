"""Weights of label tokens: found by place, all ones are the plain loss, and a run takes them from its settings."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from grounding.models.tokenizers import train_tokenizer
from grounding.training.weights import LabelWeights, digit_ids, weighted_loss

TOKENIZER = train_tokenizer(["[[123,456,789,000;111,222,333,444]]"], 300)


def test_each_place_has_its_weight() -> None:
    weights = LabelWeights(3.0, 1.5, 0.5, 0.1, digit_ids(TOKENIZER))
    answer = TOKENIZER.encode("[[086,540]]", add_special_tokens=False)
    pieces = TOKENIZER.convert_ids_to_tokens(answer)
    labels = torch.tensor([[-100, -100, *answer, 2, -100, *answer]])
    found = weights.of(labels)[0].tolist()
    assert found[:2] == [1, 1]
    by_piece = found[2 : 2 + len(answer)]
    assert by_piece[0] == 3 and found[2 + len(answer)] == 1
    first_digit = pieces.index("0")
    assert by_piece[: first_digit + 1] == [3] * (first_digit + 1)
    assert by_piece[first_digit + 1 : first_digit + 3] == pytest.approx([0.5, 0.1])
    assert by_piece[first_digit + 4 : first_digit + 7] == pytest.approx([1.5, 0.5, 0.1])
    assert found[-len(answer) :] == by_piece


def test_all_ones_are_the_plain_loss() -> None:
    torch.manual_seed(0)
    labels = torch.tensor([[-100, 4, 5, -100], [-100, -100, 6, 7]])
    logits = torch.randn(4, 9)
    plain = F.cross_entropy(logits, torch.tensor([4, 5, 6, 7]))
    weights = LabelWeights(1.0, 1.0, 1.0, 1.0, torch.tensor([4, 6])).of(labels)
    torch.testing.assert_close(weighted_loss(logits, labels, weights, 4), plain)
