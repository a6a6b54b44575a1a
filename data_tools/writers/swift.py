"""Samples -> ms-swift's grounding JSON Lines: words with placeholders, boxes in pixels beside them.

`messages` hold <image>, <ref-object> for the phrase and a <bbox> for each box; `objects` has `ref` and `bbox` in the
order of the placeholders, corners in pixels ("real"), which ms-swift writes in the form of the model that it trains
(ms-swift 3.9, docs/source_en/Customization/Custom-dataset.md, "Grounding"). ms-swift passes over keys that it does not
know: `truth` keeps what else a Sample says, so that `--format swift` reads the same samples back. It is JSON in a
string, since ms-swift's loader takes the type of a column from the first lines, where a value may well be null.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from grounding.samples import Sample, write_lines
from grounding.text import to_grid, to_pixels

IMAGE, REF, BOX = "<image>", "<ref-object>", "<bbox>"
RESERVED = (IMAGE, REF, BOX, "<video>", "<audio>")
TRUTH = ("id", "width", "height", "phrase", "category", "boxes", "categories", "ignore", "task", "lang", "upright")
_GROUP = r"\[\[\d{3}(?:,\d{3}){3}(?:;\d{3}(?:,\d{3}){3})*\]\]"  # as `write_boxes` writes one


class _Placed:
    """The references and boxes of a sample, gathered in the order of their placeholders."""

    def __init__(self, sample: Sample) -> None:
        self.refs: list[str] = []
        self.boxes_px: list[list[float]] = []
        self._phrase = sample.phrase
        self._size_wh = (sample.width, sample.height)
        self._truth = [] if sample.boxes is None else sample.boxes

    def mark(self, text: str) -> str:
        """The text with placeholders for the phrase and, where the size of the frame is known, for groups of boxes."""
        known: dict[str, deque[list[float]]] | None = None

        def put(match: re.Match[str]) -> str:
            if match[0] == self._phrase:
                self.refs.append(match[0])
                return REF
            if self._size_wh[0] is None:
                return match[0]
            nonlocal known
            known = self._by_cells() if known is None else known
            boxes = [self._in_pixels(part, known) for part in match[0].strip("[]").split(";")]
            self.boxes_px += boxes
            return BOX * len(boxes)

        return _pattern(self._phrase).sub(put, text)

    def _by_cells(self) -> dict[str, deque[list[float]]]:
        """The true boxes by the text that is written for each."""
        known: dict[str, deque[list[float]]] = {}
        if self._truth:
            cells, _ = to_grid(self._truth, self._size_wh)  # type: ignore[arg-type]  # boxes have a frame
            for box, corners in zip(self._truth, cells.tolist(), strict=True):
                known.setdefault(",".join(f"{corner:03d}" for corner in corners), deque()).append(box)
        return known

    def _in_pixels(self, part: str, known: dict[str, deque[list[float]]]) -> list[float]:
        """The true box that a part of a group stands for, each once; where none is left, the part's own corners."""
        if known.get(part):
            return known[part].popleft()
        corners: list[float] = to_pixels([[int(cell) for cell in part.split(",")]], self._size_wh)[0].tolist()  # type: ignore[arg-type]
        return corners


@lru_cache(maxsize=4096)
def _pattern(phrase: str | None) -> re.Pattern[str]:
    """Groups of boxes, and the phrase where it is no part of a longer Latin word."""
    if not phrase:
        return re.compile(_GROUP)
    before = r"(?<![A-Za-z0-9_])" if re.match(r"[A-Za-z0-9_]", phrase) else ""
    behind = r"(?![A-Za-z0-9_])" if re.search(r"[A-Za-z0-9_]\Z", phrase) else ""
    return re.compile(f"{_GROUP}|{before}{re.escape(phrase)}{behind}")


def to_line(sample: Sample) -> dict[str, Any]:
    """The sample as a line; earlier turns come first, and the first asks about the image."""
    placed = _Placed(sample)
    messages = [
        {"role": role, "content": placed.mark(text)}
        for turn in [*sample.history, (sample.prompt, sample.label)]
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]
    if sample.image is not None:
        messages[0]["content"] = f"{IMAGE}\n{messages[0]['content']}"
    return {
        "messages": messages,
        "images": [] if sample.image is None else [sample.image],
        "objects": {"ref": placed.refs, "bbox": placed.boxes_px, "bbox_type": "real"},
        "truth": msgspec.json.encode({key: getattr(sample, key) for key in TRUTH}).decode(),
    }


def write_swift(path: Path, samples: Iterable[Sample]) -> None:
    """Writes one line a sample, paths from the image root (ms-swift's `ROOT_IMAGE_DIR`).

    Raises InputError and RunError as `write_lines`.
    """
    write_lines(path, samples, to_line)
