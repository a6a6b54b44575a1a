"""What is asked of which image: every class that is wholly there, and a drawn share of classes that are not.

What is absent is told by `data_tools.absence`. Knows no wording.
"""

from __future__ import annotations

import bisect
import itertools
import random
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple

import msgspec

from data_tools.absence import Absent
from data_tools.annotations import classes_of
from data_tools.entries import phrase_of
from data_tools.hardness import Hardness
from data_tools.records import Finding, Phrase, Record, Tally
from grounding.samples import Task


class Question(msgspec.Struct, frozen=True, gc=False):
    """Something asked of an image.

    Attributes:
        category: the class asked about; "" where all classes are, or a phrase that is of no class.
        present: whether the answer is more than that nothing was found.
        detail: which of the questions that the task has about this class in this image (see its file in `tasks`).
        phrase: what is asked for in the place of the class.
    """

    record: Record
    category: str
    present: bool
    task: Task = "phrase_to_boxes"
    detail: str | int = ""
    phrase: Phrase | None = None

    @property
    def words(self) -> str:
        """What is asked for, before names are given to classes: a phrase as it stands, a class name made plain."""
        return " ".join(self.phrase.text.split()) if self.phrase else phrase_of(self.category)


class Selected(NamedTuple):
    """The questions of a split by (image, class); how many not-found ones were wanted at the ratio, and were drawn."""

    questions: list[Question]
    wanted: int
    drawn: int


def select(
    records: Sequence[Record],
    absent: Absent,
    ratio: float,
    seed: str,
    hardness: Hardness | None = None,
) -> tuple[Selected, Tally]:
    """All that is asked of the images of a split, in the order of samples (`tasks.in_order`).

    The arguments are those of `present` and `draw_absent`.
    """
    found, tally = present(records)
    not_found = draw_absent(records, absent, found, ratio, seed, hardness)
    phrases = [
        Question(record, phrase.category or "", True, detail=place, phrase=phrase)
        for record in records
        for place, phrase in enumerate(record.phrases)
    ]
    classes = [*found, *not_found.questions]
    if not_found.questions or any(one.name > other.name for one, other in pairwise(records)):  # tiles are not by name
        classes.sort(key=attrgetter("record.name", "category"))
    # Stable: phrases in their order, behind the classes.
    questions = sorted([*classes, *phrases], key=attrgetter("record.name")) if phrases else classes
    return Selected(questions, not_found.wanted, not_found.drawn), tally


def present(records: Sequence[Record]) -> tuple[list[Question], Tally]:
    """One question for each image and class of which all boxes are known; others are counted, and their boxes."""
    questions: list[Question] = []
    findings: list[Finding] = []
    for record, asked in zip(records, classes_of([record.annotations for record in records]), strict=True):
        if not record.refused and not record.not_exhaustive and all(asked.values()):  # nearly all images
            questions += [Question(record, category, True) for category in sorted(asked)]
            continue
        left: set[str] = set()
        for category in sorted({*asked, *record.refused}):
            if category in record.refused:
                reason = "class_incomplete"
            elif category in record.not_exhaustive:
                reason = "class_not_exhaustive"
            elif not asked[category]:
                reason = "class_only_ignored"
            else:
                questions.append(Question(record, category, True))
                continue
            findings.append(Finding(reason, record.place, f"{category} in {record.name}"))
            if asked.get(category):
                left.add(category)
        if left:
            findings += fallen_with_class(record, left)
    return questions, Tally.of(findings)


def fallen_with_class(record: Record, classes: Set[str]) -> list[Finding]:
    """The boxes of refused classes that could have been asked for; those to ignore are counted as such."""
    return [
        Finding("class_refused", annotation.place, f"{annotation.category} in {record.name}")
        for annotation in record.annotations
        if annotation.ignore is None and annotation.category in classes
    ]


def draw_absent(
    records: Sequence[Record],
    absent: Absent,
    positives: Sequence[Question],
    ratio: float,
    seed: str,
    hardness: Hardness | None = None,
) -> Selected:
    """Not-found questions of one split, about `ratio` for each found one.

    First each class gets its share of those it is found in, so that the class asked for does not tell the answer; what
    a class cannot give (it is nearly everywhere) is then drawn evenly from all that is left, until the ratio is reached
    or nothing is left.

    Args:
        records: of the split.
        absent: what is absent from these images, and others.
        positives: the found questions of the split.
        ratio: not-found questions for each found one, >= 0.
        seed: the draw is a function of it and of the other arguments.
        hardness: draws a part of the images of each class by what else is in them; how often a class is asked for
            stays, so that it does not tell the answer.
    """
    wanted = round(ratio * len(positives))
    if not ratio:
        return Selected([], wanted, 0)
    places = absent.places(records)
    chosen: set[tuple[int, str]] = set()
    for category, found in sorted(Counter(question.category for question in positives).items()):
        rng = random.Random(f"{seed}|{category}")
        share = int(ratio * found + rng.random())  # rounded at random: the mean over classes is the ratio
        candidates = places.get(category, [])
        count = min(share, len(candidates))
        hard = hardness.draw(category, candidates, count, rng) if hardness else []
        easy = [index for index in candidates if index not in set(hard)] if hard else candidates
        chosen |= {(index, category) for index in (*hard, *rng.sample(easy, count - len(hard)))}
    chosen = _trim(chosen, wanted, seed) if len(chosen) > wanted else _fill(chosen, places, wanted, seed)
    questions = [Question(records[index], category, False) for index, category in sorted(chosen)]
    return Selected(questions, wanted, len(questions))


def _trim(chosen: set[tuple[int, str]], wanted: int, seed: str) -> set[tuple[int, str]]:
    return set(random.Random(f"{seed}|trim").sample(sorted(chosen), wanted))


def _fill(
    chosen: set[tuple[int, str]], places: Mapping[str, Sequence[int]], wanted: int, seed: str
) -> set[tuple[int, str]]:
    """The chosen pairs and as many more as are wanted, drawn evenly, without listing all pairs of a large set."""
    categories = sorted(places)
    ends = list(itertools.accumulate(len(places[category]) for category in categories))
    total = ends[-1] if ends else 0
    filled = set(chosen)
    # As many tickets as could be needed when all that is chosen already is drawn again.
    tickets = random.Random(f"{seed}|fill").sample(range(total), min(total, wanted + len(chosen)))
    for ticket in tickets:
        if len(filled) >= wanted:
            break
        which = bisect.bisect_right(ends, ticket)
        start = ends[which - 1] if which else 0
        filled.add((places[categories[which]][ticket - start], categories[which]))
    return filled
