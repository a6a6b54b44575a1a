"""What may follow the beginning of an answer, byte by byte, so that the whole answer can be read.

An answer is the words of one answer template around one group of boxes as the writer writes them, or a not-found
sentence. Knows texts as UTF-8 bytes, since a token may hold a part of a character; no tokens and no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from grounding.text.grammar import read_boxes
from grounding.text.grid import DIGITS, LAST_CELL
from grounding.text.prompts import Wording, fill_answer
from grounding.text.reading import is_not_found

OPEN, CLOSE, NEXT_BOX, NEXT_NUMBER = b"[[", b"]]", ord(";"), ord(",")
LAST_START = LAST_CELL - 1
"""No box starts later: it is at least one cell wide and high."""
NUMBERS = 4
BOX_BYTES = NUMBERS * DIGITS + NUMBERS - 1

Box = tuple[int, int, int, int]


class Frame(NamedTuple):
    """The words of an answer before and behind its boxes."""

    before: str
    after: str


class Boxes(NamedTuple):
    """A place inside a group: the box before this one, how many are whole, the numbers of this one, and its digits."""

    previous: Box | None = None
    whole: int = 0
    numbers: tuple[int, ...] = ()
    digits: bytes = b""

    def range(self) -> tuple[int, int]:
        """The least and the greatest number that may stand here.

        x0 < x1 and y0 < y1, and (y0, x0, y1, x1) is not less than that of the box before. Within these bounds there is
        always a way to go on.
        """
        low, high = 0, LAST_START if len(self.numbers) < 2 else LAST_CELL
        if len(self.numbers) >= 2:
            low = self.numbers[len(self.numbers) - 2] + 1
        if self.previous is not None:
            low = max(low, self._not_before(*self.previous))
        return low, high

    def _not_before(self, x0: int, y0: int, x1: int, y1: int) -> int:
        """The least number here that lets this box stand behind (x0, y0, x1, y1)."""
        if len(self.numbers) == 0:
            return x0 if y0 == LAST_START else 0
        if len(self.numbers) == 1:
            return y0 if self.numbers[0] >= x0 else y0 + 1
        if self.numbers[:2] != (x0, y0):
            return 0
        if len(self.numbers) == 2:
            return x1 if y1 == LAST_CELL else 0
        return y1 if self.numbers[2] >= x1 else y1 + 1

    def step(self, byte: int, most: int) -> Boxes | None:
        """Behind one more byte that does not close the group; None where it must not stand here."""
        if len(self.digits) < DIGITS:
            if not ord("0") <= byte <= ord("9"):
                return None
            digits = self.digits + bytes([byte])
            rest = DIGITS - len(digits)
            least, greatest = int(digits) * 10**rest, (int(digits) + 1) * 10**rest - 1
            low, high = self.range()
            return self._replace(digits=digits) if least <= high and greatest >= low else None
        numbers = (*self.numbers, int(self.digits))
        if len(numbers) < NUMBERS:
            return Boxes(self.previous, self.whole, numbers) if byte == NEXT_NUMBER else None
        x0, y0, x1, y1 = numbers
        return Boxes((x0, y0, x1, y1), self.whole + 1) if byte == NEXT_BOX and self.whole + 1 < most else None

    @property
    def closes(self) -> bool:
        """Whether the group may close here."""
        return self.missing == 0

    @property
    def missing(self) -> int:
        """Bytes that this box still needs."""
        written = len(self.numbers) * (DIGITS + 1) + len(self.digits)
        return BOX_BYTES - written


class Thread(NamedTuple):
    """One way to read what was written: in a text (one of the automaton's), at a byte of it, or inside a group."""

    text: int
    at: int
    boxes: Boxes | None = None


State = frozenset[Thread]
"""All ways to read what was written; empty where it cannot be the beginning of an answer."""


class Automaton:
    """Accepts frames with boxes between their words, and sentences.

    Args:
        frames: allowed words around the group.
        sentences: allowed whole answers, not-found sentences.
        max_boxes: how many boxes a group may have.

    Attributes:
        start: the state before the first byte.
    """

    def __init__(self, frames: Iterable[Frame], sentences: Iterable[str], max_boxes: int) -> None:
        self.max_boxes = max_boxes
        # Each text with the place where its group stands, between `[[` and `]]`; -1: it has none.
        self._texts = [_text_with_place(frame) for frame in dict.fromkeys(frames)]
        self._texts += [(sentence.encode(), -1) for sentence in dict.fromkeys(sentences)]
        self.start: State = frozenset(self._arrive(number, 0) for number in range(len(self._texts)))

    def step(self, state: State, data: bytes) -> State:
        """The state behind some more bytes."""
        for byte in data:
            state = frozenset(thread for one in state for thread in self._next(one, byte))
        return state

    def may_end(self, state: State) -> bool:
        """Whether what was written is a whole answer."""
        return any(one.boxes is None and one.at == len(self._texts[one.text][0]) for one in state)

    def shortest(self, state: State) -> int:
        """Bytes that an answer lacks at least, in a state that is not empty."""
        return min(self._missing(one) for one in state)

    def next_bytes(self, state: State) -> list[int]:
        """The bytes that may come next, in order."""
        marks = [*range(ord("0"), ord("9") + 1), NEXT_NUMBER, NEXT_BOX, CLOSE[0]]
        found = {self._texts[one.text][0][one.at] for one in state if one.boxes is None and not self._ended(one)}
        found.update(mark for one in state if one.boxes is not None for mark in marks if any(self._next(one, mark)))
        return sorted(found)

    def has_words_of(self, label: str) -> bool:
        """Whether the words around a label's boxes, if it has any, are allowed; how many it has does not matter."""
        before, group, rest = label.partition(OPEN.decode())
        _, _, after = rest.rpartition(CLOSE.decode())
        return not group or _text_with_place(Frame(before, after)) in self._texts

    def forced(self, state: State) -> bytes:
        """The bytes that must follow, up to where there is a choice or the answer may end."""
        forced = bytearray()
        while not self.may_end(state) and len(nexts := self.next_bytes(state)) == 1:
            forced.append(nexts[0])
            state = self.step(state, bytes(nexts))
        return bytes(forced)

    def characters(self) -> set[str]:
        """All that answers are made of."""
        return {*"0123456789,;", *"".join(text.decode() for text, _ in self._texts)}

    def _next(self, thread: Thread, byte: int) -> Iterable[Thread]:
        text, _ = self._texts[thread.text]
        if thread.boxes is not None:
            inside = thread.boxes.step(byte, self.max_boxes)
            if inside is not None:
                yield thread._replace(boxes=inside)
            if not (thread.boxes.closes and byte == CLOSE[0]):
                return
        elif self._ended(thread) or text[thread.at] != byte:
            return
        yield self._arrive(thread.text, thread.at + 1)

    def _arrive(self, text: int, at: int) -> Thread:
        return Thread(text, at, Boxes() if at == self._texts[text][1] else None)

    def _ended(self, thread: Thread) -> bool:
        return thread.at == len(self._texts[thread.text][0])

    def _missing(self, thread: Thread) -> int:
        text, group = self._texts[thread.text]
        words = len(text) - thread.at
        if thread.boxes is not None:
            return thread.boxes.missing + words
        return words + (BOX_BYTES if thread.at < group else 0)


def _text_with_place(frame: Frame) -> tuple[bytes, int]:
    before, after = (words.encode() for words in frame)
    return before + OPEN + CLOSE + after, len(before) + len(OPEN)


def answer_automaton(
    wordings: Iterable[Wording],
    phrase: str | None,
    sentences: Iterable[str],
    max_boxes: int,
    not_found: Mapping[str, str] | None = None,
) -> Automaton:
    """The automaton of the answers that these wordings ask for.

    Words that would not read back are left out (a phrase may hold brackets, or a not-found sentence); bare boxes are
    always allowed.

    Args:
        wordings: whose answers are allowed.
        phrase: what stands for `{phrase}`; None: answers that hold it are left out.
        sentences: whole answers that say "not found".
        max_boxes: how many boxes an answer may have.
        not_found: sentence by language, as `read_boxes` takes it.

    Raises:
        ValueError: a sentence does not read as "not found".
    """
    sentences = list(sentences)
    for sentence in sentences:
        if not is_not_found(sentence, not_found):
            raise ValueError(f"{sentence!r} is no not-found sentence")
    frames = [Frame("", "")]
    for wording in wordings:
        if phrase is None and "{phrase}" in wording.answer:
            continue
        frame = _frame(wording, phrase or "")
        reading = read_boxes(f"{frame.before}[[000,000,{LAST_CELL},{LAST_CELL}]]{frame.after}", not_found)
        if len(reading.xyxy_grid) == 1 and not reading.refusals:
            frames.append(frame)
    return Automaton(frames, sentences, max_boxes)


def _frame(wording: Wording, phrase: str) -> Frame:
    """The filled words before and behind `{boxes}`; what is filled in may look like a placeholder."""
    before, after = (Wording("", side) for side in wording.answer.split("{boxes}"))
    return Frame(fill_answer(before, phrase, ""), fill_answer(after, phrase, ""))
