"""What can be asked of annotated images: one file a task, and how many questions of each are taken.

A task says which questions a split allows, the most wanted first (`questions`), and the sample that a question becomes
(`sample`). Knows no file and no language.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from data_tools.records import Finding
from data_tools.selection import Question
from data_tools.tasks import all_to_boxes, box_to_phrase, next_box, phrase_to_box, phrase_to_boxes, presence
from data_tools.tasks.view import View, spread
from data_tools.wording import Voice
from grounding.closest import did_you_mean
from grounding.errors import InputError
from grounding.samples import Sample, Task

Said = tuple[Sample | None, Sequence[Finding]]  # a sample, or None, and what was found in making it


class Maker(NamedTuple):
    """A task: the questions of a split, and what becomes of a question.

    Attributes:
        questions: those that a split allows, in the order in which they are taken.
        sample: the sample of a question.
        samples: those of many questions at once, where that is quicker.
        order: puts the questions in the order in which they are taken, where not all of them are. Those of a task that
            has it come in the order of samples (`in_order`).
    """

    questions: Callable[[View], list[Question]]
    sample: Callable[[Question, Voice], Said]
    samples: Callable[[Sequence[Question], Voice], list[Said]] | None = None
    order: Callable[[Sequence[Question], str], list[Question]] | None = None


TASKS: dict[Task, Maker] = {
    "phrase_to_boxes": Maker(phrase_to_boxes.questions, phrase_to_boxes.sample, phrase_to_boxes.samples, order=spread),
    "phrase_to_box": Maker(phrase_to_box.questions, phrase_to_box.sample),
    "all_to_boxes": Maker(all_to_boxes.questions, all_to_boxes.sample),
    "next_box": Maker(next_box.questions, next_box.sample),
    "box_to_phrase": Maker(box_to_phrase.questions, box_to_phrase.sample),
    "presence": Maker(presence.questions, presence.sample),
}
_PLACE = {task: place for place, task in enumerate(TASKS)}


class Planned(NamedTuple):
    """The questions of a split, and of each task how many its share asks for and how many there could be."""

    questions: list[Question]
    wanted: dict[Task, int]
    possible: dict[Task, int]


def parse_shares(words: Sequence[str]) -> dict[Task, float]:
    """Task -> share out of words such as "phrase_to_boxes=4" and "presence" (a share of 1). Raises InputError."""
    shares: dict[Task, float] = {}
    for word in words:
        name, _, number = word.partition("=")
        task = next((task for task in TASKS if task == name.strip()), None)
        if task is None:
            problem = f"{name or 'no task'} cannot be made; there is {', '.join(TASKS)}"
            raise InputError(problem, where="--tasks", fix=did_you_mean(name, TASKS))
        try:
            share = float(number) if number else 1.0
        except ValueError:
            share = 0.0
        if not 0 < share < float("inf"):
            raise InputError(f"{word!r}: a share is a number above 0", where="--tasks")
        if task in shares:
            raise InputError(f"{task} stands twice", where="--tasks")
        shares[task] = share
    if not shares:
        raise InputError(f"no task is named; there is {', '.join(TASKS)}", where="--tasks")
    return shares


def plan(shares: Mapping[Task, float], view: View) -> Planned:
    """The questions of a split: all of the first task that has any, of the others as many as stand to it by share.

    Where a task has fewer questions than that, all of them are taken.
    """
    possible = {task: TASKS[task].questions(view) for task in shares}
    lead = next((task for task in shares if possible[task]), None)
    if lead is None:
        return Planned([], dict.fromkeys(shares, 0), dict.fromkeys(shares, 0))
    unit = len(possible[lead]) / shares[lead]
    wanted = {task: round(unit * share) for task, share in shares.items()}
    taken = [question for task, some in possible.items() for question in _first(task, some, wanted[task], view.seed)]
    if len(shares) > 1 or TASKS[lead].order is None:
        taken.sort(key=in_order)
    return Planned(taken, wanted, {task: len(some) for task, some in possible.items()})


def _first(task: Task, questions: list[Question], count: int, seed: str) -> Sequence[Question]:
    """The first so many in the order in which they are taken; as they stand where that is all of them."""
    order = TASKS[task].order
    return questions if count >= len(questions) else (order(questions, seed) if order else questions)[:count]


def in_order(question: Question) -> tuple[object, ...]:
    """What samples are sorted by: image, task, class, and what tells questions of one class in an image apart.

    Phrases of the annotations stand behind the classes, in the order of their file.
    """
    category = "" if question.phrase else question.category
    return question.record.name, _PLACE[question.task], question.phrase is not None, category, question.detail
