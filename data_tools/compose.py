"""Questions -> samples: each task says its own (`data_tools.tasks`); too long answers are split or refused.

Knows no file and no annotation format. Nothing is cut: what is not made is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from data_tools.records import Finding, Tally
from data_tools.selection import Question
from data_tools.stats import BUDGET, TOKENS_PER_BOX, label_tokens
from data_tools.tasks import TASKS, in_order
from data_tools.tasks.next_box import steps
from data_tools.tasks.whole import is_whole
from data_tools.wording import Voice
from grounding.samples import Sample, Task

SPLIT_INTO_STEPS = ("phrase_to_boxes", "all_to_boxes")


def compose(
    questions: Sequence[Question],
    voices: Mapping[Task, Voice],
    max_tokens: int | None = None,
    advance: Callable[[], None] = lambda: None,
) -> tuple[list[Sample], Tally]:
    """One sample for each question, in order; what would not read back, or is too long, is refused.

    Args:
        questions: each of a task that `voices` has.
        voices: how the questions of each task are put. With one for `next_box`, a question whose answer is too long is
            asked step by step.
        max_tokens: most tokens of a label, as `stats.label_tokens` counts them, and of the boxes that a step lists as
            given; None sets no limit for labels, and for given boxes what finetune allows a label.
        advance: called for each question.
    """
    made: list[tuple[Question, Sample]] = []
    findings: list[Finding] = []
    too_long: list[Question] = []
    for question in questions:
        advance()
        sample = _say(question, voices, max_tokens, findings)
        if sample is None:
            continue
        if max_tokens is None or label_tokens(sample) <= max_tokens:
            made.append((question, sample))
        elif "next_box" in voices and question.task in SPLIT_INTO_STEPS and (parts := _parts(question)):
            findings.append(Finding("answer_split", question.record.place, sample.id))
            too_long += parts
        else:
            findings.append(Finding("answer_too_long", question.record.place, sample.id))
    if too_long:
        there = {sample.id for _, sample in made}
        for part in too_long:
            step = _say(part, voices, max_tokens, findings)
            if step is not None and step.id not in there:
                there.add(step.id)
                made.append((part, step))
        made.sort(key=lambda pair: in_order(pair[0]))
    return [sample for _, sample in made], Tally.of(findings)


def _say(
    question: Question, voices: Mapping[Task, Voice], max_tokens: int | None, findings: list[Finding]
) -> Sample | None:
    """The sample of a question, or None with the reason in `findings`."""
    most = BUDGET if max_tokens is None else max_tokens
    if question.task == "next_box" and TOKENS_PER_BOX * int(question.detail) > most:
        found = f"{question.category} in {question.record.name}, step {question.detail}"
        findings.append(Finding("given_too_long", question.record.place, found))
        return None
    sample, found_here = TASKS[question.task].sample(question, voices[question.task])
    findings += found_here
    return sample


def _parts(question: Question) -> list[Question]:
    """The steps of every class of a question, none where one of them cannot be asked for step by step."""
    record = question.record
    classes = [question.category] if question.category else sorted({a.category for a in record.annotations})
    if question.phrase is not None or not all(is_whole(record, category) for category in classes):
        return []
    return [step for category in classes for step in steps(record, category)]
