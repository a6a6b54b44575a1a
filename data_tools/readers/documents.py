"""Annotation files as typed entries: JSON and JSON Lines, fast where the text is sound, patient where it is not.

The fast way decodes straight into types and skips what no type asks for. Where it fails the standard library reads the
text anew: it takes the NaN and Infinity that Python writes and JSON does not have, and other encodings of Unicode, and
each entry is judged by itself. Knows no format.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from grounding.errors import InputError

T = TypeVar("T")
Entry = TypeVar("Entry", bound=msgspec.Struct)

BOM = b"\xef\xbb\xbf"
NOT_STRICT = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # what the fast way raises


def read_bytes(path: Path | str) -> bytes:
    """The content of a file without its byte order mark. Raises InputError where it cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123  (twice as quick, where there are very many)
            return file.read().removeprefix(BOM)
    except OSError as error:
        raise cannot_be_read(path, error) from error


def cannot_be_read(path: Path | str, error: OSError) -> InputError:
    """What to raise for a file that the system does not give."""
    problem = "is a folder, where a file is needed" if isinstance(error, IsADirectoryError) else None
    return InputError(problem or f"cannot be read: {error.strerror}", where=str(path))


def load_patiently(content: bytes, path: Path) -> object:
    """The document behind JSON text. Raises InputError naming file and line where it is none."""
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        raise InputError(
            f"is no JSON: {error.msg} (column {error.colno})",
            where=f"{path}:{error.lineno}",
            fix="Write the file anew.",
        ) from error
    except RecursionError as error:
        raise InputError("is nested too deeply to be an annotation file", where=str(path)) from error
    except ValueError as error:  # no Unicode text, or a number of thousands of digits
        raise InputError(f"is no JSON: {error}", where=str(path)) from error


def convert_entries(entries: Sequence[object], kind: type[Entry]) -> list[Entry | None]:
    """The entries of a list as a type whose fields take anything; None for one that is no JSON object."""
    return [msgspec.convert(entry, kind) if isinstance(entry, dict) else None for entry in entries]


def load_entries(content: bytes, kind: type[Entry], path: Path) -> list[Entry | None]:
    """The entries of a document that is one list. Raises InputError where it is none."""
    try:
        return msgspec.json.decode(content, type=list[kind | None])  # type: ignore[valid-type]
    except NOT_STRICT:
        document = load_patiently(content, path)
    if not isinstance(document, list):
        raise InputError(f"a list is needed; found a {type(document).__name__}", where=str(path))
    return convert_entries(document, kind)


def entry_of(content: bytes, kind: type[Entry]) -> Entry | None:
    """The JSON object that a text is, as a type whose fields take anything; None where it is none."""
    try:
        return msgspec.json.decode(content, type=kind)
    except NOT_STRICT:
        return _entry_patiently(content, kind)


def lines_of(content: bytes, kind: type[Entry]) -> Iterator[tuple[int, Entry | None]]:
    """(number from 1, entry) of each line that is not blank; None for one that is no JSON object."""
    decoder = msgspec.json.Decoder(kind)
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            yield number, decoder.decode(line)
        except NOT_STRICT:
            yield number, _entry_patiently(line, kind)


def _entry_patiently(content: bytes, kind: type[Entry]) -> Entry | None:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return msgspec.convert(document, kind) if isinstance(document, dict) else None
