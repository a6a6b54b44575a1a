"""Fewer samples where there are too many of one class or about one image: caps, and classes brought nearer together.

Knows counts of questions; does not know boxes, tasks or words. Which questions go is drawn by a hash, whatever is true.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from data_tools.records import Finding, Tally
from data_tools.selection import Question
from data_tools.tasks.view import by_hash
from grounding.errors import InputError


class Caps(NamedTuple):
    """Most questions of a class and about an image in a split, None where there is no limit; how much classes balance.

    `balance` 0 leaves classes as they are; 1 leaves of none more than the median class has; between the two a class of
    n questions, the median being m, keeps m * (n / m) ** (1 - balance).
    """

    per_class: int | None = None
    per_image: int | None = None
    balance: float = 0.0


def check_caps(caps: Caps) -> None:
    """Raises InputError for a cap below 1 or a balance outside 0..1."""
    for name, cap in (("--max-per-class", caps.per_class), ("--max-per-image", caps.per_image)):
        if cap is not None and cap < 1:
            raise InputError(f"{cap} is no cap; a number from 1 on is needed", where=name)
    if not 0 <= caps.balance <= 1:
        raise InputError(f"{caps.balance} is no share; a number from 0 to 1 is needed", where="--balance")


def apply_caps(questions: Sequence[Question], caps: Caps, seed: str) -> tuple[list[Question], Tally]:
    """The questions that stay, in the order given. Questions about all classes at once count for their image alone."""
    if caps == Caps():
        return list(questions), Tally()
    limits = _limits(questions, caps)
    of_class: Counter[str] = Counter()
    of_image: Counter[str] = Counter()
    kept: set[int] = set()
    findings: list[Finding] = []
    place = {id(question): number for number, question in enumerate(questions)}
    for question in by_hash(questions, f"{seed}|caps"):
        category, image = question.category, question.record.name
        if category and of_class[category] >= limits[category]:
            reason = "over_class_cap"
        elif caps.per_image is not None and of_image[image] >= caps.per_image:
            reason = "over_image_cap"
        else:
            of_class[category] += 1
            of_image[image] += 1
            kept.add(place[id(question)])
            continue
        findings.append(Finding(reason, question.record.place, f"{category} in {image}, {question.task}"))
    return [question for number, question in enumerate(questions) if number in kept], Tally.of(findings)


def _limits(questions: Sequence[Question], caps: Caps) -> Mapping[str, int]:
    """Class -> most questions that stay of it."""
    counts = Counter(question.category for question in questions if question.category)
    median = statistics.median(counts.values()) if counts else 0
    limits = {}
    for category, count in counts.items():
        balanced = median * (count / median) ** (1 - caps.balance) if count > median else count
        limits[category] = min(round(balanced), count if caps.per_class is None else caps.per_class)
    return limits
