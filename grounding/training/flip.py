"""Samples of pictures mirrored left to right: words, boxes and truth with them. A function of (seed, image, epoch).

Knows samples and their texts; it does not open images. Writing in a picture is not readable in its mirror image, which
no annotation tells: whoever trains on such pictures leaves this off.
"""

from __future__ import annotations

import random

from msgspec.structs import replace

from grounding.geometry import as_boxes
from grounding.samples import Sample
from grounding.text import mirror_boxes, mirror_words, to_grid

# Tasks whose prompt and answer are wholly in words and boxes that can be mirrored. `next_box` cannot: of two boxes with
# tops in one cell the other one comes next. Free text may read what is written in the picture.
FLIPPED_TASKS = ("phrase_to_boxes", "phrase_to_box", "all_to_boxes", "box_to_phrase", "presence", "caption_with_boxes")


def is_flipped(share: float, seed: int, image: str, epoch: int) -> bool:
    """Whether an image is mirrored in an epoch. All prompts about it are, so that they go on sharing its tokens.

    Args:
        share: of the epochs in which it is, 0..1.
    """
    return random.Random(f"flip|{seed}|{image}|{epoch}").random() < share


def flipped(sample: Sample) -> Sample | None:
    """The sample of the mirrored picture; None where its task or its words do not allow it.

    Its id and image stay: whoever opens the image mirrors it.
    """
    if sample.task not in FLIPPED_TASKS or sample.image is None or sample.history:
        return None
    if sample.width is None or sample.height is None:
        return None
    size_wh = (sample.width, sample.height)
    boxes = None if sample.boxes is None else _mirrored(sample.boxes, sample.width)
    exact = dict(zip(_cells(sample.boxes or [], size_wh), _cells(boxes or [], size_wh), strict=True))
    texts = {name: mirror_words(getattr(sample, name)) for name in ("prompt", "label")}
    texts |= {name: None if text is None else mirror_boxes(text, exact) for name, text in texts.items()}
    phrase = None if sample.phrase is None else mirror_words(sample.phrase)
    if None in texts.values() or (phrase is None and sample.phrase is not None):
        return None
    ignore = _mirrored(sample.ignore, sample.width)
    return replace(sample, boxes=boxes, ignore=ignore, phrase=phrase, **texts)


def _mirrored(boxes: list[list[float]], width: int) -> list[list[float]]:
    return [[width - x1, y0, width - x0, y1] for x0, y0, x1, y1 in boxes]


def _cells(boxes: list[list[float]], size_wh: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    return [(x0, y0, x1, y1) for x0, y0, x1, y1 in to_grid(as_boxes(boxes), size_wh)[0].tolist()]
