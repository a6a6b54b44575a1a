"""A box -> the name of the class in it. Only boxes that do not nearly coincide with one of another class."""

from __future__ import annotations

from data_tools.records import Finding, Record
from data_tools.selection import Question
from data_tools.tasks.view import View, spread
from data_tools.tasks.whole import asked_for, make_sample, size_of
from data_tools.wording import Voice, draw, draw_name
from grounding.geometry import iou_matrix
from grounding.samples import Sample, Task
from grounding.text import fill_answer, fill_prompt, write_boxes

TASK: Task = "box_to_phrase"
COINCIDE = 0.5  # IoU from which two boxes of different classes could both be meant


def questions(view: View) -> list[Question]:
    """One for each box that is clearly of one class; `detail` is its place among the boxes that can be asked for."""
    return spread((question for record in view.records for question in _of_image(record)), view.seed)


def _of_image(record: Record) -> list[Question]:
    unclear = _unclear(record)
    return [
        Question(record, annotation.category, True, TASK, place)
        for place, annotation in enumerate(asked_for(record))
        if place not in unclear
    ]


def _unclear(record: Record) -> set[int]:
    """Places of the boxes that another class could claim; all of them where a class was unknown."""
    asked = asked_for(record)
    if record.doubtful or not asked:
        return set(range(len(asked)))
    overlap = iou_matrix([a.xyxy_px for a in asked], [a.xyxy_px for a in record.annotations])
    return {
        place
        for place, annotation in enumerate(asked)
        for other, value in zip(record.annotations, overlap[place], strict=True)
        if value >= COINCIDE and other.category != annotation.category
    }


def sample(question: Question, voice: Voice) -> tuple[Sample | None, list[Finding]]:
    """The sample. The answer is the first name of the class, so that there is one right answer."""
    record, place = question.record, int(question.detail)
    drawn = draw(voice, record.name, "", TASK, place)
    wording = drawn.wording
    name = draw_name(question.category, drawn.language.lang, voice.names, voice.seed, None)
    box = list(asked_for(record)[place].xyxy_px)
    prompt = fill_prompt(wording, "", boxes_text=write_boxes([box], size_of(record)).text)
    return make_sample(question, drawn, prompt, fill_answer(wording, name, ""), None, phrase=name), []
