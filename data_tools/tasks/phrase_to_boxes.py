"""A class, or a phrase of the annotations -> all of its boxes, or that it is not there.

Asked for is every class that is wholly known in an image, the absent ones drawn beside them, and every phrase.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from data_tools.annotations import spans
from data_tools.records import Annotation, Finding
from data_tools.selection import Question, fallen_with_class
from data_tools.tasks.view import View
from data_tools.tasks.whole import Boxes, held, make_sample, size_of
from data_tools.wording import Drawn, Voice, draw, draw_for_phrase, reads_back
from grounding.samples import Sample
from grounding.text import fill_answer, fill_prompt, write_many


def questions(view: View) -> list[Question]:
    """Those selected."""
    return list(view.selected)


def sample(question: Question, voice: Voice) -> tuple[Sample | None, Sequence[Finding]]:
    """The sample; None where the label would not read back."""
    return samples([question], voice)[0]


def samples(questions: Sequence[Question], voice: Voice) -> list[tuple[Sample | None, Sequence[Finding]]]:
    """The same for many questions, their boxes found and written together."""
    drawn = [_draw(question, voice) for question in questions]
    xyxy_px, ends = held([_asked(question) for question in questions])
    boxes_px: Boxes = xyxy_px.tolist()
    written = iter(_write(questions, xyxy_px, ends))
    said: list[tuple[Sample | None, Sequence[Finding]]] = []
    for question, how, (start, middle, end) in zip(questions, drawn, ends.tolist(), strict=True):
        answer = next(written) if question.present else None
        if reads_back(how.wording, how.name, voice.not_found):
            boxes = boxes_px[start:middle] if question.present else []
            said.append(_say(question, how, boxes, boxes_px[middle:end], answer))
        else:
            said.append((None, _unwritable(question, f"{question.words} in {how.wording.answer!r}")))
    return said


def _draw(question: Question, voice: Voice) -> Drawn:
    image = question.record.name
    return draw_for_phrase(voice, image, question.words) if question.phrase else draw(voice, image, question.category)


def _asked(question: Question) -> tuple[Sequence[Annotation], str]:
    """The annotations that hold the boxes of a question, and the class that these are of."""
    phrase = question.phrase
    if phrase is None:
        return question.record.annotations, question.category
    return [Annotation(xyxy_px=box, category="", place=phrase.place) for box in phrase.boxes_px], ""


def _write(
    questions: Sequence[Question], xyxy_px: NDArray[np.float64], ends: NDArray[np.int64]
) -> list[tuple[str, int]]:
    """The text of the boxes of each question about something that is there, and how many were widened."""
    present = [place for place, question in enumerate(questions) if question.present]
    starts, counts = ends[present, 0], ends[present, 1] - ends[present, 0]
    sizes = chain.from_iterable(size_of(questions[place].record) for place in present)
    sizes_wh = np.fromiter(sizes, np.float64, 2 * len(present)).reshape(-1, 2)
    return write_many(xyxy_px[spans(starts, counts)], counts, sizes_wh)


def _say(
    question: Question, drawn: Drawn, boxes: Boxes, ignore: Boxes, written: tuple[str, int] | None
) -> tuple[Sample | None, Sequence[Finding]]:
    """The sample of a question that is put so; nothing is written of what is absent."""
    wording, phrase = drawn.wording, drawn.name
    label, findings = drawn.language.not_found, _NOTHING
    if written is not None:
        text, widened = written
        label = fill_answer(wording, phrase, text)
        if widened:
            found = Finding("widened", question.record.place, f"{question.words} in {question.record.name}")
            findings = (found,) * widened
    prompt = fill_prompt(wording, phrase, drawn.clause)
    return make_sample(question, drawn, prompt, label, boxes, phrase=phrase, ignore=ignore), findings


_NOTHING: tuple[Finding, ...] = ()


def _unwritable(question: Question, found: str) -> list[Finding]:
    """What is to be said of a question that no label can answer; the boxes of a class fall with it."""
    record, category, phrase = question.record, question.category, question.phrase
    if phrase is not None:
        return [Finding("phrase_unwritable", phrase.place, found)]
    return [Finding("class_unwritable", record.place, found), *fallen_with_class(record, {category})]
