"""CogVLM's and CogAgent's boxes: `[[x0,y0,x1,y1;...]]`, thousandths of the sides, 000 to 999. This project's own."""

from __future__ import annotations

from grounding.text.dialects.codec import Dialect
from grounding.text.grammar import NEXT_NUMBER, group_parts, write_group
from grounding.text.grid import DIGITS, GRID

COGVLM = Dialect(
    name="cogvlm",
    form="[[x0,y0,x1,y1;...]], 000-999",
    scale=GRID,
    parts=group_parts,
    fields=lambda part: part.split(NEXT_NUMBER),
    group=lambda cells, _: write_group(cells),
    digits=DIGITS,
)
