"""One batch of prompts behind their prefixes, decoded: tokens, their log-probabilities, and those of given answers.

Knows a model, tensors and token ids; no words, images or boxes. Decoding itself is transformers' `generate` over a
cache that holds the prefixes already, or, where answers are constrained, steps that feed what must follow at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel, TemperatureLogitsWarper, TopPLogitsWarper

from grounding.inference.constrain import Constraint
from grounding.inference.jumping import jump
from grounding.inference.prefix import Prompts
from grounding.inference.scores import TokenLogProbs
from grounding.models.cogvlm.prefix import PrefixCache

COLUMNS = 64
"""Columns of given answers that are scored at once, so that their logits stay small."""


@dataclass(frozen=True)
class Decoding:
    """How the next token is chosen: the likeliest one, unless something else is asked for.

    Args:
        beams: hypotheses kept; 1 is greedy.
        temperature: draw from the softmax of logits divided by it (seed it with `torch.manual_seed`).
        top_p: draw from the likeliest tokens that together have this probability.
    """

    beams: int = 1
    temperature: float | None = None
    top_p: float = 1.0

    def choose(self, scores: Tensor) -> Tensor:
        """Without beams: a token for each row of logits float32[B, V], -inf at what is not allowed; int64[B]."""
        if self.temperature is None:
            return scores.argmax(-1)
        cooled = TopPLogitsWarper(self.top_p)(None, TemperatureLogitsWarper(self.temperature)(None, scores))
        return torch.multinomial(cooled.softmax(-1), 1).squeeze(1)

    def options(self) -> dict[str, Any]:
        """As `GenerationConfig` names them."""
        if self.temperature is None:
            return {"do_sample": False, "num_beams": self.beams}
        drawing = {"do_sample": True, "temperature": self.temperature, "top_p": self.top_p, "top_k": 0}
        return {**drawing, "num_beams": self.beams}


class Decoded(NamedTuple):
    """What a batch of B prompts was answered with.

    Attributes:
        tokens: int64[B, N], padding behind the end; of a row whose budget is smaller than another's there may be more
            than it is allowed.
        logprobs: float32[B, N], log softmax of each token under the logits as the model gives them.
        given: for each prompt the log-probability of the answer given for it, None where none was.
    """

    tokens: Tensor
    logprobs: Tensor
    given: list[float | None]


def decode(
    model: PreTrainedModel,
    prompts: Prompts,
    make_cache: Callable[[int], PrefixCache],
    *,
    decoding: Decoding,
    budgets: Sequence[int],
    special_ids: dict[str, int],
    given: Sequence[Sequence[int] | None],
    constraint: Constraint | None = None,
) -> Decoded:
    """Generate an answer for each prompt, and score the answers that are given.

    Args:
        make_cache: the cache that holds the prompts' prefixes, for so many rows a prompt.
        budgets: the tokens that the answer to each prompt may have, its end included.
        special_ids: bos_token_id, eos_token_id, pad_token_id.
        given: tokens of an answer to score for each prompt, its end included, or None.
        constraint: what answers may be.
    """
    if constraint is not None and decoding.beams == 1:
        cache = make_cache(1)
        columns = cache.get_seq_length() + prompts.input_ids.shape[1]
        tokens, logprobs, first = jump(
            model,
            prompts,
            cache,
            constraint.texts,
            constraint.automata,
            decoding.choose,
            budgets=budgets,
            pad=special_ids["pad_token_id"],
        )
    else:
        cache = make_cache(decoding.beams)
        columns = cache.get_seq_length() + prompts.input_ids.shape[1]
        tokens, logprobs, first, cache = _generate(
            model, prompts, cache, make_cache, decoding, max(budgets), special_ids, constraint
        )
    if any(ids is not None for ids in given):
        cache.crop(columns - cache.get_seq_length())
        lengths = [len(ids or ()) for ids in given]
        padded = [[*(ids or ()), *[0] * (max(lengths) - length)] for ids, length in zip(given, lengths, strict=True)]
        each = _continue(model, prompts, cache, first, torch.tensor(padded, device=tokens.device))
        sums = [row[:length].sum().item() for row, length in zip(each, lengths, strict=True)]
        return Decoded(
            tokens, logprobs, [None if ids is None else total for ids, total in zip(given, sums, strict=True)]
        )
    return Decoded(tokens, logprobs, [None] * len(given))


def _generate(
    model: PreTrainedModel,
    prompts: Prompts,
    cache: PrefixCache,
    make_cache: Callable[[int], PrefixCache],
    decoding: Decoding,
    max_new_tokens: int,
    special_ids: dict[str, int],
    constraint: Constraint | None,
) -> tuple[Tensor, Tensor, Tensor, PrefixCache]:
    """Tokens, their log-probabilities, log softmax for the first ones, and a cache with one row a prompt."""
    recorder = TokenLogProbs()
    with_prefix = F.pad(prompts.real, (cache.get_seq_length(), 0), value=1)
    inputs = {
        "input_ids": prompts.input_ids,
        "position_ids": prompts.position_ids,
        "attention_mask": with_prefix,
    }
    sequences = model.generate(
        **inputs,
        past_key_values=cache,
        # A config of its own: what a checkpoint's generation_config says about sampling does not count here.
        generation_config=GenerationConfig(max_new_tokens=max_new_tokens, **special_ids, **decoding.options()),
        logits_processor=[recorder] if constraint is None else [recorder, constraint],
    )
    tokens = sequences[:, prompts.input_ids.shape[1] :]
    if decoding.beams == 1:
        return tokens, recorder.finish(tokens), recorder.first, cache
    # Hypotheses change rows from step to step: the one that came out is scored by itself.
    cache, first = make_cache(1), recorder.first[:: decoding.beams]
    model(**inputs, past_key_values=cache, logits_to_keep=1)
    return tokens, _continue(model, prompts, cache, first, tokens), first, cache


def _continue(model: PreTrainedModel, prompts: Prompts, cache: PrefixCache, first: Tensor, tokens: Tensor) -> Tensor:
    """float32[B, N]: log-probabilities of tokens int64[B, N] behind prompts that the cache holds.

    `first` is log softmax for their first token, float32[B, V]. The cache holds what was run afterwards.
    """
    chosen = [first.gather(1, tokens[:, :1])]
    start = cache.get_seq_length()
    mask = F.pad(prompts.real, (start - prompts.real.shape[1], 0), value=1)
    for column in range(0, tokens.shape[1] - 1, COLUMNS):
        inputs, targets = tokens[:, column : column + COLUMNS], tokens[:, column + 1 : column + COLUMNS + 1]
        inputs = inputs[:, : targets.shape[1]]
        mask = F.pad(mask, (0, inputs.shape[1]), value=1)
        positions = prompts.position_ids[:, -1:] + 1 + column + torch.arange(inputs.shape[1], device=tokens.device)
        logits = model(input_ids=inputs, position_ids=positions, attention_mask=mask, past_key_values=cache).logits
        chosen.append(logits.log_softmax(-1).gather(2, targets[..., None]).squeeze(2))
    return torch.cat(chosen, dim=1).cpu()
