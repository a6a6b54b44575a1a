"""Questions -> samples: each task says its own (`data_tools.tasks`); too long answers are split or refused.

Knows no file and no annotation format. Nothing is cut: what is not made is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import itemgetter

from data_tools.annotations import categories_of
from data_tools.records import Finding, Tally
from data_tools.selection import Question
from data_tools.stats import BUDGET, label_tokens
from data_tools.tasks import TASKS, Said, in_order
from data_tools.tasks.next_box import steps
from data_tools.tasks.whole import is_whole
from data_tools.wording import Voice
from grounding.samples import Sample, Task
from grounding.text import TOKENS_PER_BOX

TOGETHER = 512  # questions whose samples are made at once
SPLIT_INTO_STEPS = ("phrase_to_boxes", "all_to_boxes")


def compose(
    questions: Sequence[Question],
    voices: Mapping[Task, Voice],
    max_tokens: int | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> tuple[list[Sample], Tally]:
    """`stream` at once: all samples, and the tally."""
    findings: list[Finding] = []
    samples = list(stream(questions, voices, findings, max_tokens, advance))
    return samples, Tally.of(findings)


def stream(
    questions: Sequence[Question],
    voices: Mapping[Task, Voice],
    findings: list[Finding],
    max_tokens: int | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Iterator[Sample]:
    """One sample for each question, in order, many made together; what is too long or would not read back is refused.

    Args:
        questions: each of a task that `voices` has.
        voices: how the questions of each task are put. With one for `next_box`, a question whose answer is too long is
            asked step by step.
        findings: what is found is added to it.
        max_tokens: most tokens of a label, as `stats.label_tokens` counts them, and of the boxes that a step lists as
            given; None sets no limit for labels, and for given boxes what finetune allows a label.
        advance: told how many more questions are done.
    """
    made = _made(questions, voices, findings, BUDGET if max_tokens is None else max_tokens, advance)
    if max_tokens is None:
        return filter(None, chain.from_iterable(samples for _, samples in made))
    return iter(_within(_paired(made), voices, findings, max_tokens))


def _made(
    questions: Sequence[Question],
    voices: Mapping[Task, Voice],
    findings: list[Finding],
    most_given: int,
    advance: Callable[[int], None],
) -> Iterator[tuple[Sequence[Question], Sequence[Sample | None]]]:
    """Questions and the sample of each, where it has one, some at a time."""
    for start in range(0, len(questions), TOGETHER):
        some = questions[start : start + TOGETHER]
        said = _say(some, voices, most_given)
        advance(len(some))
        findings += chain.from_iterable(map(itemgetter(1), said))
        yield some, list(map(itemgetter(0), said))


def _paired(made: Iterable[tuple[Sequence[Question], Sequence[Sample | None]]]) -> Iterator[tuple[Question, Sample]]:
    """Each question with its sample, where it has one."""
    for questions, samples in made:
        for question, sample in zip(questions, samples, strict=True):
            if sample is not None:
                yield question, sample


def _say(questions: Sequence[Question], voices: Mapping[Task, Voice], most_given: int) -> list[Said]:
    """The sample of each question, or None and why."""
    tasks = {question.task for question in questions}
    if len(tasks) == 1 and "next_box" not in tasks:
        return _of_task(questions[0].task, questions, voices)
    said: dict[int, Said] = {}
    by_task: dict[Task, list[int]] = {}
    for place, question in enumerate(questions):
        if question.task == "next_box" and TOKENS_PER_BOX * int(question.detail) > most_given:
            found = f"{question.category} in {question.record.name}, step {question.detail}"
            said[place] = (None, [Finding("given_too_long", question.record.place, found)])
        else:
            by_task.setdefault(question.task, []).append(place)
    for task, places in by_task.items():
        some = [questions[place] for place in places]
        said |= zip(places, _of_task(task, some, voices), strict=True)
    return [said[place] for place in range(len(questions))]


def _of_task(task: Task, questions: Sequence[Question], voices: Mapping[Task, Voice]) -> list[Said]:
    maker, voice = TASKS[task], voices[task]
    if maker.samples is not None:
        return maker.samples(questions, voice)
    return [maker.sample(question, voice) for question in questions]


def _within(
    samples: Iterable[tuple[Question, Sample]], voices: Mapping[Task, Voice], findings: list[Finding], max_tokens: int
) -> list[Sample]:
    """Those that are not too long; the others step by step, or refused."""
    made: list[tuple[Question, Sample]] = []
    too_long: list[Question] = []
    for question, sample in samples:
        if label_tokens(sample) <= max_tokens:
            made.append((question, sample))
        elif "next_box" in voices and question.task in SPLIT_INTO_STEPS and (parts := _parts(question)):
            findings.append(Finding("answer_split", question.record.place, sample.id))
            too_long += parts
        else:
            findings.append(Finding("answer_too_long", question.record.place, sample.id))
    there = {sample.id for _, sample in made}
    for step, sample in _paired(_made(too_long, voices, findings, max_tokens, lambda _: None)):
        if sample.id not in there:
            there.add(sample.id)
            made.append((step, sample))
    return [sample for _, sample in (sorted(made, key=lambda pair: in_order(pair[0])) if too_long else made)]


def _parts(question: Question) -> list[Question]:
    """The steps of every class of a question, none where one of them cannot be asked for step by step."""
    record = question.record
    classes = [question.category] if question.category else sorted(set(categories_of(record.annotations)))
    if question.phrase is not None or not all(is_whole(record, category) for category in classes):
        return []
    return [step for category in classes for step in steps(record, category)]
