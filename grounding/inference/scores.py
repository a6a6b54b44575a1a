"""How sure the model was of each box: the mean log-probability of the tokens that its text was made of.

Knows token ids, their log-probabilities and the text; boxes are found in the text and never by looking at ids, because
a bracket may share its token with other characters.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor

from grounding.text import read_boxes

UNFINISHED = "\ufffd"  # what a decoder puts for bytes that are not yet a whole character


class TokenLogProbs(LogitsProcessor):
    """Records log softmax(logits) of every token that generation chooses; changes nothing.

    Stands first in the list of processors: what later ones do (a grammar that forbids tokens) it does not see.

    Attributes:
        first: log softmax(logits) of the first step, float32[B, V].
    """

    first: Tensor

    def __init__(self) -> None:
        self._last: Tensor | None = None
        self._chosen: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """`input_ids` int64[B, T] ends with the token chosen by the scores of the call before; `scores` float[B, V]."""
        self._take(input_ids[:, -1])
        if self._last is None:
            self.first = scores.float().log_softmax(dim=-1)
            self._last = self.first
        else:
            self._last = scores.float().log_softmax(dim=-1)
        return scores

    def finish(self, generated: Tensor) -> Tensor:
        """float32[B, T] for the generated ids int64[B, T]."""
        self._take(generated[:, -1])
        self._last = None
        return torch.stack(self._chosen, dim=1).cpu()

    def _take(self, tokens: Tensor) -> None:
        if self._last is not None:
            self._chosen.append(self._last.gather(1, tokens[:, None]).squeeze(1))


def box_scores(
    text: str, ids: Sequence[int], logprobs: Sequence[float], decode: Callable[[Sequence[int]], str]
) -> list[float]:
    """One score for each box that `text` gives, in text order.

    Args:
        text: `decode(ids)`.
        ids: generated token ids without the end.
        logprobs: one for each id (more are not looked at).
        decode: ids to text.
    """
    spans = read_boxes(text).spans
    return [_mean(logprobs, *tokens_of(int(start), int(end), ids, decode)) for start, end in spans]


def tokens_of(start: int, end: int, ids: Sequence[int], decode: Callable[[Sequence[int]], str]) -> tuple[int, int]:
    """The tokens ids[first:last] that text[start:end] is made of, a token counting when any part of it is inside.

    The text of the first k tokens grows with k, so both ends are found by halving, with a few decodings each.
    """

    def length(tokens: int) -> int:
        """Whole characters in the first tokens: some characters take several."""
        return len(decode(ids[:tokens]).rstrip(UNFINISHED))

    first = bisect_left(range(len(ids) + 1), start, key=length)
    if length(first) > start:
        first -= 1  # this token holds what stands before, and the beginning
    return first, bisect_left(range(len(ids) + 1), end, key=length)


def _mean(logprobs: Sequence[float], first: int, last: int) -> float:
    return sum(logprobs[first:last]) / max(last - first, 1)
