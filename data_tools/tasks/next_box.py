"""A class -> its boxes one at a time: each step is a prompt of its own that lists the boxes given so far.

Boxes come in the order of the box text, from the top. Behind the last one the answer is that there are no more; that
step asks for no box, since its class is there. An absent class is not found in its first step.
"""

from __future__ import annotations

from msgspec.structs import replace

from data_tools.records import Finding, Record
from data_tools.selection import Question
from data_tools.tasks.view import View, spread
from data_tools.tasks.whole import boxes_of, is_whole, make_sample, size_of
from data_tools.wording import Voice, draw, reads_back
from grounding.samples import Sample, Task
from grounding.text import NO_MORE, NONE_YET, fill_answer, fill_prompt, reading_order, to_grid, write_boxes

TASK: Task = "next_box"


def questions(view: View) -> list[Question]:
    """Every step of every class that is wholly known, and the first step of absent ones; `detail` boxes are given."""
    whole = [q for q in view.found if is_whole(q.record, q.category)]
    found = [step for question in whole for step in steps(question.record, question.category)]
    missing = [replace(q, task=TASK, detail=0) for q in view.draw_absent(whole, view.ratio, TASK)]
    return spread([*found, *missing], view.seed)


def steps(record: Record, category: str) -> list[Question]:
    """The steps from none given to all given."""
    return [Question(record, category, True, TASK, given) for given in range(len(boxes_of(record, category)) + 1)]


def sample(question: Question, voice: Voice) -> tuple[Sample | None, list[Finding]]:
    """The sample; None where the label would not read back."""
    record, category, given = question.record, question.category, int(question.detail)
    drawn = draw(voice, record.name, category, TASK, given)
    language, wording, phrase = drawn.language, drawn.wording, drawn.name
    if not reads_back(wording, phrase, voice.not_found):
        return None, [Finding("class_unwritable", record.place, f"{category} in {wording.answer!r}")]
    ordered: list[list[float]] = []
    if question.present:
        own = boxes_of(record, category)
        ordered = [own[place] for place in reading_order(to_grid(own, size_of(record))[0])]
    told = write_boxes(ordered[:given], size_of(record)).text if given else NONE_YET[language.lang]
    prompt = fill_prompt(wording, phrase, drawn.clause, boxes_text=told)
    following = ordered[given : given + 1]
    if following:
        label = fill_answer(wording, phrase, write_boxes(following, size_of(record)).text)
        return make_sample(question, drawn, prompt, label, following, phrase=phrase), []
    if question.present:
        return make_sample(question, drawn, prompt, NO_MORE[language.lang], None, phrase=phrase), []
    return make_sample(question, drawn, prompt, language.not_found, [], phrase=phrase), []
