"""JSON from a user to typed records; what is wrong is told by key, what was found, what is allowed. Knows no Sample."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from grounding.errors import InputError

T = TypeVar("T")

_BOM = b"\xef\xbb\xbf"
_AT = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<key>.*)`)?", re.DOTALL)
_FIELD = re.compile(r"Object (?P<what>contains unknown|missing required) field `(?P<name>.*)`", re.DOTALL)


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number, counted from 1, and bytes of each line of a file that is not blank; a byte order mark is passed over.

    Only a line feed ends a line: JSON text may hold the other characters that Python takes for line ends.

    Raises:
        InputError: the file is not there or cannot be read.
    """
    return ((number, content) for number, _, content in read_places(path))


def read_places(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """As `read_lines`, with the byte at which each line starts between the two."""
    try:
        with Path(path).open("rb") as file:
            at = 0
            for number, line in enumerate(file, start=1):
                start = at + (len(_BOM) if number == 1 and line.startswith(_BOM) else 0)
                content = line[start - at :].strip()
                at += len(line)
                if content:
                    yield number, start, content
    except OSError as error:
        raise _unreadable(path, error) from error


def read_whole(path: Path) -> bytes:
    """The bytes of a file without its byte order mark.

    Raises:
        InputError: the file is not there or cannot be read.
    """
    try:
        return Path(path).read_bytes().removeprefix(_BOM)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"this file cannot be read: {error.strerror or error}.", where=str(path), fix="Check the path.")


def decode(content: bytes, decoder: msgspec.json.Decoder[T], allowed: Mapping[str, Sequence[str]] | None = None) -> T:
    """A typed record from JSON.

    Args:
        content: UTF-8 JSON.
        decoder: of a Struct type.
        allowed: for keys with a fixed choice of words, these words.

    Raises:
        ValueError: one sentence that names the key, what was found and what is allowed.
    """
    try:
        return decoder.decode(content)
    except msgspec.ValidationError as error:
        raise ValueError(_explain(str(error), decoder.type, allowed or {})) from error
    except msgspec.DecodeError as error:
        raise ValueError(f"this is not one whole JSON value: {error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"this is not UTF-8 text: byte 0x{error.object[error.start]:02x}, {error.reason}") from error
    except RecursionError as error:
        raise ValueError("this JSON is nested too deeply to be read") from error


def _explain(message: str, struct: type, allowed: Mapping[str, Sequence[str]]) -> str:
    """msgspec's message with the key first and with what is allowed at the end."""
    match = _AT.fullmatch(message)
    what, key = (match["what"], match["key"]) if match else (message, None)
    field = _FIELD.fullmatch(what)
    place = f" in `{key}`" if key else ""
    if field and field["what"].startswith("missing"):
        return f"the key `{field['name']}` is missing{place}"
    if field:
        names = ", ".join(info.encode_name for info in msgspec.structs.fields(struct))
        return f"the key `{field['name']}` is not known{place}" + ("" if key else f"; the keys are {names}")
    words = allowed.get(key.rsplit(".", 1)[-1]) if key else None
    choice = f"; allowed are {', '.join(words)}" if words else ""
    what = what[:1].lower() + what[1:]
    return f"`{key}`: {what}{choice}" if key else f"{what}{choice}"
