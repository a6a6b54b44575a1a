"""A dataset's lines: JSONL to Samples and back, in both styles. Knows no manifest and no image."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from itertools import chain, groupby, islice
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from grounding.errors import InputError, ManyErrors
from grounding.samples.atomic import atomic_path
from grounding.samples.conversations import Conversation, from_conversation, to_conversation
from grounding.samples.decoding import decode, read_places
from grounding.samples.lines import Lines
from grounding.samples.sample import LANGUAGES, TASKS, Sample, is_plain, problems

Style = Literal["pairs", "conversations"]
TOGETHER = 512  # samples that are looked at, encoded and written at once

_ALLOWED = {"task": TASKS, "lang": LANGUAGES, "from": ("human", "gpt")}
_pair = msgspec.json.Decoder(Sample)
_conversation = msgspec.json.Decoder(Conversation)
_encoder = msgspec.json.Encoder()
# A quote inside a JSON string is escaped, so this can only be a key.
_HAS_CONVERSATIONS = re.compile(rb'"conversations"\s*:')


def read_samples(path: Path) -> list[Sample]:
    """The samples of a JSONL file, in order; a line with the key `conversations` is read in that style.

    Blank lines are passed over. Each sample is checked by itself (`sample.problems`) and ids must be unique. Whether a
    label says what the boxes say, and whether the images are there, is not looked at.

    Raises:
        InputError: the file cannot be read or has no samples; or lines are wrong: each is told with file and line, the
            key, what was found and what is allowed, all of them at once.
    """
    return [sample for _, some, _ in _checked(Path(path)) for sample in some]


def open_samples(path: Path, faults: list[InputError] | None = None) -> Sequence[Sample]:
    """The same samples, checked as by `read_samples`, but left in their file and read again each time they are used.

    A file with conversations is read whole: a line of it may hold several samples.

    Args:
        faults: where given, lines that are wrong are left out and told here, an error for each.

    Raises:
        InputError: as `read_samples`; without those that go into `faults`.
    """
    path = Path(path)
    offsets, ids = array("q"), []
    again: Callable[[bytes], Sample] = _pair.decode
    for offset, some, has_conversations in _checked(path, faults):
        if len(some) != 1:
            return [sample for _, some, _ in _checked(path, faults) for sample in some]
        if has_conversations:
            again = _one_of_line
        offsets.append(offset)
        ids.append(some[0].id)
    return Lines(path, np.array(offsets, dtype=np.int64), again, ids=ids)


def _checked(path: Path, faults: list[InputError] | None = None) -> Iterator[tuple[int, list[Sample], bool]]:
    """Where each sound line starts, its samples, and whether it is a conversation.

    What is wrong comes last: added to `faults`, an error a line, or raised where there is no such list.
    """
    line_of: dict[str, int] = {}
    found: list[tuple[int, str]] = []
    for number, offset, content in read_places(path):
        has_conversations = _has_conversations(content)
        try:
            read = _read_line(content, has_conversations)
        except ValueError as error:
            found.append((number, str(error)))
            continue
        before = len(found)
        for sample in read:
            found += [(number, problem) for problem in problems(sample)]
            if sample.id in line_of:
                first = line_of[sample.id]
                found.append((number, f"`id` {sample.id!r} stands in line {first} already; ids must be unique"))
            line_of.setdefault(sample.id, number)
        if len(found) == before:
            yield offset, read, has_conversations
    if faults is not None and found:
        by_line = groupby(found, key=itemgetter(0))
        faults += [InputError("; ".join(what for _, what in some), where=f"{path}:{n}") for n, some in by_line]
        return
    if len(found) == 1:
        raise InputError(f"{found[0][1]}.", where=f"{path}:{found[0][0]}")
    if found:
        problems_here = [InputError(what, where=f"{path}:{number}") for number, what in found]
        raise ManyErrors(f"{path}: these lines cannot be used", problems_here)
    if not line_of:
        raise InputError("no samples: the file is empty.", where=str(path), fix="One sample a line is needed.")


def _one_of_line(content: bytes) -> Sample:
    """The sample of a line that was looked at before and has one."""
    if _has_conversations(content):
        return _read_line(content.strip(), True)[0]
    return _pair.decode(content)


def _read_line(content: bytes, has_conversations: bool) -> list[Sample]:
    """The samples of one line, which is a conversation or not.

    Raises:
        ValueError: what is wrong with it.
    """
    if content.startswith(b"["):
        raise ValueError("found a JSON array; one JSON object a line is needed (JSONL)")
    if content.startswith(b'{"messages"'):
        raise ValueError("found a line of ms-swift's; `grounding convert FILE --format swift` makes a sample of it")
    if has_conversations:
        return from_conversation(decode(content, _conversation, _ALLOWED))
    return [decode(content, _pair, _ALLOWED)]


def _has_conversations(content: bytes) -> bool:
    """Whether the line has that key; most have not even the word, which is quicker to see."""
    return b'"conversations"' in content and _HAS_CONVERSATIONS.search(content) is not None


def lines_of_file(path: Path) -> Sequence[Sample]:
    """The samples of a file that `write_samples` wrote, left there and read when they are asked for.

    Raises:
        InputError: the file cannot be read.
    """
    offsets = array("q", [0])
    try:
        with path.open("rb") as file:
            while line := file.readline():
                offsets.append(offsets[-1] + len(line))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error
    return Lines(path, np.array(offsets[:-1], dtype=np.int64), _one_of_line, ids=())


def write_samples(path: Path, samples: Iterable[Sample], style: Style = "pairs") -> None:
    """Writes samples as JSONL, one a line, keys in the contract's order, under a temporary name first.

    Raises:
        InputError, RunError: as `write_lines`.
    """
    if style not in ("pairs", "conversations"):
        raise InputError(f"there is no style {style!r}; there are pairs and conversations.")
    if style == "conversations":
        write_lines(path, samples, to_conversation)
    else:
        _write(path, samples, pair_lines)


def pair_lines(samples: Sequence[Sample]) -> bytes:
    """Lines of pairs: the samples as they are, without the keys that say nothing. Nothing is looked at.

    Raises:
        UnicodeEncodeError: a text holds half a surrogate pair.
    """
    lines = _encoder.encode_lines(samples)
    # A quote inside a JSON string is escaped, so these can only be keys.
    if any(map(attrgetter("upright"), samples)) or any(map(attrgetter("history"), samples)):
        return lines.replace(b',"upright":false', b"").replace(b',"history":[]}', b"}")
    return lines.replace(b',"upright":false,"history":[]}', b"}")


def write_lines(path: Path, samples: Iterable[Sample], to_line: Callable[[Sample], Any]) -> None:
    """Writes what `to_line` makes of each sample as JSONL, under a temporary name first.

    Raises:
        InputError: a sample that could not be read again: something about it is wrong, an id stands twice, or a text
            holds half a surrogate pair. Nothing is written then.
        RunError: the file cannot be written.
    """
    _write(path, samples, lambda some: _encoder.encode_lines(map(to_line, some)))


def _write(path: Path, samples: Iterable[Sample], encode: Callable[[Sequence[Sample]], bytes]) -> None:
    with atomic_path(Path(path)) as temporary, temporary.open("wb") as file:
        for some in _sound_batches(samples):
            file.write(_encoded(some, encode))


def _encoded(samples: Sequence[Sample], encode: Callable[[Sequence[Sample]], bytes]) -> bytes:
    """What `encode` makes of the samples. Raises InputError at the first with half a surrogate pair."""
    try:
        return encode(samples)
    except UnicodeEncodeError as error:
        if len(samples) > 1:
            return b"".join(_encoded([sample], encode) for sample in samples)
        raise InputError(f"its text is not valid Unicode: {error}.", where=f"sample {samples[0].id!r}") from error


def sound(samples: Iterable[Sample]) -> Iterator[Sample]:
    """The same samples. Raises InputError at one that something is wrong about, or whose id stood before."""
    return chain.from_iterable(_sound_batches(samples))


def _sound_batches(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    """The same, some at a time; one that is wrong is raised before any of its batch is given."""
    waiting, ids = iter(samples), set[str]()
    while some := list(islice(waiting, TOGETHER)):
        new = set(map(attrgetter("id"), some))
        if len(new) < len(some) or not ids.isdisjoint(new) or not all(map(is_plain, some)):
            _check_each(some, ids)
        ids |= new
        yield some


def _check_each(samples: Sequence[Sample], before: Set[str]) -> None:
    """Raises InputError at the first that something is wrong about, or whose id stood before."""
    ids = set(before)
    for sample in samples:
        wrong = list(problems(sample))
        if sample.id in ids:
            wrong.append("its id stands twice; ids must be unique")
        if wrong:
            raise InputError(f"{'; '.join(wrong)}.", where=f"sample {sample.id!r}")
        ids.add(sample.id)
