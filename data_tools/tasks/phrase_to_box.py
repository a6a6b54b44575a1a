"""A phrase that singles one object out by geometry ("the second cell from the left") -> its one box.

Only in images where all objects of the class are boxed and few enough to count at a glance, and only where the geometry
is clear (`tasks.clear_cases`). Absent classes are asked for by the same phrases as those that are there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from statistics import median

from msgspec.structs import replace

from data_tools.annotations import categories_of
from data_tools.draws import pick_by
from data_tools.names import phrases_of
from data_tools.records import Finding, Record
from data_tools.selection import Question
from data_tools.tasks.clear_cases import clear_cases
from data_tools.tasks.view import View, spread
from data_tools.tasks.whole import boxes_of, is_whole, make_sample, size_of
from data_tools.wording import Drawn, Voice, draw, reads_back
from grounding.samples import Sample, Task
from grounding.text import expressions, fill_answer, fill_expression, fill_prompt, write_boxes

TASK: Task = "phrase_to_box"


def questions(view: View) -> list[Question]:
    """One for each clear geometry of a class in an image; beside them absent classes with the geometries of present."""
    cases = [(question, tuple(clear)) for question in _few(view) if (clear := _cases(question))]
    found = [replace(question, task=TASK, detail=geometry) for question, geometries in cases for geometry in geometries]
    of_class: dict[str, list[tuple[str, ...]]] = {}
    for question, geometries in cases:
        of_class.setdefault(question.category, []).append(geometries)
    missing = [
        replace(question, task=TASK, detail=geometry)
        for question in view.draw_absent([question for question, _ in cases], view.ratio, TASK)
        for geometry in _like(question, of_class.get(question.category, [geometries for _, geometries in cases]), view)
    ]
    return spread([*found, *missing], view.seed)


def _few(view: View) -> list[Question]:
    """The classes in images that are wholly boxed there, few, and of which there are few in most images."""
    return [
        question
        for question in view.found
        if question.category not in view.numerous
        if is_whole(question.record, question.category)
        if len(boxes_of(question.record, question.category)) <= view.most_alike
    ]


def numerous(records: Iterable[Record], most_alike: int) -> frozenset[str]:
    """The classes of which most images that have any have more than `most_alike`.

    Annotators leave some of these out (cells cut off by the edge), and where they boxed few they left out most: in no
    image is one of them singled out, nor in any tile of one.
    """
    numbers: dict[str, list[int]] = {}
    for record in records:
        for category, count in Counter(categories_of(record.annotations)).items():
            numbers.setdefault(category, []).append(count)
    return frozenset(category for category, counts in numbers.items() if median(counts) > most_alike)


def _cases(question: Question) -> dict[str, int]:
    return clear_cases(boxes_of(question.record, question.category), size_of(question.record))


def _like(question: Question, seen: list[tuple[str, ...]], view: View) -> tuple[str, ...]:
    """The geometries of an image where the class is: asked alike, the phrase does not tell whether it is there."""
    return pick_by(f"{view.seed}|{question.record.name}|{question.category}|geometry", seen)


def sample(question: Question, voice: Voice) -> tuple[Sample | None, list[Finding]]:
    """The sample; None where the label would not read back, or another class there may be meant by the name too."""
    record, category, geometry = question.record, question.category, question.detail
    drawn = draw(voice, record.name, category, TASK, geometry)
    language, wording = drawn.language, drawn.wording
    phrase = _phrase(drawn, str(geometry), voice.seed, record.name)
    if not reads_back(wording, phrase, voice.not_found):
        return None, [Finding("class_unwritable", record.place, f"{category} in {wording.answer!r}")]
    if other := _also_meant(record, category, drawn.name, voice):
        return None, [Finding("phrase_not_unique", record.place, f"{drawn.name}, {other} in {record.name}")]
    boxes: list[list[float]] = []
    if question.present:
        boxes = [boxes_of(record, category)[_cases(question)[str(geometry)]]]
    label = fill_answer(wording, phrase, write_boxes(boxes, size_of(record)).text) if boxes else language.not_found
    prompt = fill_prompt(wording, phrase, drawn.clause)
    return make_sample(question, drawn, prompt, label, boxes, phrase=phrase), []


def _phrase(drawn: Drawn, geometry: str, seed: int, image: str) -> str:
    choices = expressions(geometry, drawn.language.lang)
    chosen = pick_by(f"{seed}|{image}|{drawn.name}|{geometry}", choices)
    return fill_expression(chosen, drawn.name)


def _also_meant(record: Record, category: str, name: str, voice: Voice) -> str | None:
    """Another class in the image whose name ends with this one: a hot dog may be meant by "dog"."""
    others = set(categories_of(record.annotations)) - {category}
    for other in sorted(others):
        for called in phrases_of(other, voice.names):
            if called.casefold().endswith(name.casefold()):
                return called
    return None
