"""The form in which a family of models writes boxes: its scale, its order of numbers, how a text is taken apart.

Knows what all forms have in common; each family's own is one small file beside this one. A form is declared by the user
and never guessed: the same four numbers are another box on another scale.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grounding.text.grammar import Written, in_order
from grounding.text.grid import Scale
from grounding.text.reading import Box, Part, Reading, read_answer, read_corners

Cells = NDArray[np.int64]

XYXY = (0, 1, 2, 3)
YXYX = (1, 0, 3, 2)


@dataclass(frozen=True)
class Dialect:
    """A family's box text.

    Attributes:
        name: as given to `--dialect`.
        form: how a box looks, for people.
        scale: what its numbers mean.
        parts: finds the places where boxes should stand, in a text in plain characters.
        fields: the pieces of a part that should be numbers, in the order of the text.
        group: the text of boxes, int64[N, 4] in the order of the text, with what was asked for.
        digits: how many a number may have.
        order: the place in the text of each of x0, y0, x1, y1.
        says_none: the form's own way to say that there is no box, as a whole answer.
    """

    name: str
    form: str
    scale: Scale
    parts: Callable[[str], Iterable[Part]]
    fields: Callable[[str], list[str]]
    group: Callable[[Cells, str], str]
    digits: int
    order: tuple[int, int, int, int] = XYXY
    says_none: re.Pattern[str] | None = None

    def read(self, text: str, size_wh: tuple[float, float], not_found: Mapping[str, str] | None = None) -> Reading:
        """What an answer says about a frame of this size, corners as x0, y0, x1, y1 in cells of `scale`.

        It never raises over a text, and refuses bad parts alone (see `reading.read_answer`).
        """
        greatest = self.scale.greatest(size_wh)

        def read_part(part: str) -> Box | str:
            fields = self.fields(part)
            if len(fields) == len(self.order):
                fields = [fields[place] for place in self.order]
            return read_corners(fields, greatest, self.digits)

        return read_answer(text, self.parts, read_part, not_found, self.says_none)

    def write(self, xyxy_px: ArrayLike, size_wh: tuple[float, float], phrase: str = "object") -> Written:
        """Boxes in pixels as text; their order is (y0, x0, y1, x1) of the cells, doubles are kept.

        Raises:
            ValueError: as `grammar.write_boxes`; or the text would not read back because of the phrase.
        """
        cells, widened = self.scale.to_cells(xyxy_px, size_wh)
        ordered = in_order(cells)
        text = self.group(ordered[:, self.order], phrase)
        if not np.array_equal(self.read(text, size_wh).xyxy_grid, ordered):
            raise ValueError(f"boxes of {phrase!r} would not read back from {text!r}")
        return Written(text, widened)
