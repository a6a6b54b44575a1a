"""What every reader asks of single values: is this a file name below a root, a size, a box, a class name?

Knows no format; answers with the value made plain, or with a reason of `data_tools.reasons`.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from pathlib import PurePosixPath, PureWindowsPath

from data_tools.records import XYXY
from grounding.samples import Lang

LONGEST = 1 << 31  # px that no side of an image reaches
_PLAIN_NAME = re.compile(r"(?:\w[\w-]*/)*\w[\w-]*(?:\.\w+)?", re.ASCII)  # what nearly all names are
_CHINESE = re.compile(r"[\u3400-\u9fff]")


def text_of(value: object) -> str | None:
    """The value as a non-empty string that can be written as UTF-8, without blanks around it; None for all else."""
    if not isinstance(value, str) or not (text := value.strip()):
        return None
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:  # half a surrogate pair, which JSON can spell
            return None
    return text


def class_name(value: object) -> str | None:
    """The value as a class name, None where nothing of it would be left in a prompt."""
    text = text_of(value)
    return text if text and phrase_of(text) else None


def clean_name(value: object) -> str | None:
    """A path below the image root with single slashes, or None where it is empty, absolute or climbs with `..`."""
    if isinstance(value, str) and _PLAIN_NAME.fullmatch(value):
        return value
    if text_of(value) is None or not isinstance(value, str) or "\0" in value or PureWindowsPath(value).drive:
        return None
    path = PurePosixPath(value.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.name:
        return None
    return str(path)


def stated_size(width: object, height: object) -> tuple[int, int] | None:
    """(width, height) in px where both are whole positive numbers (640 or 640.0), else None."""
    if type(width) is int and type(height) is int and 0 < width < LONGEST and 0 < height < LONGEST:  # nearly all
        return width, height
    size = (_whole(width), _whole(height))
    return size if size[0] and size[1] else None  # type: ignore[return-value]  # neither is None or 0


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < LONGEST:
        return None
    return int(value) if value == int(value) else None


def four_numbers(value: object) -> XYXY | None:
    """The value as four floats (NaN and infinity included), or None."""
    if not isinstance(value, list | tuple) or len(value) != 4:
        return None
    if any(isinstance(number, bool) or not isinstance(number, int | float) for number in value):
        return None
    try:
        x, y, z, w = (float(number) for number in value)
    except OverflowError:  # an integer of hundreds of digits
        return (math.inf,) * 4
    return x, y, z, w


def box_fault(xyxy: XYXY) -> str | None:
    """The reason to refuse these corners, whatever the image: not_finite, negative_area or zero_area; None if sound."""
    if not all(map(math.isfinite, xyxy)):
        return "not_finite"
    width, height = xyxy[2] - xyxy[0], xyxy[3] - xyxy[1]
    if width < 0 or height < 0:
        return "negative_area"
    return "zero_area" if width == 0 or height == 0 else None


def is_id(value: object) -> bool:
    """Whether a value can be an id: a number or a string, hashable and equal to itself."""
    return isinstance(value, (int, float, str)) and not isinstance(value, bool) and value == value


@lru_cache(maxsize=1 << 16)
def phrase_of(category: str) -> str:
    """The class name as asked for in a prompt: underscores become spaces, runs of blanks one space."""
    return " ".join(category.replace("_", " ").split())


def lang_of(text: str) -> Lang:
    """The language of someone's words: Chinese where there is a Chinese character among them, else English."""
    return "zh" if _CHINESE.search(text) else "en"
