"""Prompts about one image into one row: begin and image once, then a branch for each prompt and its answer.

Knows examples and lengths; it does not know order, files or losses. Samples without an image share a row too, behind
nothing but its begin mark.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from grounding.models.cogvlm import CogVLMProcessor
from grounding.models.cogvlm.cogvlm import NO_LABEL
from grounding.models.cogvlm.positions import LANGUAGE
from grounding.samples import TASKS
from grounding.training.dataset import Example, Picture

LEAST_BUDGET, TEXT_BUDGET = 2048, 768
"""Tokens of a row where nobody says how many: at least, and besides begin and image (12 prompts of 64 tokens)."""
PREFIX, PADDING = 0, -1
"""Branch numbers of what all branches see and of what stands for nothing; branches count from 1."""


def row_budget(image_tokens: int) -> int:
    """Most tokens of a row where nobody says how many, for images of so many tokens."""
    return max(LEAST_BUDGET, 1 + image_tokens + TEXT_BUDGET)


def rows_of(examples: Sequence[Example], most_tokens: int) -> list[list[Example]]:
    """The examples as rows: all of a row about one picture, or all without one.

    A row takes an example while it has at most `most_tokens` tokens with it; one that is longer by itself gets a row of
    its own. Rows come in the order of their first examples, and so do the branches in a row.
    """
    open_rows: dict[Picture | None, list[list[Example]]] = {}
    rows: list[list[Example]] = []
    for example in examples:
        candidates = open_rows.setdefault(example.picture, [])
        row = next((row for row in candidates if row_length([*row, example]) <= most_tokens), None)
        if row is None:
            row = []
            rows.append(row)
            candidates.append(row)
        row.append(example)
    return rows


def row_length(row: Sequence[Example]) -> int:
    """Tokens of a row: the prefix once, then every branch."""
    prefix = row[0].encoded.prefix_length
    return prefix + sum(len(example.encoded) - prefix for example in row)


def pack(rows: Sequence[Sequence[Example]], processor: CogVLMProcessor) -> dict[str, Tensor]:
    """Rows as tensors, padded on the right.

    Returns:
        int64[B, T] each: input_ids, token_type_ids, labels (-100 where nothing is trained), branch_ids (0 prefix,
        1..K branch, -1 padding) and tasks (of each token's sample, an index into `samples.TASKS`).
    """
    fill = {
        "input_ids": int(processor.tokenizer.pad_token_id),
        "token_type_ids": LANGUAGE,
        "labels": NO_LABEL,
        "branch_ids": PADDING,
        "tasks": 0,
    }
    packed = [_packed(row) for row in rows]
    width = max(len(row["input_ids"]) for row in packed)
    return {
        name: torch.tensor([row[name] + [value] * (width - len(row[name])) for row in packed])
        for name, value in fill.items()
    }


def _packed(row: Sequence[Example]) -> dict[str, list[int]]:
    """One row: the first example's prefix, then what each example has behind it."""
    first = row[0].encoded
    prefix = first.prefix_length
    columns = {
        "input_ids": first.input_ids[:prefix],
        "token_type_ids": first.token_type_ids[:prefix],
        "labels": [NO_LABEL] * prefix,
        "branch_ids": [PREFIX] * prefix,
        "tasks": [0] * prefix,
    }
    for number, example in enumerate(row, start=1):
        encoded, length = example.encoded, len(example.encoded) - prefix
        assert encoded.labels is not None  # a training example has an answer
        columns["input_ids"] += encoded.input_ids[prefix:]
        columns["token_type_ids"] += encoded.token_type_ids[prefix:]
        columns["labels"] += encoded.labels[prefix:]
        columns["branch_ids"] += [number] * length
        columns["tasks"] += [TASKS.index(example.task)] * length
    return columns
