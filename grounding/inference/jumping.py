"""Constrained decoding that feeds in one step all tokens that must follow: a comma behind three digits, words, the end.

Knows a model, tensors, and for each row what may and what must follow. Greedy or drawn; rows take steps of different
lengths, which leaves empty columns between their tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel

from grounding.inference.constrain import TokenTexts
from grounding.inference.prefix import Prompts
from grounding.models.cogvlm.prefix import PrefixCache
from grounding.text import Automaton

Choose = Callable[[Tensor], Tensor]
"""Logits float32[B, V], -inf at what is not allowed, to tokens int64[B]."""


class Jumped(NamedTuple):
    """What rows were answered with.

    Attributes:
        tokens: int64[B, N], padding behind the end.
        logprobs: float32[B, N], log softmax of each token under the logits as the model gives them.
        first: log softmax for the first tokens, float32[B, V].
    """

    tokens: Tensor
    logprobs: Tensor
    first: Tensor


class _Row:
    """One answer as it grows; `fed` of its tokens went through the model."""

    def __init__(self, automaton: Automaton | None, texts: TokenTexts, budget: int) -> None:
        self.automaton, self.texts, self.budget = automaton, texts, budget
        self.state = None if automaton is None else automaton.start
        self.ids: list[int] = []
        self.logprobs: list[float] = []
        self.fed = 0

    @property
    def ended(self) -> bool:
        """Whether no more will come."""
        return len(self.ids) == self.budget or self.ids[-1:] == [self.texts.eos]

    def allowed(self) -> list[int] | None:
        """The tokens that may follow; None: any."""
        if self.automaton is None or self.state is None:
            return None
        left = self.budget - len(self.ids)
        return self.texts.allowed(self.automaton, self.state, beginning=not self.ids, tokens_left=left)

    def take(self, token: int) -> None:
        """Add a token, and all that must follow it."""
        self._add(token)
        if self.automaton is not None and self.state is not None and not self.ended:
            for forced in self.texts.forced(self.automaton, self.state, self.ids):
                self._add(forced)

    def _add(self, token: int) -> None:
        if self.automaton is not None and self.state is not None and token != self.texts.eos:
            self.state = self.texts.step(self.automaton, self.state, token, beginning=not self.ids)
        self.ids.append(token)

    def feed(self) -> list[int]:
        """The tokens that the model has yet to see, for a choice or a log-probability behind them; from now on seen."""
        start, self.fed = self.fed, len(self.ids) - self.ended
        return self.ids[start : self.fed]

    def score(self, logprobs: Tensor) -> None:
        """Take in log softmax behind each token that was just fed, float32[n, V]: it tells of the forced ones."""
        for scored, token in zip(logprobs, self.ids[len(self.logprobs) :], strict=False):
            self.logprobs.append(float(scored[token]))


def jump(
    model: PreTrainedModel,
    prompts: Prompts,
    cache: PrefixCache,
    texts: TokenTexts,
    automata: Sequence[Automaton | None],
    choose: Choose,
    *,
    budgets: Sequence[int],
    pad: int,
) -> Jumped:
    """Answer each prompt by what its automaton allows; those without one freely.

    Args:
        cache: holds the prompts' prefixes; in the end the tokens too, with empty columns between them.
        choose: takes one token for each row.
        budgets: the tokens that each answer may have, its end included.
    """
    device = prompts.input_ids.device
    width = cache.get_seq_length()
    real = prompts.real
    ids, positions = prompts.input_ids, prompts.position_ids
    rows = [_Row(automaton, texts, budget) for automaton, budget in zip(automata, budgets, strict=True)]
    first: Tensor | None = None
    steps: list[list[int]] = []
    while True:
        cache.leave_empty(real == 0)
        mask = F.pad(real, (width, 0), value=1)
        keep = 1 if first is None else ids.shape[1]
        logits = model(
            input_ids=ids, position_ids=positions, attention_mask=mask, past_key_values=cache, logits_to_keep=keep
        ).logits
        logprobs = logits.log_softmax(-1)
        if first is None:
            first = logprobs[:, -1]
        else:
            for row, step, scored in zip(rows, steps, logprobs, strict=True):
                row.score(scored[len(scored) - len(step) :])
        choosing = [number for number, row in enumerate(rows) if not row.ended]
        if choosing:
            chosen = choose(torch.stack([_only(logits[number, -1], rows[number].allowed()) for number in choosing]))
            for number, token in zip(choosing, chosen.tolist(), strict=True):
                rows[number].logprobs.append(float(logprobs[number, -1, token]))
                rows[number].take(token)
        steps = [row.feed() for row in rows]
        if not any(steps):
            break
        columns = max(map(len, steps))
        ids = torch.tensor([[pad] * (columns - len(step)) + step for step in steps], device=device)
        starts = torch.tensor([row.fed for row in rows], device=device)[:, None] - columns
        places = starts + torch.arange(columns, device=device)
        positions = prompts.position_ids[:, -1:] + 1 + places.clamp(min=0)
        real = torch.cat(
            [real, torch.tensor([[0] * (columns - len(step)) + [1] * len(step) for step in steps], device=device)], 1
        )
    length = max(len(row.ids) for row in rows)
    return Jumped(
        torch.tensor([row.ids + [pad] * (length - len(row.ids)) for row in rows], device=device),
        torch.tensor([row.logprobs + [0.0] * (length - len(row.logprobs)) for row in rows]),
        first,
    )


def _only(logits: Tensor, allowed: list[int] | None) -> Tensor:
    if allowed is None:
        return logits
    kept = torch.full_like(logits, float("-inf"))
    kept[allowed] = logits[allowed]
    return kept
