"""InternVL's boxes: `<ref>name</ref><box>[[x0, y0, x1, y1], ...]]</box>`, thousandths of the sides, 0 to 1000.

The tags may be missing: a tokenizer that skips special tokens removes them. Sources: OpenGVLab/InternVL#58, #844.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from grounding.text.dialects.codec import Dialect
from grounding.text.grid import Scale
from grounding.text.reading import split_groups

_MARK = re.compile(r"(?P<open>\[\s*\[(?!\s*\[))|(?P<close>\]\s*\])|\]\s*,\s*\[")


def _group(cells: NDArray[np.int64], phrase: str) -> str:
    return f"<ref>{phrase}</ref><box>{cells.tolist()}</box>"


INTERNVL = Dialect(
    name="internvl",
    form="<ref>...</ref><box>[[x0, y0, x1, y1], ...]</box>, 0-1000",
    scale=Scale(1000),
    parts=lambda text: split_groups(text, _MARK),
    fields=lambda part: part.split(","),
    group=_group,
    digits=4,
)
