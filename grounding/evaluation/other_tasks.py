"""Scores the samples that ask for no box by their text: the answer equals the label after normalisation.

Knows labels and answers; reads no boxes out of either.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from grounding.evaluation.intervals import Measure, rates
from grounding.samples import Sample


def normalised(text: str) -> str:
    """NFKC, casefolded, each run of punctuation and spaces as one space, none at the ends: "Yes!" and "yes" are equal,
    "1.5" and "15" are not.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = (" " if unicodedata.category(character)[0] in "PZC" else character for character in folded)
    return " ".join("".join(kept).split())


def is_exact(sample: Sample, text: str | None) -> bool:
    """Whether an answer (None where there is none) says what the label says."""
    return text is not None and normalised(text) == normalised(sample.label)


def score_texts(samples: Sequence[Sample], texts: Sequence[str | None], *, seed: int = 0) -> dict[str, Any]:
    """For each task among the samples whose `boxes` is null: `{"n", "exact_match"}`; a missing answer is wrong."""
    table: dict[str, Any] = {}
    asked = [(sample, text) for sample, text in zip(samples, texts, strict=True) if sample.boxes is None]
    for task in sorted({sample.task for sample, _ in asked}):
        some = [(sample, text) for sample, text in asked if sample.task == task]
        numbers: dict[str, int] = {}
        # A sample without an image is a group of its own.
        keys = [f"image/{sample.image}" if sample.image else f"sample/{sample.id}" for sample, _ in some]
        images = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
        exact = np.array([is_exact(sample, text) for sample, text in some], dtype=np.float64)
        measure = Measure(exact, np.ones(len(some)))
        table[task] = {"n": len(some), "exact_match": rates({"exact_match": measure}, images, seed=seed)["exact_match"]}
    return table
