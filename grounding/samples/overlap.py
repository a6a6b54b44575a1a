"""Which images of a set another file of samples is about too: whether a test set was seen in training.

Knows images by their names; the same picture under two names is not found here (convert keeps such in one split).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from grounding.samples.decoding import read_places
from grounding.samples.sample import Sample


class _OfImage(msgspec.Struct, gc=False):
    """All that is looked at of a line."""

    image: str | None = None


def shared_images(samples: Iterable[Sample], other: Path) -> int:
    """How many images of the samples stand in another JSONL file of samples; lines that are none are passed over.

    Raises:
        InputError: the file cannot be read.
    """
    decoder = msgspec.json.Decoder(_OfImage)
    images = {sample.image for sample in samples} - {None}
    found: set[str | None] = set()
    for _, _, line in read_places(other):
        try:
            found.add(decoder.decode(line).image)
        except msgspec.DecodeError:
            continue
    return len(images & found)
