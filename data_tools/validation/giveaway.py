"""Prompts that give the answer away: by holding it, or by being worded otherwise where there is nothing to find.

Knows samples and the box text; opens no image. The second is a question of statistics: within a split, a task and a
language, whether something is found must not depend on how it is asked for. Each feature of a prompt makes a table of
found and not found, tested by Pearson's chi-square, and each word one of two by two, tested by Fisher's exact test. The
P values of all are corrected together (S. Holm, A simple sequentially rejective multiple test procedure, 1979), so that
a sound dataset is accused once in a thousand.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2_contingency, fisher_exact

from grounding.samples import Sample
from grounding.text import NOT_FOUND, read_boxes, to_grid

LEVEL = 0.001  # chance to accuse a sound dataset
EXPECTED = 5  # of a cell of a table, the least for which chi-square holds (W. Cochran, 1954); and uses of a word
OTHER = "(others)"
LISTS_BOXES = "next_box"  # its prompts hold the boxes that were given before
_WORD = re.compile(r"[a-z']+|[\u3400-\u9fff]|[^\w\s]")  # a Latin word, a Chinese character, a mark

Counts = dict[bool, Counter[str]]
"""Of found (True) and of not-found prompts, how many have each value."""


class Verdict(NamedTuple):
    """A value of a feature that tells found from not found.

    Attributes:
        where: split and task, and the language where it is not the feature itself.
        feature: what was looked at; `value` is what tells most.
        found, not_found: share of the prompts that have it.
        p: corrected P value.
    """

    where: str
    feature: str
    value: str
    found: float
    not_found: float
    p: float

    def __str__(self) -> str:
        shares = f"{self.found:.0%} of the found, {self.not_found:.0%} of the not found"
        return f"{self.where}: {self.feature} {self.value!r} in {shares} (P = {self.p:.1g})"


def holds_its_answer(sample: Sample) -> bool:
    """Whether a prompt says the boxes, or the words, that it asks for."""
    if sample.task == "box_to_phrase":
        answer = sample.phrase or sample.category
        return answer is not None and _by_itself(answer).search(sample.prompt) is not None
    if not sample.boxes or sample.task == LISTS_BOXES or not (sample.width and sample.height):
        return False
    said = set(map(tuple, read_boxes(sample.prompt).xyxy_grid.tolist()))
    if not said:
        return False
    true, _ = to_grid(sample.boxes, (sample.width, sample.height))
    return not said.isdisjoint(map(tuple, true.tolist()))


def _by_itself(text: str) -> re.Pattern[str]:
    """The text where it is no part of a longer Latin word; Chinese words have no such border."""
    return re.compile(rf"(?<![A-Za-z0-9]){re.escape(text)}(?![A-Za-z0-9])", re.IGNORECASE)


def _counts() -> Counts:
    return {True: Counter(), False: Counter()}


@dataclass
class Wordings:
    """Counts how found and not-found prompts are worded; `verdicts` tells where that differs.

    Args:
        not_found: the not-found sentence by language, where one is set.
    """

    not_found: Mapping[str, str]
    _features: dict[tuple[str, str], Counts] = field(default_factory=lambda: defaultdict(_counts))
    _words: dict[str, Counts] = field(default_factory=lambda: defaultdict(_counts))
    _worded: dict[str, Counter[bool]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, split: str, sample: Sample) -> None:
        """Counts a sample that asks for boxes; of those that list boxes, absent ones have none to list, and differ."""
        if sample.boxes is None or sample.task == LISTS_BOXES:
            return
        present, where = bool(sample.boxes), f"{split}, {sample.task}, {sample.lang}"
        sentence = (self.not_found.get(sample.lang) or NOT_FOUND[sample.lang]).casefold()
        named = "named" if sentence in sample.prompt.casefold() else "not named"
        self._features[(f"{split}, {sample.task}", "the language")][present][sample.lang] += 1
        self._features[(where, "the not-found sentence")][present][named] += 1
        wording = without_phrase(sample)
        if wording is None:
            return
        self._worded[where][present] += 1
        self._words[where][present].update(set(_WORD.findall(wording.casefold())))
        for feature, value in _FEATURES.items():
            self._features[(where, feature)][present][value(wording)] += 1

    def verdicts(self) -> list[Verdict]:
        """What tells found from not found, the surest first."""
        tested = [*self._judge_features(), *self._judge_words()]
        return [verdict for verdict in _holm(tested) if verdict.p < LEVEL]

    def _judge_features(self) -> Iterator[Verdict]:
        for (where, feature), counts in self._features.items():
            table, names = _table(counts)
            if len(names) > 1:
                found, not_found = table / table.sum(axis=1, keepdims=True)
                most = int(np.argmax(np.abs(found - not_found)))
                p = float(chi2_contingency(table).pvalue)
                yield Verdict(where, feature, names[most], float(found[most]), float(not_found[most]), p)

    def _judge_words(self) -> Iterator[Verdict]:
        for where, counts in self._words.items():
            found, not_found = self._worded[where][True], self._worded[where][False]
            for word in sorted({*counts[True], *counts[False]}) if found and not_found else ():
                used, elsewhere = counts[True][word], counts[False][word]
                if EXPECTED <= used + elsewhere <= found + not_found - EXPECTED:
                    p = fisher_exact([[used, found - used], [elsewhere, not_found - elsewhere]]).pvalue
                    yield Verdict(where, "the word", word, used / found, elsewhere / not_found, float(p))


_FEATURES: dict[str, Callable[[str], str]] = {
    "the wording": lambda wording: wording,
    "the last character": lambda wording: wording[-1:],
    "the length": lambda wording: f"{len(wording) // 20 * 20} characters and more",
}


def without_phrase(sample: Sample) -> str | None:
    """The prompt with `{}` for what it asks for, which found and not-found samples need not share; None: not in it."""
    names = sorted(filter(None, (sample.phrase, sample.category)), key=len, reverse=True)
    if not names:
        return None
    wording, n = re.subn("|".join(map(re.escape, names)), "{}", sample.prompt, flags=re.IGNORECASE)
    return wording if n else None


def _table(counts: Counts) -> tuple[NDArray[np.int64], list[str]]:
    """int64[2, V] of found and not found by value; values too rare for chi-square are put together."""
    names = sorted({*counts[True], *counts[False]})
    table = np.array([[counts[present][name] for name in names] for present in (True, False)], dtype=np.int64)
    rarer = table.sum(axis=1).min() / max(1, table.sum())  # the smaller share, found or not found
    often = table.sum(axis=0) * rarer >= EXPECTED
    kept = [name for name, keep in zip(names, often, strict=True) if keep]
    rest = table[:, ~often].sum(axis=1, keepdims=True)
    if rest.sum() * rarer >= EXPECTED:
        return np.hstack([table[:, often], rest]), [*kept, OTHER]
    return table[:, often], kept


def _holm(tested: list[Verdict]) -> Iterator[Verdict]:
    """The verdicts with corrected P values, ascending."""
    reached = 0.0
    for rank, verdict in enumerate(sorted(tested, key=lambda one: one.p)):
        reached = max(reached, min(1.0, (len(tested) - rank) * verdict.p))
        yield verdict._replace(p=reached)
