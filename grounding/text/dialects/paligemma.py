"""PaliGemma's boxes: `<loc0123>` four times, as y0 x0 y1 x1, in 1024ths of the sides, and a label; `;` between objects.

An empty answer says nothing here: PaliGemma gives one where it finds nothing, but so does a model that is broken.
Source: big_vision's PaliGemma README, supervision's reader.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from grounding.text.dialects.codec import YXYX, Dialect
from grounding.text.grid import Scale
from grounding.text.reading import Part

DIGITS = 4
_RUN = re.compile(r"<loc[^<>]*(?:>\s*<loc[^<>]*)*(?P<closed>>)?")
_TOKEN = re.compile(r"<loc([^<>]*)")


def _parts(text: str) -> list[Part]:
    """Each run of location tokens; it closes where its last token does."""
    runs = enumerate(_RUN.finditer(text))
    return [Part(group, run.start(), run.end(), run["closed"] is not None) for group, run in runs]


def _group(cells: NDArray[np.int64], phrase: str) -> str:
    return " ; ".join(f"{''.join(f'<loc{cell:0{DIGITS}d}>' for cell in box)} {phrase}" for box in cells.tolist())


PALIGEMMA = Dialect(
    name="paligemma",
    form="<locY0><locX0><locY1><locX1> ... ; ..., 0000-1023",
    scale=Scale(1024, 1023),
    parts=_parts,
    fields=_TOKEN.findall,
    group=_group,
    digits=DIGITS,
    order=YXYX,
)
