"""Two models' answers compared: where they part, and whether rounding alone may have decided it."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from torch import Tensor

from grounding.inference.agreement import Greedy, answer_greedily, parting_of
from grounding.inference.engine import Request, answer
from tests.inference.scripted import tiny_model

VOCABULARY = 1000


def chosen(logits: Tensor) -> Greedy:
    """An answer out of the logits of its steps, float[T, V]."""
    return Greedy(logits.argmax(-1), logits)


def logits_of(best: list[int]) -> Tensor:
    """Noise of spread 1 in which the best of each step is 6 and the next, at the place behind it, 0.01 less."""
    logits = torch.randn(len(best), VOCABULARY, generator=torch.Generator().manual_seed(0)).clamp(-3, 3)
    for step, place in enumerate(best):
        logits[step, place], logits[step, place + 1] = 6.0, 5.99
    return logits


def test_equal_tokens_agree_whatever_the_logits() -> None:
    assert parting_of(chosen(logits_of([3, 5])), chosen(2 * logits_of([3, 5]))) is None


@pytest.mark.parametrize(
    ("noise", "jump", "near_tie"),
    [
        (0.007, 0.0, True),  # all moved by little, and two that were close changed places
        (0.0, 0.05, False),  # these two moved alone
        (0.05, 0.0, False),  # all moved by more than rounding
    ],
)
def test_a_parting_is_a_near_tie_where_these_two_moved_like_the_rest(noise: float, jump: float, near_tie: bool) -> None:
    before = logits_of([8, 4, 2])
    after = before.clone()
    after[1] += noise * torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(1))
    after[1, 4] = after[1, 5] - 0.004 - jump
    parting = parting_of(chosen(before), chosen(after))
    assert parting is not None and parting.token == 1 and parting.near_tie(rounding=0.01) == near_tie
    assert parting.gaps == pytest.approx((0.01, 0.004 + jump), abs=1e-4)
    assert parting.moved == pytest.approx(max(noise, (jump + 0.014) / VOCABULARY**0.5), rel=0.2)
    assert parting.spread == pytest.approx(1, rel=0.1)


def test_an_answer_that_ends_earlier_parts_at_its_end() -> None:
    parting = parting_of(chosen(torch.tensor([[0.0, 5.0]])), chosen(torch.tensor([[1.0, 0.0], [0.0, 5.0]])))
    assert parting is not None and parting.token == 0 and parting.gaps == (5.0, 1.0)
    assert not parting.near_tie(rounding=0.1)


def test_greedy_answers_are_the_engine_s() -> None:
    tiny = tiny_model()
    image, prompts = Image.new("RGB", (40, 30), "red"), ["Where is the dog?", "汽车"]
    found = answer_greedily(tiny.model.eval(), tiny.processor, image, prompts, 9)
    expected = answer(tiny.model, tiny.processor, [Request(image, prompt) for prompt in prompts], max_new_tokens=9)
    assert [tiny.processor.decode(one.tokens) for one in found] == [one.text for one in expected]
    for one in found:
        assert one.logits.shape == (len(one.tokens), tiny.model.config.vocab_size)
        assert one.logits.argmax(-1).equal(one.tokens)
