"""A class, or a phrase of the annotations -> all of its boxes, or that it is not there.

Asked for is every class that is wholly known in an image, the absent ones drawn beside them, and every phrase.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

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
    said: list[tuple[Sample | None, Sequence[Finding]]] = []
    for question, boxes, ignore, written in look_up(questions).each():
        how = _draw(question, voice)
        if reads_back(how.wording, how.name, voice.not_found):
            said.append(_say(question, how, boxes, ignore, written))
        else:
            said.append((None, unwritable(question, how)))
    return said


class LookedUp(NamedTuple):
    """Questions and their boxes.

    Attributes:
        xyxy_px, ends: as `whole.Held` has them.
        present: int64[found], the places of the questions about something that is there.
        shown_px: float64[N, 4], the boxes asked for of those, one question after the other.
        counts: int64[found], how many are of each.
        sizes_wh: float64[found, 2], the size of the image of each.
        written: the text of the boxes of each, and how many were widened.
    """

    questions: Sequence[Question]
    xyxy_px: NDArray[np.float64]
    ends: NDArray[np.int64]
    present: NDArray[np.int64]
    shown_px: NDArray[np.float64]
    counts: NDArray[np.int64]
    sizes_wh: NDArray[np.float64]
    written: Sequence[tuple[str, int]]

    def each(self) -> Iterator[tuple[Question, Boxes, Boxes, tuple[str, int] | None]]:
        """Each question, its boxes, those to ignore, and what was written of it where it is there."""
        boxes_px: Boxes = self.xyxy_px.tolist()
        written = iter(self.written)
        for question, (start, middle, end) in zip(self.questions, self.ends.tolist(), strict=True):
            if question.present:
                yield question, boxes_px[start:middle], boxes_px[middle:end], next(written)
            else:
                yield question, [], boxes_px[middle:end], None


def look_up(questions: Sequence[Question]) -> LookedUp:
    """Finds the boxes of questions and writes them, all together."""
    xyxy_px, ends = held([_asked(question) for question in questions])
    present = np.flatnonzero([question.present for question in questions])
    starts, counts = ends[present, 0], ends[present, 1] - ends[present, 0]
    shown_px = xyxy_px[spans(starts, counts)]
    sizes = chain.from_iterable(size_of(questions[place].record) for place in present.tolist())
    sizes_wh = np.fromiter(sizes, np.float64, 2 * len(present)).reshape(-1, 2)
    written = write_many(shown_px, counts, sizes_wh)
    return LookedUp(questions, xyxy_px, ends, present, shown_px, counts, sizes_wh, written)


def _draw(question: Question, voice: Voice) -> Drawn:
    image = question.record.name
    return draw_for_phrase(voice, image, question.words) if question.phrase else draw(voice, image, question.category)


def _asked(question: Question) -> tuple[Sequence[Annotation], str]:
    """The annotations that hold the boxes of a question, and the class that these are of."""
    phrase = question.phrase
    if phrase is None:
        return question.record.annotations, question.category
    return [Annotation(xyxy_px=box, category="", place=phrase.place) for box in phrase.boxes_px], ""


def _say(
    question: Question, drawn: Drawn, boxes: Boxes, ignore: Boxes, written: tuple[str, int] | None
) -> tuple[Sample | None, Sequence[Finding]]:
    """The sample of a question that is put so; nothing is written of what is absent."""
    wording, phrase = drawn.wording, drawn.name
    label, findings = drawn.language.not_found, _NOTHING
    if written is not None:
        text, times = written
        label = fill_answer(wording, phrase, text)
        findings = widened(question, times) if times else _NOTHING
    prompt = fill_prompt(wording, phrase, drawn.clause)
    return make_sample(question, drawn, prompt, label, boxes, phrase=phrase, ignore=ignore), findings


_NOTHING: tuple[Finding, ...] = ()


def widened(question: Question, times: int) -> tuple[Finding, ...]:
    """What is to be said of a question of which so many boxes were less than a cell wide or high."""
    return (Finding("widened", question.record.place, f"{question.words} in {question.record.name}"),) * times


def unwritable(question: Question, drawn: Drawn) -> list[Finding]:
    """What is to be said of a question that no label can answer; the boxes of a class fall with it."""
    record, category, phrase = question.record, question.category, question.phrase
    found = f"{question.words} in {drawn.wording.answer!r}"
    if phrase is not None:
        return [Finding("phrase_unwritable", phrase.place, found)]
    return [Finding("class_unwritable", record.place, found), *fallen_with_class(record, {category})]
