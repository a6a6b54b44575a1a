"""A class, or a phrase of the annotations -> all of its boxes, or that it is not there.

Asked for is every class that is wholly known in an image, the absent ones drawn beside them, and every phrase.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from data_tools.records import Finding
from data_tools.selection import Question
from data_tools.tasks.view import View
from data_tools.tasks.whole import Boxes, held, make_sample, size_of
from data_tools.wording import Drawn, Voice, draw, draw_for_phrase, reads_back
from grounding.samples import Sample
from grounding.text import Written, fill_answer, fill_prompt, write_many


def questions(view: View) -> list[Question]:
    """Those selected."""
    return list(view.selected)


def sample(question: Question, voice: Voice) -> tuple[Sample | None, Sequence[Finding]]:
    """The sample; None where the label would not read back."""
    return samples([question], voice)[0]


def samples(questions: Sequence[Question], voice: Voice) -> list[tuple[Sample | None, Sequence[Finding]]]:
    """The same for many questions, their boxes written together."""
    drawn = [_draw(question, voice) for question in questions]
    boxes = _boxes_of(questions)
    good = [reads_back(how.wording, how.name, voice.not_found) for how in drawn]
    there = [place for place, question in enumerate(questions) if question.present and good[place]]
    texts = write_many([boxes[place][0] for place in there], [size_of(questions[place].record) for place in there])
    written = dict(zip(there, texts, strict=True))
    return [
        _say(question, drawn[place], *boxes[place], written.get(place))
        if good[place]
        else (None, [_unwritable(question, f"{question.words} in {drawn[place].wording.answer!r}")])
        for place, question in enumerate(questions)
    ]


def _draw(question: Question, voice: Voice) -> Drawn:
    image = question.record.name
    return draw_for_phrase(voice, image, question.words) if question.phrase else draw(voice, image, question.category)


def _say(
    question: Question, drawn: Drawn, boxes: Boxes, ignore: Boxes, written: Written | None
) -> tuple[Sample | None, Sequence[Finding]]:
    """The sample of a question that is put so; nothing is written of what is absent."""
    language, wording, clause, phrase = drawn
    label, findings = language.not_found, _NOTHING
    if written is not None:
        label = fill_answer(wording, phrase, written.text)
        if written.widened:
            found = Finding("widened", question.record.place, f"{question.words} in {question.record.name}")
            findings = (found,) * written.widened
    prompt = _prompt(wording, phrase, clause, language.not_found)
    return make_sample(question, drawn, prompt, label, boxes, phrase=phrase, ignore=ignore), findings


_NOTHING: tuple[Finding, ...] = ()
_prompt = lru_cache(maxsize=1 << 14)(fill_prompt)  # a class is asked for in the same few words again and again


def _boxes_of(questions: Sequence[Question]) -> list[tuple[Boxes, Boxes]]:
    """Of each question the boxes asked for, and those to ignore."""
    of_class = held([(question.record, question.category) for question in questions])
    return [
        ((own.asked if question.present else []), own.ignored)
        if question.phrase is None
        else ([list(box) for box in question.phrase.boxes_px], [])
        for question, own in zip(questions, of_class, strict=True)
    ]


def _unwritable(question: Question, found: str) -> Finding:
    if question.phrase is not None:
        return Finding("phrase_unwritable", question.phrase.place, found)
    return Finding("class_unwritable", question.record.place, found)
