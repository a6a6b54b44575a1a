"""Questions about all of a class -> lines of a dataset file without a Sample each, which is much quicker.

The lines are, byte for byte, what `write_samples` writes of the samples of `phrase_to_boxes`, and what is found and
counted is the same; that is a test. The form of a line is taken from the writer itself. Knows no file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from itertools import repeat
from operator import attrgetter
from typing import NamedTuple, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from data_tools.entries import phrase_of
from data_tools.records import Finding, Record
from data_tools.selection import Question
from data_tools.stats import Columns, Numbers, tokens_of_label
from data_tools.tasks.phrase_to_boxes import LookedUp, look_up, unwritable, widened
from data_tools.wording import TASK, Drawn, Voice, draw_name, draw_ways, reads_back
from grounding.errors import InputError
from grounding.samples import Lang, Sample, pair_lines, pick
from grounding.text import TOKENS_PER_BOX, Wording, around_boxes, fill_answer, fill_prompt, write_boxes

TOGETHER = 2048  # questions whose lines are made at once
MOST_WAYS = 1 << 16  # that are remembered
_ONE_BOX = write_boxes([[0, 0, 1, 1]], (1, 1)).text
_encoder = msgspec.json.Encoder()
_IMAGE, _CATEGORY = attrgetter("record.name"), attrgetter("category")


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
    known = _Ways(voice)
    for start in range(0, len(questions), TOGETHER):
        looked = look_up(questions[start : start + TOGETHER])
        ways = known.drawn(looked.questions)
        numbers.add(_columns(looked, ways))
        yield "".join(_lines(looked, ways, findings)).encode()
        advance(len(ways))


class _Said(NamedTuple):
    """What a class is answered with in one wording, in JSON, between what differs from image to image.

    Attributes:
        reads_back: whether a label can be made at all; nothing else counts where not.
        lang: of the wording.
        category: the class as it stands in a string.
        before, behind: the label around its boxes, the latter up to the key of the boxes.
        absent: the label where nothing is there, up to the key of the boxes.
        tokens, absent_tokens: of both labels, as `stats.label_tokens` counts them; of the first without its boxes.
    """

    reads_back: bool
    lang: Lang
    category: str
    before: str
    behind: str
    absent: str
    tokens: int
    absent_tokens: int


class _Way(NamedTuple):
    """How a class is asked for: in short, in JSON from the prompt's key to the label's, and what is answered."""

    drawn: Drawn
    prompt: str
    said: _Said


class _Ways(dict[tuple[int, int, str, str], _Way]):
    """Each way once, by the places of its language and of its wording there, by class and by what that is called."""

    def __init__(self, voice: Voice) -> None:
        super().__init__()
        self._voice = voice
        self._first = [list(map(one.ways.index, one.ways)) for one in voice.languages]  # half have no clause

    def drawn(self, questions: Sequence[Question]) -> list[_Way]:
        """How each question is put."""
        voice = self._voice
        images, categories = list(map(_IMAGE, questions)), list(map(_CATEGORY, questions))
        phrases = list(map(phrase_of, categories))
        languages, drawn = (places.tolist() for places in draw_ways(voice, images, phrases))
        ways = [self._first[place][number] for place, number in zip(languages, drawn, strict=True)]
        names = phrases
        if voice.names:
            names = [
                draw_name(category, voice.languages[place].lang, voice.names, voice.seed, image)
                for image, category, place in zip(images, categories, languages, strict=True)
            ]
        return [self[key] for key in zip(languages, ways, categories, names, strict=True)]

    def __missing__(self, key: tuple[int, int, str, str]) -> _Way:
        if len(self) >= MOST_WAYS:
            self.clear()
        place, number, category, name = key
        language = self._voice.languages[place]
        wording, clause = language.ways[number]
        said = _said(language.lang, wording, name, category, tuple(self._voice.not_found.items()))
        way = self[key] = _Way(Drawn(language, wording, clause, name), _prompt(wording, clause, name), said)
        return way


@lru_cache(maxsize=MOST_WAYS)  # all splits ask in the same ways
def _prompt(wording: Wording, clause: str | None, name: str) -> str:
    _, _, _, _, to_prompt, to_label, *_ = _form(False)
    return f'{to_prompt}"{_escaped(fill_prompt(wording, name, clause))}"{to_label}'


@lru_cache(maxsize=MOST_WAYS)
def _said(lang: Lang, wording: Wording, name: str, category: str, not_found: tuple[tuple[str, str], ...]) -> _Said:
    sentences = dict(not_found)
    _, _, _, _, _, _, to_phrase, to_category, to_boxes, *_ = _form(False)
    before, behind = (_escaped(words) for words in around_boxes(wording, name))
    named = f'{to_phrase}"{_escaped(name)}"{to_category}"{_escaped(category)}"{to_boxes}'
    return _Said(
        reads_back=reads_back(wording, name, sentences),
        lang=lang,
        category=_escaped(category),
        before=f'"{before}',
        behind=f'{behind}"{named}',
        absent=f'"{_escaped(sentences[lang])}"{named}',
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


def _frame(name: str, size_wh: tuple[int, int] | None, upright: bool) -> tuple[str, str, str, str, str]:
    """What an image puts into its lines: up to the class in the id, from there to the prompt, and behind the boxes."""
    assert size_wh is not None  # settled by the check of the images
    to_id, to_image, to_width, to_height, _, _, _, _, _, to_ignore, to_lang, end = _form(upright)
    image, (width, height) = _escaped(name), size_wh
    to_prompt = f'"{to_image}"{image}"{to_width}{width}{to_height}{height}'
    return f'{to_id}"{image}#', to_prompt, to_ignore, f'{to_lang}"', f'"{end}'


def _lines(looked: LookedUp, ways: Sequence[_Way], findings: list[Finding]) -> Iterator[str]:
    """The line of each question, with its end."""
    image: Record | None = None
    told = zip(looked.written, _in_json(looked.shown_px, looked.counts), strict=True)
    for question, way, (_, middle, end) in zip(looked.questions, ways, looked.ends.tolist(), strict=True):
        drawn, prompt, (can_be_said, lang, category, before, behind, label, _, _) = way
        shown = ignored = "[]"
        times = 0
        if question.present:
            (text, times), shown = next(told)
            label = f"{before}{text}{behind}"
        if not can_be_said:
            findings += unwritable(question, drawn)
            continue
        if times:
            findings += widened(question, times)
        if middle < end:
            ignored = _encoder.encode(looked.xyxy_px[middle:end].tolist()).decode()
        if question.record is not image:  # the classes of an image are asked for in turn
            image = question.record
            to_class, to_prompt, to_ignore, to_lang, after = _frame(image.name, image.size_wh, image.upright)
        yield f"{to_class}{category}{to_prompt}{prompt}{label}{shown}{to_ignore}{ignored}{to_lang}{lang}{after}"


def _in_json(boxes_px: NDArray[np.float64], counts: NDArray[np.int64]) -> list[str]:
    """The boxes of each group, one at least, as a JSON list; float64[N, 4], so many of each group."""
    text = _encoder.encode(boxes_px.tolist())
    closed = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord("]"))  # behind each box, and behind all
    ends = closed[np.cumsum(counts) - 1] + 1
    starts = np.concatenate(([1], ends + 1))  # a comma stands between
    every = text.decode()
    return [f"[{every[start:end]}]" for start, end in zip(starts.tolist(), ends.tolist(), strict=False)]


def _columns(looked: LookedUp, ways: Sequence[_Way]) -> Columns:
    """What is counted of the questions that a label can answer."""
    said = np.array([way.said.reads_back for way in ways], dtype=bool)
    places = np.flatnonzero(said).tolist()
    questions = pick(looked.questions, places)
    counts = np.zeros(len(said), dtype=np.int64)
    counts[looked.present] = looked.counts
    boxes = counts[said].tolist()
    shown = np.repeat(said[looked.present], looked.counts)
    words = [ways[place].said for place in places]
    _, middle, end = looked.ends.T
    return Columns(
        images=list(map(_IMAGE, questions)),
        tasks=repeat(TASK, len(places)),
        langs=[one.lang for one in words],
        tokens=[
            one.tokens + TOKENS_PER_BOX * count if count else one.absent_tokens
            for one, count in zip(words, boxes, strict=True)
        ],
        held=zip(map(_CATEGORY, questions), boxes, strict=True),
        ignored=int((end - middle)[said].sum()),
        boxes_px=looked.shown_px[shown],
        sizes_wh=np.repeat(looked.sizes_wh, looked.counts, axis=0)[shown],
    )
