"""Every sample held against itself, its split and the others: labels, boxes, ids, prompts, lengths. Opens no image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from data_tools.inspection.remarks import EXAMPLES, Level, Remark
from data_tools.stats import BUDGET, label_tokens
from data_tools.validation.giveaway import Wordings, holds_its_answer
from grounding.labels import label_problems
from grounding.samples import Sample

ROUNDING = 1e-6  # px: what x + width in floats may lie over the edge


class Lengths(NamedTuple):
    """Of a sample, in tokens: its label with the end, and positions of the whole; None where nothing measures them."""

    label: int
    positions: int | None = None


Measure = Callable[[Sample], tuple[Lengths, Sequence[str]]]
"""How long a sample is, and what of it a model cannot be trained on, in words."""


KINDS: dict[str, Level] = {
    "label_disagrees": "fault",
    "box_outside": "fault",
    "does_not_fit": "fault",
    "label_too_long": "fault",
    "prompt_holds_boxes": "fault",
    "prompt_holds_words": "warning",
    "two_answers": "warning",
    "id_in_two_splits": "warning",
}
"""The kinds of findings about single samples, and how bad each is."""


def estimate(sample: Sample) -> tuple[Lengths, Sequence[str]]:
    """In place of a tokenizer: boxes cost what CogVLM's takes for them, words are estimated on the high side."""
    return Lengths(label_tokens(sample)), ()


@dataclass
class Judge:
    """Looks at samples one after the other; `remarks` tells what was found.

    Args:
        not_found: the not-found sentence by language, where one is set.
        measure: how long a sample is.
        max_label_tokens: the longest label allowed, its end included.
    """

    not_found: Mapping[str, str]
    measure: Measure = estimate
    max_label_tokens: int = BUDGET
    longest: dict[str, int] = field(default_factory=lambda: {"label": 0, "positions": 0})
    _found: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _answers: dict[tuple[Any, ...], int] = field(default_factory=dict)
    _splits: dict[str, str] = field(default_factory=dict)
    _wordings: Wordings = field(init=False)

    def __post_init__(self) -> None:
        self._wordings = Wordings(self.not_found)

    def look(self, split: str, sample: Sample) -> None:
        """Looks at one sample."""
        self._wordings.add(split, sample)
        for kind, words in self._problems(split, sample):
            self._found[kind] += 1
            if len(self._examples[kind]) < EXAMPLES:
                self._examples[kind].append(f"{split}, {sample.id}: {words}" if words else f"{split}, {sample.id}")

    def remarks(self) -> list[Remark]:
        """What was found, by kind."""
        told = [
            Remark(kind, level, n, tuple(self._examples[kind]))
            for kind, level in KINDS.items()
            if (n := self._found[kind])
        ]
        verdicts = self._wordings.verdicts()
        if verdicts:
            told.append(Remark("wording_tells", "fault", len(verdicts), tuple(map(str, verdicts[:EXAMPLES]))))
        return told

    def _problems(self, split: str, sample: Sample) -> Iterator[tuple[str, str]]:
        """(kind, words) of what is wrong with a sample."""
        for problem in label_problems(sample, self.not_found):
            yield "label_disagrees", problem
        if any(_outside(box, sample) for box in [*(sample.boxes or []), *sample.ignore]):
            yield "box_outside", f"in {sample.width} x {sample.height}"
        lengths, problems = self.measure(sample)
        self._remember(lengths)
        for problem in problems:
            yield "does_not_fit", problem
        if not problems and lengths.label > self.max_label_tokens:
            yield "label_too_long", f"{lengths.label:,} tokens, {self.max_label_tokens:,} allowed"
        if holds_its_answer(sample):
            yield "prompt_holds_words" if sample.boxes is None else "prompt_holds_boxes", sample.prompt
        question = (sample.image, sample.prompt, *sample.history)
        if self._answers.setdefault(question, hash(sample.label)) != hash(sample.label):
            yield "two_answers", sample.prompt
        if self._splits.setdefault(sample.id, split) != split:
            yield "id_in_two_splits", f"also in {self._splits[sample.id]}"

    def _remember(self, lengths: Lengths) -> None:
        self.longest["label"] = max(self.longest["label"], lengths.label)
        self.longest["positions"] = max(self.longest["positions"], lengths.positions or 0)


def _outside(box: Sequence[float], sample: Sample) -> bool:
    assert sample.width is not None and sample.height is not None, "where there are boxes, there is a frame"
    x0, y0, x1, y1 = box
    return min(x0, y0) < -ROUNDING or x1 > sample.width + ROUNDING or y1 > sample.height + ROUNDING
