"""A class, or a phrase of the annotations -> all of its boxes, or that it is not there.

Asked for is every class that is wholly known in an image, the absent ones drawn beside them, and every phrase.
"""

from __future__ import annotations

from data_tools.records import Finding
from data_tools.selection import Question
from data_tools.tasks.view import View
from data_tools.tasks.whole import boxes_of, make_sample, size_of
from data_tools.wording import Voice, draw, draw_for_phrase, reads_back
from grounding.samples import Sample
from grounding.text import fill_answer, fill_prompt, write_boxes


def questions(view: View) -> list[Question]:
    """Those selected."""
    return list(view.selected)


def sample(question: Question, voice: Voice) -> tuple[Sample | None, list[Finding]]:
    """The sample; None where the label would not read back."""
    record, category = question.record, question.category
    words = question.words
    drawn = draw_for_phrase(voice, record.name, words) if question.phrase else draw(voice, record.name, category)
    language, wording, clause, phrase = drawn
    if not reads_back(wording, phrase, voice.not_found):
        return None, [Finding("class_unwritable", record.place, f"{words} in {wording.answer!r}")]
    boxes = _boxes(question) if question.present else []
    label, findings = language.not_found, []
    if question.present:
        written = write_boxes(boxes, size_of(record))
        label = fill_answer(wording, phrase, written.text)
        findings = [Finding("widened", record.place, f"{words} in {record.name}")] * written.widened
    prompt = fill_prompt(wording, phrase, clause, language.not_found)
    ignore = [] if question.phrase else boxes_of(record, category, ignored=True)
    return make_sample(question, drawn, prompt, label, boxes, phrase=phrase, ignore=ignore), findings


def _boxes(question: Question) -> list[list[float]]:
    if question.phrase is not None:
        return [list(box) for box in question.phrase.boxes_px]
    return boxes_of(question.record, question.category)
