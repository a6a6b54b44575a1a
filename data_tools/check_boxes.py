"""Boxes held against the size of their image: cut at its edges, refused outside it, doubles counted.

The boxes of many images are looked at together; only where something is to be said of one are those of its image gone
through one by one. Knows no format, no image file and no prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from data_tools.annotations import by_columns
from data_tools.records import XYXY, Annotation, Finding, Phrase, Record, Tally
from grounding.geometry import area, as_boxes, clip

TOGETHER = 8192  # images whose boxes are looked at together
ROUNDING = 1e-6  # px: what x + width in floats may lie over the edge without being counted as clipped


class Place(NamedTuple):
    """A box that is looked at: whose it is, where it stands, and what else is needed to speak of it."""

    words: str
    place: str
    image: str
    size_wh: tuple[int, int]


def check_boxes(records: Sequence[Record]) -> tuple[list[Record], Tally]:
    """Clips boxes at the edges of their image, refuses those outside it, counts doubles."""
    findings: list[Finding] = []
    checked = []
    for start in range(0, len(records), TOGETHER):
        some = records[start : start + TOGETHER]
        for record, cut, unusual in zip(some, *_clip_together(some), strict=True):
            if unusual:
                one = _check_annotations(record, findings)
                cut = cut if len(one.annotations) == len(cut.annotations) else one  # columns where no box is refused
            checked.append(_check_phrases(cut, findings) if cut.phrases else cut)
    return checked, Tally.of(findings)


def _clip_together(records: Sequence[Record]) -> tuple[list[Record], list[bool]]:
    """The records with their boxes cut, and of each whether one is outside, was cut, or may be a double."""
    cut, unusual = list(records), np.zeros(len(records), dtype=bool)
    for images, columns, row, image in by_columns([record.annotations for record in records]):
        numbers = np.array(images)
        sizes_wh = np.array([records[number].size_wh for number in images], dtype=np.float64)
        stated = columns.xyxy_px[row]
        clipped = np.clip(stated, 0.0, np.tile(sizes_wh, 2)[image])
        moved = clipped != stated
        odd = (area(clipped) == 0) | (np.abs(clipped - stated) > ROUNDING).any(axis=1)
        # Equal hashes nearly always are doubles; it is looked at one by one whether they are.
        hashed = _hashes(image, columns.category[row], clipped)
        ordered = np.sort(hashed)
        odd |= np.isin(hashed, ordered[1:][ordered[1:] == ordered[:-1]])
        unusual[numbers[image[odd]]] = True
        counts = np.bincount(image, minlength=len(images))
        new = np.zeros(len(images), dtype=bool)  # nearly all boxes lie inside: their images stay as they are
        new[image[moved.any(axis=1)]] = True
        of_new = new[image]
        runs = columns.only(row[of_new])._replace(xyxy_px=clipped[of_new]).cut(counts[new].tolist())
        for number, rows in zip(numbers[new].tolist(), runs, strict=True):
            cut[number] = replace(records[number], annotations=rows)
    return cut, unusual.tolist()


def _hashes(image: NDArray[np.int64], category: NDArray[np.int32], xyxy_px: NDArray[np.float64]) -> NDArray[np.uint64]:
    """A hash of (image, class, box) for each row; equal rows have equal ones."""
    parts = (image.astype(np.uint64), category.astype(np.uint64), *(xyxy_px + 0.0).view(np.uint64).T)  # no -0.0
    hashed = np.zeros(len(image), dtype=np.uint64)
    for part in parts:  # multiply and add by the constant of Knuth's MMIX generator, modulo 2**64
        hashed = (hashed ^ part ^ (part >> np.uint64(29))) * np.uint64(6364136223846793005) + np.uint64(1)
        hashed ^= hashed >> np.uint64(32)
    return hashed


def _check_annotations(record: Record, findings: list[Finding]) -> Record:
    if not record.annotations:
        return record
    assert record.size_wh is not None  # settled by the check of the images
    clipped = _clip([annotation.xyxy_px for annotation in record.annotations], record.size_wh)
    kept: list[Annotation] = []
    refused: set[str] = set()
    seen: set[tuple[str, XYXY]] = set()
    for annotation, box in zip(record.annotations, clipped, strict=True):
        at = Place(annotation.category, annotation.place, record.name, record.size_wh)
        findings += _judge(annotation.xyxy_px, box, at)
        if box is None:
            refused.add(annotation.category)
            continue
        content = (annotation.category, box)
        if content in seen:
            findings.append(Finding("duplicate_box", annotation.place, _told(annotation.xyxy_px, at)))
        seen.add(content)
        kept.append(replace(annotation, xyxy_px=box))
    return replace(record, annotations=tuple(kept), refused=record.refused | refused)


def _check_phrases(record: Record, findings: list[Finding]) -> Record:
    """A phrase one of whose boxes is refused is refused; the same words twice in one image are counted."""
    assert record.size_wh is not None  # settled by the check of the images
    kept: list[Phrase] = []
    seen: dict[str, list[tuple[XYXY, ...]]] = {}
    for phrase in record.phrases:
        clipped = _clip(phrase.boxes_px, record.size_wh)
        at = Place(phrase.text, phrase.place, record.name, record.size_wh)
        for stated, box in zip(phrase.boxes_px, clipped, strict=True):
            findings += _judge(stated, box, at)
        boxes = tuple(box for box in clipped if box is not None)
        if len(boxes) < len(clipped):
            findings.append(Finding("phrase_incomplete", phrase.place, phrase.text))
            continue
        before = seen.setdefault(phrase.text.casefold(), [])
        if before:
            reason = "repeated_phrase" if boxes in before else "phrase_of_several"
            findings.append(Finding(reason, phrase.place, f"{phrase.text} in {record.name}"))
        before.append(boxes)
        kept.append(replace(phrase, boxes_px=boxes))
    return replace(record, phrases=tuple(kept))


def _clip(stated: Sequence[XYXY], size_wh: tuple[int, int]) -> list[XYXY | None]:
    """The boxes cut at the edges of an image, None for one that lies outside."""
    clipped = clip(as_boxes(list(stated)), size_wh)
    outside = area(clipped) == 0
    return [None if out else (x0, y0, x1, y1) for (x0, y0, x1, y1), out in zip(clipped.tolist(), outside, strict=True)]


def _judge(stated: XYXY, clipped: XYXY | None, at: Place) -> Iterator[Finding]:
    """What is to be said of a box once it is cut at the edges."""
    if clipped is None:
        yield Finding("outside_image", at.place, _told(stated, at))
    elif max(abs(new - old) for new, old in zip(clipped, stated, strict=True)) > ROUNDING:
        yield Finding("clipped", at.place, _told(stated, at))


def _told(stated: XYXY, at: Place) -> str:
    return f"{at.words} {_rounded(stated)} in {at.image}, {at.size_wh}"


def _rounded(xyxy: XYXY) -> tuple[float, ...]:
    return tuple(round(value, 2) for value in xyxy)
