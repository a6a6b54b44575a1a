"""Scores the samples that ask for no box by their text: the answer says what the label says.

Knows labels and answers; reads no boxes out of either.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from grounding.evaluation.intervals import Measure, rates
from grounding.samples import Sample

# What an answer about presence may begin with; the longest first, since "没有" begins with no "有".
SAYS_NO = ("no", "not", "none", "absent", "没有", "没", "不", "无", "否", "未")
SAYS_YES = ("yes", "present", "there is", "there are", "有", "是", "能", "存在", "可以")


def normalised(text: str) -> str:
    """NFKC, casefolded, each run of punctuation and spaces as one space, none at the ends: "Yes!" and "yes" are equal,
    "1.5" and "15" are not.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = (" " if unicodedata.category(character)[0] in "PZC" else character for character in folded)
    return " ".join("".join(kept).split())


def tokens(text: str) -> list[str]:
    """The words of a text after normalisation; each character of Chinese is a word, since it has no spaces."""
    spaced = "".join(f" {character} " if _is_cjk(character) else character for character in normalised(text))
    return spaced.split()


def is_exact(sample: Sample, text: str | None) -> bool:
    """Whether an answer (None where there is none) says what the label says."""
    return text is not None and normalised(text) == normalised(sample.label)


def token_f1(label: str, text: str | None) -> float:
    """2 * shared / (words of the answer + words of the label), each word as often as it stands in both; 0 where there
    is no answer (P. Rajpurkar et al., SQuAD, EMNLP 2016, without its leaving out of articles).
    """
    said, wanted = Counter(tokens(text or "")), Counter(tokens(label))
    words = said.total() + wanted.total()
    return 2 * (said & wanted).total() / words if words else 0.0


def polarity(text: str | None) -> bool | None:
    """Whether an answer begins with a yes or a no; None where it begins with neither."""
    words = " ".join(tokens(text or "")) + " "
    for said, beginnings in ((False, SAYS_NO), (True, SAYS_YES)):
        if any(words.startswith(" ".join(tokens(beginning)) + " ") for beginning in beginnings):
            return said
    return None


def class_named(text: str | None, classes: Sequence[str]) -> str | None:
    """The class that an answer names: the longest one whose words stand in it in a row; None where there is none.

    Of two that are equally long the one that stands first.
    """
    padded = f" {' '.join(tokens(text or ''))} "
    inside = [
        (-len(words), padded.find(f" {words} "), name) for name, words in _spelled(classes) if f" {words} " in padded
    ]
    return min(inside)[2] if inside else None


def score_texts(asked: Iterable[tuple[Sample, str | None]], *, seed: int = 0) -> dict[str, Any]:
    """For each task: `n`, `exact_match` and `token_f1`; a missing answer is wrong.

    `presence_accuracy` for the task `presence` where every label says yes or no: the answer begins with the same. And
    `class_named` for `box_to_phrase` where samples have a class: of all classes of the task the answer names that one.

    Args:
        asked: samples whose `boxes` is null, and the text of their answers.
    """
    by_task: dict[str, list[tuple[Sample, str | None]]] = {}
    for sample, text in asked:
        by_task.setdefault(sample.task, []).append((sample, text))
    return {task: _score_task(task, some, seed) for task, some in sorted(by_task.items())}


def _score_task(task: str, some: list[tuple[Sample, str | None]], seed: int) -> dict[str, Any]:
    numbers: dict[str, int] = {}
    # A sample without an image is a group of its own.
    keys = [f"image/{sample.image}" if sample.image else f"sample/{sample.id}" for sample, _ in some]
    images = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
    right: dict[str, list[float | None]] = {
        "exact_match": [float(is_exact(sample, text)) for sample, text in some],
        "token_f1": [token_f1(sample.label, text) for sample, text in some],
    }
    if task == "presence":
        wanted = [polarity(sample.label) for sample, _ in some]
        if None not in wanted:
            right["presence_accuracy"] = [
                float(polarity(text) is yes) for (_, text), yes in zip(some, wanted, strict=True)
            ]
    classes = sorted({sample.category for sample, _ in some if sample.category})
    if task == "box_to_phrase" and classes:
        right["class_named"] = [
            float(class_named(text, classes) == sample.category) if sample.category else None for sample, text in some
        ]
    measures = {
        name: Measure(
            np.array([value or 0.0 for value in values]), np.array([float(value is not None) for value in values])
        )
        for name, values in right.items()
    }
    return {"n": len(some), **rates(measures, images, seed=seed)}


def _spelled(classes: Sequence[str]) -> list[tuple[str, str]]:
    """Each class and its words; a class without any says nothing."""
    return [(name, words) for name in classes if (words := " ".join(tokens(name.replace("_", " "))))]


def _is_cjk(character: str) -> bool:
    return unicodedata.category(character) == "Lo" and "\u2e80" <= character <= "\U0003ffff"
