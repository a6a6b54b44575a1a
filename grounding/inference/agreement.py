"""Do two models answer alike, word for word, and where they do not, how close was the choice?

Knows greedy answers and the logits they were chosen by; it does not know how the models differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel

from grounding.models.cogvlm.processor import CogVLMProcessor

SIGMAS = 3
"""How many standard deviations of what moved logits at large may have moved the two of a near tie."""


@dataclass(frozen=True)
class Greedy:
    """An answer and what its tokens were chosen by.

    Args:
        tokens: int64[T], the end included where it came in time.
        logits: float32[T, V], those that each token is the first maximum of.
    """

    tokens: Tensor
    logits: Tensor


class Parting(NamedTuple):
    """Where two answers part. All numbers are of the logits at that token, which both models see the same text before.

    Attributes:
        token: how many tokens the answers have in common.
        gaps: by how much each model's logit of its own token exceeds that of the other's.
        moved: root mean square over the vocabulary of the difference between the models, each with its mean taken off.
        spread: standard deviation over the vocabulary, of the first model.
    """

    token: int
    gaps: tuple[float, float]
    moved: float
    spread: float

    def near_tie(self, rounding: float) -> bool:
        """Whether rounding explains it: all logits moved by little, and these two no more than the others.

        The difference of two logits that move by chance, each by `moved`, moves by sqrt(2) times that.

        Args:
            rounding: by how much rounding may move logits at large, as a share of their spread.
        """
        return sum(self.gaps) <= SIGMAS * 2**0.5 * self.moved and self.moved <= rounding * self.spread


@torch.inference_mode()
def answer_greedily(
    model: PreTrainedModel, processor: CogVLMProcessor, image: Image.Image, prompts: Sequence[str], max_new_tokens: int
) -> list[Greedy]:
    """An answer to each prompt about the image, one after the other."""
    pixels = processor.preprocess_image(image)[None].to(model.device, model.dtype)
    special_ids = {name: getattr(processor.tokenizer, name) for name in ("eos_token_id", "pad_token_id")}
    # Of its own: what a checkpoint's generation_config says about sampling does not count here.
    greedily = GenerationConfig(
        max_new_tokens=max_new_tokens, output_logits=True, return_dict_in_generate=True, **special_ids
    )
    answers = []
    for prompt in prompts:
        inputs = processor.pad([processor.encode(prompt, has_image=True)])
        made = model.generate(
            **{name: values.to(model.device) for name, values in inputs.items()},
            pixel_values=pixels,
            generation_config=greedily,
        )
        tokens = made.sequences[0, inputs["input_ids"].shape[1] :]
        answers.append(Greedy(tokens.cpu(), torch.cat(made.logits).float().cpu()))
    return answers


def parting_of(one: Greedy, other: Greedy) -> Parting | None:
    """Where two answers part; None where they are the same."""
    shared = min(len(one.tokens), len(other.tokens))
    differs = (one.tokens[:shared] != other.tokens[:shared]).nonzero()
    if not len(differs):
        return None  # either ended where it did by its last token, which is the same
    token = int(differs[0])
    mine, theirs = one.tokens[token], other.tokens[token]
    before, after = one.logits[token], other.logits[token]
    gaps = float(before[mine] - before[theirs]), float(after[theirs] - after[mine])
    return Parting(token, gaps, float((after - before).std(correction=0)), float(before.std(correction=0)))
