"""Everything in the image, class by class, with boxes. Only where the annotators boxed all that they looked for."""

from __future__ import annotations

from data_tools.annotations import categories_of
from data_tools.records import Finding, Record
from data_tools.selection import Question
from data_tools.tasks.view import View, by_hash
from data_tools.tasks.whole import boxes_of, is_whole, make_sample, size_of
from data_tools.wording import Voice, draw, draw_name, reads_back
from grounding.samples import Sample, Task
from grounding.text import fill_all, fill_prompt, write_boxes

TASK: Task = "all_to_boxes"


def questions(view: View) -> list[Question]:
    """One for each image of which everything is known, those without any object among them."""
    known = (record for record in view.records if _is_known(record))
    return by_hash((Question(record, "", bool(record.annotations), TASK) for record in known), view.seed)


def _is_known(record: Record) -> bool:
    if record.absence != "exhaustive" or record.doubtful or record.refused or record.not_exhaustive:
        return False
    classes = _classes(record)
    if any(phrase.category not in classes for phrase in record.phrases):
        return False  # something is in the image that no annotation boxes
    return all(is_whole(record, category) for category in classes)


def _classes(record: Record) -> list[str]:
    return sorted(set(categories_of(record.annotations)))


def sample(question: Question, voice: Voice) -> tuple[Sample | None, list[Finding]]:
    """The sample; None where a class name would make the label unreadable."""
    record = question.record
    drawn = draw(voice, record.name, "", TASK)
    language, wording = drawn.language, drawn.wording
    # The first name of each class: the answer has one right form.
    names = {c: draw_name(c, language.lang, voice.names, voice.seed, None) for c in _classes(record)}
    for category, name in names.items():
        if not reads_back(wording, name, voice.not_found):
            return None, [Finding("class_unwritable", record.place, f"{category} in {wording.answer!r}")]
    texts: dict[str, str] = {}
    boxes: list[list[float]] = []
    categories: list[str] = []
    for category, name in names.items():
        own = boxes_of(record, category)
        texts[name] = write_boxes(own, size_of(record)).text
        boxes += own
        categories += [category] * len(own)
    label = fill_all(wording, texts, language.lang) if texts else language.not_found
    prompt = fill_prompt(wording, "")
    return make_sample(question, drawn, prompt, label, boxes, phrase=None, categories=categories), []
