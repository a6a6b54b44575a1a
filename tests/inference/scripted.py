"""A tiny real model, and a scripted one that says what it is told to: for tests of what stands around generation."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicCache
from transformers.modeling_outputs import CausalLMOutputWithPast

from grounding.models.loading import LoadedModel, build_model
from grounding.models.tokenizers import train_tokenizer

TEXTS = ["Where is the dog? answer in [[x0,y0,x1,y1]] format. [[086,540,400,760;001,002,003,004]]", "图片中存在一只狗"]
ARCHITECTURE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "initializer_range": 0.2,
    "vision_config": {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    },
}


def tiny_model(seed: int = 3, template: str = "base") -> LoadedModel:
    """Random weights with a large deviation, so that greedy choices are clear; 28-pixel images."""
    architecture = {**ARCHITECTURE, "template_version": template}
    return build_model(architecture, train_tokenizer(TEXTS * 3, 420), seed=seed, device="cpu")


class Scripted(nn.Module):
    """Answers the rows of a batch with given token ids, one list a prompt, found by the prompt's ids without the begin.

    Every chosen token has the probability `sure` and the rest is shared by all others; then `fail` is raised, if given.
    """

    def __init__(self, answers: dict[tuple[int, ...], list[int]], vocabulary: int, sure: float = 0.5) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(vocabulary, 2)
        self.answers, self.vocabulary, self.sure = answers, vocabulary, sure
        self.config = SimpleNamespace(max_position_embeddings=2048)
        self.fail: Exception | None = None
        self.batches: list[int] = []
        self.modes: list[bool] = []

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embeddings

    def forward(self, input_ids: Tensor, past_key_values: Cache | None = None, **_: Any) -> CausalLMOutputWithPast:
        """One layer of keys and values, all zero; nothing is likelier than anything else."""
        rows, columns = input_ids.shape
        cache = DynamicCache() if past_key_values is None else past_key_values
        cache.update(*torch.zeros(2, rows, 1, columns, 2), 0)
        return CausalLMOutputWithPast(logits=torch.zeros(rows, columns, self.vocabulary), past_key_values=cache)

    def generate(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        past_key_values: Cache,
        logits_processor: Sequence[Any],
        generation_config: Any,
        **_: Any,
    ) -> Tensor:
        if self.fail is not None:
            raise self.fail
        self.batches.append(len(input_ids))
        self.modes.append(self.training)
        real = attention_mask[:, -input_ids.shape[1] :].bool()
        rows = [tuple(ids[mask].tolist()) for ids, mask in zip(input_ids, real, strict=True)]
        past_key_values.update(*torch.zeros(2, *input_ids.shape[:1], 1, input_ids.shape[1], 2), 0)
        wanted = [self.answers[row] for row in rows]
        sequences = input_ids
        for step in range(min(generation_config.max_new_tokens, max(map(len, wanted)))):
            chosen = torch.tensor([ids[step] if step < len(ids) else 0 for ids in wanted])
            odds = torch.full((len(wanted), self.vocabulary), (1 - self.sure) / (self.vocabulary - 1))
            odds[torch.arange(len(wanted)), chosen] = self.sure
            for processor in logits_processor:
                processor(sequences, odds.log())
            sequences = torch.cat([sequences, chosen[:, None]], dim=1)
        return sequences
