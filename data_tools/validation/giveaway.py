"""Prompts that give the answer away: by holding it, or by being worded otherwise where there is nothing to find.

Knows samples and the box text; opens no image. The second is a question of statistics: within a split, a task and a
language, whether something is found must not depend on how it is asked for. Each feature of a prompt makes a table of
found and not found, tested by Pearson's chi-square; the P values of all tables are corrected together by Holm (S. Holm,
A simple sequentially rejective multiple test procedure, 1979), so that a sound dataset is accused once in a thousand.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2_contingency

from grounding.samples import Sample
from grounding.text import NOT_FOUND, read_boxes, to_grid

LEVEL = 0.001  # chance to accuse a sound dataset
EXPECTED = 5  # of a cell of a table, the least for which chi-square holds (W. Cochran, 1954)
OTHER = "(others)"
LISTS_BOXES = "next_box"  # its prompts hold the boxes that were given before


class Verdict(NamedTuple):
    """A feature whose values tell found from not found.

    Attributes:
        where: split and task, and the language where it is not the feature itself.
        feature: what was looked at.
        p: corrected P value.
        found, not_found: numbers by value of the feature.
    """

    where: str
    feature: str
    p: float
    found: Mapping[str, int]
    not_found: Mapping[str, int]

    def __str__(self) -> str:
        value = max(self.found, key=lambda name: abs(self._share(self.found, name) - self._share(self.not_found, name)))
        return (
            f"{self.where}: {self.feature} {value!r} in {self._share(self.found, value):.0%} of the found, "
            f"{self._share(self.not_found, value):.0%} of the not found (P = {self.p:.1g})"
        )

    def _share(self, counts: Mapping[str, int], value: str) -> float:
        return counts[value] / max(1, sum(counts.values()))


def holds_its_answer(sample: Sample) -> bool:
    """Whether a prompt says the boxes, or the words, that it asks for."""
    if sample.task == "box_to_phrase":
        answer = sample.phrase or sample.category
        return answer is not None and _word(answer).search(sample.prompt) is not None
    if not sample.boxes or sample.task == LISTS_BOXES or not (sample.width and sample.height):
        return False
    said = set(map(tuple, read_boxes(sample.prompt).xyxy_grid.tolist()))
    if not said:
        return False
    true, _ = to_grid(sample.boxes, (sample.width, sample.height))
    return not said.isdisjoint(map(tuple, true.tolist()))


def _word(text: str) -> re.Pattern[str]:
    """The text by itself, not inside a longer Latin word; Chinese has no such border."""
    return re.compile(rf"(?<![A-Za-z0-9]){re.escape(text)}(?![A-Za-z0-9])", re.IGNORECASE)


@dataclass
class Wordings:
    """Counts how found and not-found prompts are worded; `verdicts` tells where that differs.

    Args:
        not_found: the not-found sentence by language, where one is set.
    """

    not_found: Mapping[str, str]
    _counts: dict[tuple[str, str], dict[bool, Counter[str]]] = field(
        default_factory=lambda: defaultdict(lambda: {True: Counter(), False: Counter()})
    )

    def add(self, split: str, sample: Sample) -> None:
        """Counts a sample that asks for boxes; of those that list boxes, absent ones have none to list, and differ."""
        if sample.boxes is None or sample.task == LISTS_BOXES:
            return
        present, wording = bool(sample.boxes), _without_phrase(sample)
        self._counts[(f"{split}, {sample.task}", "the language")][present][sample.lang] += 1
        for feature, value in _FEATURES.items():
            where = f"{split}, {sample.task}, {sample.lang}"
            self._counts[(where, feature)][present][value(wording, self._sentence(sample.lang))] += 1

    def verdicts(self) -> list[Verdict]:
        """What tells found from not found, the surest first."""
        tested = []
        for (where, feature), counts in self._counts.items():
            table, names = _table(counts[True], counts[False])
            if len(names) > 1:
                p = float(chi2_contingency(table).pvalue)
                found, not_found = (dict(zip(names, row, strict=True)) for row in table.tolist())
                tested.append(Verdict(where, feature, p, found, not_found))
        return [verdict for verdict in _holm(tested) if verdict.p < LEVEL]

    def _sentence(self, lang: str) -> str:
        return (self.not_found.get(lang) or NOT_FOUND[lang]).casefold()


_FEATURES: dict[str, Callable[[str, str], str]] = {
    "the wording": lambda wording, _: wording,
    "the not-found sentence": lambda wording, sentence: "named" if sentence in wording.casefold() else "not named",
    "the last character": lambda wording, _: wording[-1:],
    "the length": lambda wording, _: f"{len(wording) // 20 * 20} characters and more",
}


def _without_phrase(sample: Sample) -> str:
    """The prompt with `{}` for what it asks for, which found and not-found samples need not share."""
    names = sorted(filter(None, (sample.phrase, sample.category)), key=len, reverse=True)
    return re.sub("|".join(map(re.escape, names)), "{}", sample.prompt, flags=re.IGNORECASE) if names else sample.prompt


def _table(found: Mapping[str, int], not_found: Mapping[str, int]) -> tuple[NDArray[np.int64], list[str]]:
    """int64[2, V] of found and not found by value; values too rare for chi-square are put together."""
    names = sorted({*found, *not_found})
    table = np.array([[counts.get(name, 0) for name in names] for counts in (found, not_found)], dtype=np.int64)
    expected = table.sum(axis=0) * (table.sum(axis=1).min() / max(1, table.sum()))
    often = expected >= EXPECTED
    rest = table[:, ~often].sum(axis=1, keepdims=True)
    kept = [name for name, keep in zip(names, often, strict=True) if keep]
    if rest.sum() * (table.sum(axis=1).min() / max(1, table.sum())) >= EXPECTED:
        return np.hstack([table[:, often], rest]), [*kept, OTHER]
    return table[:, often], kept


def _holm(tested: list[Verdict]) -> Iterator[Verdict]:
    """The verdicts with corrected P values, ascending."""
    reached = 0.0
    for rank, verdict in enumerate(sorted(tested, key=lambda one: one.p)):
        reached = max(reached, min(1.0, (len(tested) - rank) * verdict.p))
        yield verdict._replace(p=reached)
