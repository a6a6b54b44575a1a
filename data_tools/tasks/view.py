"""What a task is shown of a split, and the order in which its questions are taken. Knows no task."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from data_tools.absence import Absent
from data_tools.hardness import Hardness
from data_tools.records import Record
from data_tools.selection import Question, draw_absent

MOST_ALIKE = 6  # what a reader counts at a glance


class View(NamedTuple):
    """A split.

    Attributes:
        records: its images.
        absent: what is absent from the images.
        selected: every (image, class) of which all boxes are known, the not-found ones drawn beside them, and the
            phrases of the annotations.
        ratio: not-found questions for each found one.
        seed: of every draw, the split's name in it.
        hardness: of not-found questions, where a share of them is to be hard.
        most_alike: objects of a class in an image up to which one of them is singled out by a phrase.
        numerous: classes of which there are more in most images: none of them is ever singled out.
    """

    records: Sequence[Record]
    absent: Absent
    selected: Sequence[Question]
    ratio: float
    seed: str
    hardness: Hardness | None = None
    most_alike: int = MOST_ALIKE
    numerous: frozenset[str] = frozenset()

    @property
    def found(self) -> list[Question]:
        """Every (image, class) of which all boxes are known."""
        return [question for question in self.selected if question.present and question.phrase is None]

    def draw_absent(self, found: Sequence[Question], ratio: float, task: str) -> list[Question]:
        """Not-found questions beside the found ones, as `selection.draw_absent`; each task has draws of its own."""
        drawn = draw_absent(self.records, self.absent, found, ratio, f"{self.seed}|{task}", self.hardness)
        return drawn.questions


def spread(questions: Iterable[Question], seed: str) -> list[Question]:
    """The questions in an order to take the first so many of: one of each class in each image before a second of any.

    Within that by a hash of (seed, question), so that other images leave the order as it is.
    """
    hashed = sorted(questions, key=lambda question: _hash(question, seed))
    rank: dict[tuple[str, str], int] = {}
    ranked: list[tuple[int, Question]] = []
    for question in hashed:
        key = (question.record.name, question.category)
        rank[key] = rank.get(key, -1) + 1
        ranked.append((rank[key], question))
    return [question for _, question in sorted(ranked, key=lambda pair: pair[0])]  # stable: by hash within a rank


def _hash(question: Question, seed: str) -> bytes:
    asked = (seed, question.record.name, question.task, question.category, str(question.detail))
    return hashlib.blake2b("\0".join(asked).encode(), digest_size=8).digest()


def by_hash(questions: Iterable[Question], seed: str) -> list[Question]:
    """The questions in an order by a hash of (seed, question) alone."""
    return sorted(questions, key=lambda question: _hash(question, seed))
