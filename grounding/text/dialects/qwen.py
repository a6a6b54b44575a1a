"""Qwen's boxes as JSON: pixels of the resized image in Qwen2.5-VL, thousandths of the sides in Qwen3-VL.

Also reads the older `<|box_start|>(x0,y0),(x1,y1)<|box_end|>`. An empty JSON list and a null box say "not found".
Sources: transformers' image processor of Qwen2-VL for the resizing; QwenLM/Qwen3-VL#721, #1161 for the scales.
"""

from __future__ import annotations

import json
import math
import re
from functools import partial

import numpy as np
from numpy.typing import NDArray

from grounding.errors import InputError
from grounding.text.dialects.codec import Dialect
from grounding.text.grid import Scale
from grounding.text.reading import Part, trimmed

PATCH = 28  # pixels of a side that one token of Qwen2.5-VL sees: two patches of 14
MIN_PIXELS, MAX_PIXELS = 56 * 56, 16384 * PATCH * PATCH  # as the published checkpoints' preprocessor_config.json says
MOST_ASPECT = 200

_OPEN = re.compile(r'"bbox_2d"\s*:\s*(?P<list>\[)?|<\|box_start\|>')
_PAIRS = re.compile(r"\(([^(),]*),([^(),]*)\)\s*,\s*\(([^(),]*),([^(),]*)\)")
_NULL = r'\{\s*"bbox_2d"\s*:\s*null\s*(?:,\s*"label"\s*:\s*"[^"]*"\s*)?\}'
_NONE = re.compile(rf"(?:```(?:json)?\s*)?(?:\[\s*\]|{_NULL}|\[\s*{_NULL}\s*\])(?:\s*```)?")


def smart_resize(
    size_wh: tuple[float, float], min_pixels: int = MIN_PIXELS, max_pixels: int = MAX_PIXELS
) -> tuple[int, int]:
    """(width, height) of the image as Qwen2.5-VL sees it: multiples of 28, the aspect kept as well as may be, the area
    within bounds.

    Raises:
        InputError: one side is more than 200 times the other, which its processor refuses.
    """
    width, height = size_wh
    if max(size_wh) > MOST_ASPECT * min(size_wh):
        raise InputError(
            f"an image of {width:g} x {height:g}: Qwen2.5-VL takes none with a side {MOST_ASPECT} times the other."
        )
    # round() goes to the even number at a half, here as there.
    wide, high = round(width / PATCH) * PATCH, round(height / PATCH) * PATCH
    if wide * high > max_pixels:
        shrink = math.sqrt(width * height / max_pixels)
        wide, high = (max(PATCH, math.floor(side / shrink / PATCH) * PATCH) for side in size_wh)
    elif wide * high < min_pixels:
        grow = math.sqrt(min_pixels / (width * height))
        wide, high = (math.ceil(side * grow / PATCH) * PATCH for side in size_wh)
    return wide, high


def qwen25_vl(min_pixels: int = MIN_PIXELS, max_pixels: int = MAX_PIXELS) -> Dialect:
    """Qwen2.5-VL, with the bounds of the area that its processor was set to."""
    resized = partial(smart_resize, min_pixels=min_pixels, max_pixels=max_pixels)
    return _qwen("qwen2.5-vl", "pixels of the resized image", Scale(None, resized=resized), digits=5)


def qwen3_vl() -> Dialect:
    """Qwen3-VL and Qwen3.5."""
    return _qwen("qwen3-vl", "0-1000", Scale(1000), digits=4)


def _qwen(name: str, unit: str, scale: Scale, digits: int) -> Dialect:
    return Dialect(
        name=name,
        form=f'[{{"bbox_2d": [x0, y0, x1, y1], "label": "..."}}], {unit}',
        scale=scale,
        parts=_parts,
        fields=_fields,
        group=_group,
        digits=digits,
        says_none=_NONE,
    )


def _parts(text: str) -> list[Part]:
    """What stands in each `bbox_2d` and between each pair of box tokens; all of an answer is one group."""
    opened = list(_OPEN.finditer(text))
    starts = [*(mark.start() for mark in opened), len(text)]
    parts = []
    for mark, limit in zip(opened, starts[1:], strict=True):
        closing = "<|box_end|>" if mark[0].startswith("<") else "]" if mark["list"] else "}"
        end = text.find(closing, mark.end(), limit)
        start, stop = trimmed(text, mark.end(), limit if end < 0 else end)
        parts.append(Part(0, start, stop, end >= 0))
    return parts


def _fields(part: str) -> list[str]:
    pairs = _PAIRS.fullmatch(part)
    return list(pairs.groups()) if pairs else part.split(",")


def _group(cells: NDArray[np.int64], phrase: str) -> str:
    label = json.dumps(phrase, ensure_ascii=False)
    objects = (f'\t{{"bbox_2d": {box}, "label": {label}}}' for box in cells.tolist())
    return "```json\n[\n" + ",\n".join(objects) + "\n]\n```"
