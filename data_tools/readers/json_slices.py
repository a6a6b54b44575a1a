"""A large JSON object of lists, read in slices of whole elements, so that the document never is in memory at once.

A list is cut where one object ends and the next begins (`}, {`). Such a place may lie deeper, inside an element; but a
slice that starts at an element and is a sound JSON list in brackets can only end at one. So each cut is proved by
decoding, and whatever is not of this kind raises `NotSliced`: the caller then reads the document whole.
Knows no format.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from data_tools.readers.documents import BOM, NOT_STRICT, cannot_be_read

SLICE = 1 << 20  # bytes of a list that are decoded together; so few stay in the cache of a core
HEAD = 1 << 16  # bytes in which the key of a member, and the value of one that is passed over, must lie
TRIED = 8  # places of each kind at which a slice may seem to end, before it is given up

_START = re.compile(rb"\s*\{")
_KEY = re.compile(rb'\s*"([^"\\]*)"\s*:\s*')
_NEXT = re.compile(rb"\s*([,}])")
_CUT = re.compile(rb"\}\s*,\s*\{")
_END = re.compile(rb"\}\s*\]")
_EMPTY = re.compile(rb"\s*\]")

Text = bytes | memoryview
Decode = Callable[[Text], list[Any]]  # raises one of NOT_STRICT where the text is no sound JSON


class NotSliced(Exception):
    """The document cannot be read in slices; it may be sound all the same."""


class Slice(NamedTuple):
    """Some elements of the list `key`; their text is bytes start..end of the file."""

    key: str
    elements: list[Any]
    start: int
    end: int


def digest_of(path: Path) -> str:
    """sha256 of a file without its byte order mark, read piece by piece. Raises InputError where it cannot be read."""
    try:
        with path.open("rb") as file:
            if file.read(len(BOM)) != BOM:
                file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise cannot_be_read(path, error) from error


def read_slices(path: Path, decoders: Mapping[str, Decode], size: int = SLICE) -> Iterator[Slice]:
    """The elements of the lists that `decoders` names, in the order of the file; other members are passed over.

    Raises:
        NotSliced: one of the lists is missing, stands twice or cannot be cut, or the file is no sound JSON.
        InputError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            yield from _members(file, decoders, size)
    except OSError as error:
        raise cannot_be_read(path, error) from error


def text_of_slice(path: Path, piece: Slice) -> bytes:
    """The elements of a slice once more, as the text of a JSON list."""
    with path.open("rb") as file:
        return b"[" + _at(file, piece.start, piece.end - piece.start) + b"]"


def _members(file: BufferedReader, decoders: Mapping[str, Decode], size: int) -> Iterator[Slice]:
    offset = len(BOM) if _at(file, 0, len(BOM)) == BOM else 0
    offset += _match(_START, _at(file, offset, HEAD)).end()
    missing = set(decoders)
    while True:
        head = _at(file, offset, HEAD)
        key = _match(_KEY, head)
        name, after = key[1].decode("utf-8", errors="replace"), key.end()
        if name not in decoders:
            offset += _end_of_value(head, after)
        elif name in missing and head[after : after + 1] == b"[":
            missing.remove(name)
            offset = yield from _list(file, name, decoders[name], offset + after + 1, size)
        else:
            raise NotSliced
        mark = _match(_NEXT, _at(file, offset, HEAD))
        offset += mark.end()
        if mark[1] == b"}":
            break
    if missing or _at(file, offset, HEAD).strip():
        raise NotSliced


def _list(file: BufferedReader, name: str, decode: Decode, offset: int, size: int) -> Generator[Slice, None, int]:
    """Yields the slices of a list whose first element starts at `offset`; returns where the list ends."""
    if empty := _EMPTY.match(_at(file, offset, HEAD)):
        return offset + empty.end()
    room = bytearray(size + 2)  # the elements in brackets, so that they are a list without being copied
    room[:1] = b"["
    while True:
        file.seek(offset)
        read = file.readinto(memoryview(room)[1:-1])
        proved = ((*place, _decoded(room, place[0], decode)) for place in _ends(room, read + 1))
        end, behind, elements = next((proof for proof in proved if proof[2] is not None), (0, 0, None))
        if elements is None:
            raise NotSliced
        yield Slice(name, elements, offset, offset + end - 1)
        offset += behind - 1
        if room[behind - 1 : behind] == b"]":
            return offset


def _ends(room: bytearray, filled: int) -> Iterator[tuple[int, int]]:
    """Where a run of whole elements may end among the filled bytes, and where it goes on: at the next or behind `]`."""
    cuts = _cuts(room, filled)
    yield from islice(cuts, 1)
    yield from ((found.start() + 1, found.end()) for found in islice(_END.finditer(room, 1, filled), TRIED))
    yield from islice(cuts, TRIED)


def _cuts(room: bytearray, filled: int) -> Iterator[tuple[int, int]]:
    """Places between two objects, from the last one on."""
    end = filled
    while (end := room.rfind(b"}", 1, end)) > 1:
        if found := _CUT.match(room, end, filled):
            yield end + 1, found.end() - 1


def _decoded(room: bytearray, end: int, decode: Decode) -> list[Any] | None:
    """The elements up to there, where they are a sound list with a bracket behind; it does not stay in the room."""
    behind, room[end] = room[end], ord("]")
    try:
        return decode(memoryview(room)[: end + 1])
    except NOT_STRICT:
        return None
    finally:
        room[end] = behind


def _end_of_value(head: bytes, start: int) -> int:
    """Where the value that starts there ends. As Latin-1 each byte is one character; JSON's own marks are ASCII."""
    try:
        return json.JSONDecoder().raw_decode(head.decode("latin-1"), start)[1]
    except (ValueError, RecursionError) as error:
        raise NotSliced from error


def _match(pattern: re.Pattern[bytes], text: bytes) -> re.Match[bytes]:
    found = pattern.match(text)
    if found is None:
        raise NotSliced
    return found


def _at(file: BufferedReader, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)
