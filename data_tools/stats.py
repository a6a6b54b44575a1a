"""Numbers of a split: found and not found, boxes, what labels cost in tokens, what the grid allows. Knows no tokenizer.

A box costs 16 tokens in CogVLM's tokenizer: twelve digits, three commas, one separator; brackets make it 16 n + 1 for n
boxes, and eos ends the answer. Words around them are estimated: a token for three Latin characters, three for any other
(the tokenizer falls back to bytes), which is on the high side.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from grounding.samples import Sample
from grounding.text import grid_ceiling

NO_CLASS = "(no class)"  # in the place of a class: phrases that belong to none
TOKENS_PER_BOX = 16
_GROUP = re.compile(r"\[\[.*?\]\]")
BUDGET = 1024  # label tokens that finetune allows unless told otherwise
EDGES = (16, 32, 64, 128, 256, 512, 1024)  # upper ends of the classes of the histogram


def label_tokens(sample: Sample) -> int:
    """Estimated tokens of the label with eos."""
    words, cost = sample.label, 1
    if sample.boxes:
        words, groups = _GROUP.subn("", words)
        cost += TOKENS_PER_BOX * len(sample.boxes) + groups
    latin = sum(character.isascii() for character in words)
    return cost + math.ceil(latin / 3) + 3 * (len(words) - latin)


def describe(samples: Sequence[Sample]) -> dict[str, Any]:
    """Counts of a split, JSON-ready; the mean grid ceiling is None where there is no box."""
    tokens = [label_tokens(sample) for sample in samples]
    ceilings = [
        grid_ceiling(sample.boxes, (sample.width, sample.height))
        for sample in samples
        if sample.boxes and sample.width is not None and sample.height is not None
    ]
    return {
        "images": len({sample.image for sample in samples}),
        "samples": len(samples),
        "found": sum(bool(sample.boxes) for sample in samples),
        "not_found": sum(sample.boxes == [] for sample in samples),
        "boxes": sum(len(sample.boxes or []) for sample in samples),
        "ignored_boxes": sum(len(sample.ignore) for sample in samples),
        "tasks": dict(sorted(Counter(sample.task for sample in samples).items())),
        "languages": dict(sorted(Counter(sample.lang for sample in samples).items())),
        "label_tokens": {
            "total": sum(tokens),
            "max": max(tokens, default=0),
            "over_budget": sum(cost > BUDGET for cost in tokens),
            "histogram": _histogram(tokens),
        },
        "grid_ceiling": float(np.mean(np.concatenate(ceilings))) if ceilings else None,
        "classes": _classes(samples),
    }


def _histogram(tokens: Sequence[int]) -> dict[str, int]:
    """Number of labels by tokens: "<=16", "<=32", ... ">1024"; classes of none are left out."""
    names = Counter(next((f"<={edge}" for edge in EDGES if cost <= edge), f">{EDGES[-1]}") for cost in tokens)
    return {name: names[name] for name in (*(f"<={edge}" for edge in EDGES), f">{EDGES[-1]}") if names[name]}


def _classes(samples: Sequence[Sample]) -> Mapping[str, dict[str, int]]:
    """Class -> samples found, not found, and boxes; sorted by name. Only samples that ask for boxes of one class."""
    found: Counter[str] = Counter()
    not_found: Counter[str] = Counter()
    boxes: Counter[str] = Counter()
    for sample in samples:
        if sample.boxes is None or sample.categories is not None:
            continue
        category = sample.category or NO_CLASS
        (found if sample.boxes else not_found)[category] += 1
        boxes[category] += len(sample.boxes or [])
    return {
        category: {"found": found[category], "not_found": not_found[category], "boxes": boxes[category]}
        for category in sorted({*found, *not_found})
    }
