"""A class -> all of its boxes, or that it is not there: every class that is wholly known, and the absent ones drawn."""

from __future__ import annotations

from data_tools.records import Finding
from data_tools.selection import Question
from data_tools.tasks.view import View
from data_tools.tasks.whole import boxes_of, make_sample, size_of
from data_tools.wording import Voice, draw, reads_back
from grounding.samples import Sample
from grounding.text import fill_answer, fill_prompt, write_boxes


def questions(view: View) -> list[Question]:
    """Those selected."""
    return list(view.selected)


def sample(question: Question, voice: Voice) -> tuple[Sample | None, list[Finding]]:
    """The sample; None where the label would not read back."""
    record, category = question.record, question.category
    drawn = draw(voice, record.name, category)
    language, wording, clause, phrase = drawn
    if not reads_back(wording, phrase, voice.not_found):
        return None, [Finding("class_unwritable", record.place, f"{category} in {wording.answer!r}")]
    boxes = boxes_of(record, category) if question.present else []
    label, findings = language.not_found, []
    if question.present:
        written = write_boxes(boxes, size_of(record))
        label = fill_answer(wording, phrase, written.text)
        findings = [Finding("widened", record.place, f"{category} in {record.name}")] * written.widened
    prompt = fill_prompt(wording, phrase, clause, language.not_found)
    ignore = boxes_of(record, category, ignored=True)
    return make_sample(question, drawn, prompt, label, boxes, phrase=phrase, ignore=ignore), findings
