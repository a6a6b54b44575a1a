"""Questions about all of a class -> lines of a dataset file without a Sample each, which is much quicker.

The lines are, byte for byte, what `write_samples` writes of the samples of `phrase_to_boxes`, and what is found and
counted is the same; that is a test. The form of a line is taken from the writer itself. Knows no file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from itertools import repeat
from typing import NamedTuple, cast

import msgspec
import numpy as np

from data_tools.records import Finding
from data_tools.selection import Question
from data_tools.stats import Columns, Numbers, tokens_of_label
from data_tools.tasks.phrase_to_boxes import LookedUp, look_up, unwritable, widened
from data_tools.wording import TASK, Voice, reads_back
from grounding.errors import InputError
from grounding.samples import Lang, Sample, pair_lines, pick
from grounding.text import TOKENS_PER_BOX, Wording, around_boxes, fill_answer, fill_prompt, write_boxes

TOGETHER = 512  # questions whose lines are made at once
_ONE_BOX = write_boxes([[0, 0, 1, 1]], (1, 1)).text
_encoder = msgspec.json.Encoder()


def lines(
    questions: Sequence[Question],
    voice: Voice,
    numbers: Numbers,
    findings: list[Finding],
    advance: Callable[[int], None],
) -> Iterator[bytes]:
    """The lines of the samples, some at a time; none of a question that no label can answer.

    Args:
        questions: of `phrase_to_boxes`, each about a class; no two are about one class in one image.
        voice: how they are put.
        numbers: counts what goes by.
        findings: what is found is added to it.
        advance: told how many more questions are done.

    Raises:
        InputError: a text holds half a surrogate pair.
    """
    not_found = tuple(voice.not_found.items())
    for start in range(0, len(questions), TOGETHER):
        looked = look_up(questions[start : start + TOGETHER], voice)
        ways = [
            _way(drawn.language.lang, drawn.wording, drawn.clause, drawn.name, question.category, not_found)
            for question, drawn in zip(looked.questions, looked.drawn, strict=True)
        ]
        numbers.add(_columns(looked, ways))
        yield "".join(_lines(looked, ways, findings)).encode()
        advance(len(ways))


class _Way(NamedTuple):
    """How a class is asked for in one wording, in JSON, between what differs from image to image.

    Attributes:
        reads_back: whether a label can be made at all; nothing else counts where not.
        lang: of the wording.
        category: the class as it stands in a string.
        prompt: from the prompt's key to the label's.
        before, behind: the label around its boxes.
        absent: the label where nothing is there.
        named: from the key of the phrase to that of the boxes.
        tokens, absent_tokens: of both labels, as `stats.label_tokens` counts them; of the first without its boxes.
    """

    reads_back: bool
    lang: Lang
    category: str
    prompt: str
    before: str
    behind: str
    absent: str
    named: str
    tokens: int
    absent_tokens: int


@lru_cache(maxsize=1 << 16)
def _way(
    lang: Lang,
    wording: Wording,
    clause: str | None,
    name: str,
    category: str,
    not_found: tuple[tuple[str, str], ...],
) -> _Way:
    sentences = dict(not_found)
    _, _, _, _, to_prompt, to_label, to_phrase, to_category, to_boxes, *_ = _form(False)
    before, behind = (_escaped(words) for words in around_boxes(wording, name))
    return _Way(
        reads_back=reads_back(wording, name, sentences),
        lang=lang,
        category=_escaped(category),
        prompt=f'{to_prompt}"{_escaped(fill_prompt(wording, name, clause))}"{to_label}',
        before=f'"{before}',
        behind=f'{behind}"',
        absent=f'"{_escaped(sentences[lang])}"',
        named=f'{to_phrase}"{_escaped(name)}"{to_category}"{_escaped(category)}"{to_boxes}',
        tokens=tokens_of_label(fill_answer(wording, name, _ONE_BOX)) - TOKENS_PER_BOX,
        absent_tokens=tokens_of_label(sentences[lang]),
    )


def _escaped(text: str) -> str:
    """The text as it stands between the quotes of a JSON string."""
    try:
        return _encoder.encode(text).decode()[1:-1]
    except UnicodeEncodeError as error:
        raise InputError(f"this text is not valid Unicode: {error}.", where=repr(text)) from error


@cache
def _form(upright: bool) -> tuple[str, ...]:
    """What stands before, between and behind the values of a line, as the writer writes it."""
    mark, box = "@", [-3.0, -3.0, -3.0, -3.0]
    specimen = Sample(
        id=mark,
        image=mark,
        width=-1,
        height=-2,
        prompt=mark,
        label=mark,
        phrase=mark,
        category=mark,
        boxes=[box],
        ignore=[box],
        task=TASK,
        lang=cast(Lang, mark),
        upright=upright,
    )
    return tuple(re.split(r'"@"|-1|-2|\[\[[^]]*\]\]', pair_lines([specimen]).decode()))


@lru_cache(maxsize=4)  # the classes of an image are asked for in turn
def _frame(name: str, size_wh: tuple[int, int] | None, upright: bool) -> tuple[str, str, str, str, str]:
    """What an image puts into its lines: up to the class in the id, from there to the prompt, and behind the boxes."""
    assert size_wh is not None  # settled by the check of the images
    to_id, to_image, to_width, to_height, _, _, _, _, _, to_ignore, to_lang, end = _form(upright)
    image, (width, height) = _escaped(name), size_wh
    to_prompt = f'"{to_image}"{image}"{to_width}{width}{to_height}{height}'
    return f'{to_id}"{image}#', to_prompt, to_ignore, f'{to_lang}"', f'"{end}'


def _lines(looked: LookedUp, ways: Sequence[_Way], findings: list[Finding]) -> Iterator[str]:
    """The line of each question, with its end."""
    encode = _encoder.encode
    for (question, drawn, boxes, ignore, written), way in zip(looked.each(), ways, strict=True):
        can_be_said, lang, category, prompt, before, behind, label, named, _, _ = way
        if not can_be_said:
            findings += unwritable(question, drawn)
            continue
        if written is not None:
            text, times = written
            label = f"{before}{text}{behind}"
            if times:
                findings += widened(question, times)
        record = question.record
        to_class, to_prompt, to_ignore, to_lang, end = _frame(record.name, record.size_wh, record.upright)
        ignored = encode(ignore).decode() if ignore else "[]"
        shown = encode(boxes).decode()
        yield f"{to_class}{category}{to_prompt}{prompt}{label}{named}{shown}{to_ignore}{ignored}{to_lang}{lang}{end}"


def _columns(looked: LookedUp, ways: Sequence[_Way]) -> Columns:
    """What is counted of the questions that a label can answer."""
    said = np.array([way.reads_back for way in ways], dtype=bool)
    start, middle, end = looked.ends.T
    present = np.array([question.present for question in looked.questions], dtype=bool)
    boxes = np.where(present, middle - start, 0)
    places = np.flatnonzero(said).tolist()
    questions, counts = pick(looked.questions, places), boxes[said].tolist()
    shown = np.repeat(said[looked.present], looked.counts)
    return Columns(
        images=[question.record.name for question in questions],
        tasks=repeat(TASK, len(places)),
        langs=[ways[place].lang for place in places],
        tokens=[
            ways[place].tokens + TOKENS_PER_BOX * count if count else ways[place].absent_tokens
            for place, count in zip(places, counts, strict=True)
        ],
        held=zip([question.category for question in questions], counts, strict=True),
        ignored=int((end - middle)[said].sum()),
        boxes_px=looked.shown_px[shown],
        sizes_wh=np.repeat(looked.sizes_wh, looked.counts, axis=0)[shown],
    )
