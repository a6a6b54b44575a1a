"""Is a class in the image, yes or no? As often yes as no for every class: the class does not tell the answer."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from msgspec.structs import replace

from data_tools.records import Finding
from data_tools.selection import Question
from data_tools.tasks.view import View, by_hash
from data_tools.tasks.whole import asked_for, make_sample
from data_tools.wording import Voice, draw
from grounding.samples import Sample, Task
from grounding.text import fill_presence, fill_prompt

TASK: Task = "presence"


def questions(view: View) -> list[Question]:
    """Pairs of a yes and a no about the same class; a class that is in every image, or in none, is not asked about."""
    there = [
        Question(record, category, True, TASK)
        for record in view.records
        for category in sorted({annotation.category for annotation in asked_for(record)})
    ]
    yes = _by_class(there, view.seed)
    no = _by_class((replace(q, task=TASK) for q in view.draw_absent(there, 1.0, TASK)), view.seed)
    pairs = {
        (present.record.name, category): (present, absent)
        for category in yes
        for present, absent in zip(yes[category], no.get(category, []), strict=False)  # as many as there are of both
    }
    first = by_hash((present for present, _ in pairs.values()), view.seed)
    return list(chain.from_iterable(pairs[present.record.name, present.category] for present in first))


def _by_class(questions: Iterable[Question], seed: str) -> dict[str, list[Question]]:
    sorted_in: dict[str, list[Question]] = {}
    for question in by_hash(questions, seed):
        sorted_in.setdefault(question.category, []).append(question)
    return sorted_in


def sample(question: Question, voice: Voice) -> tuple[Sample | None, list[Finding]]:
    """The sample; it asks for no box."""
    drawn = draw(voice, question.record.name, question.category, TASK)
    wording, phrase = drawn.wording, drawn.name
    prompt, label = fill_prompt(wording, phrase), fill_presence(wording, phrase, question.present)
    return make_sample(question, drawn, prompt, label, None, phrase=phrase), []
