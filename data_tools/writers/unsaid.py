"""Classes that an image has, or may have, and that no sample asks for there; for forms that take no word for absence.

They are told by samples of other tasks, and by the findings that `convert` left beside the dataset. Knows no form.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Set
from pathlib import Path

import msgspec

from data_tools.writers.findings import FINDINGS
from grounding.errors import InputError
from grounding.samples import Sample

THERE = frozenset({"class_incomplete", "class_not_exhaustive", "class_only_ignored", "class_refused"})
"""Reasons whose findings read `CLASS in IMAGE`: it is annotated there, and not asked for."""


class _Found(msgspec.Struct):
    reason: str
    found: str


def unsaid(folder: Path, samples: Iterable[Sample], asked: Set[tuple[str, str]]) -> dict[str, list[str]]:
    """Class -> the images in which it is, or may be, and is not asked for; most images first.

    Args:
        folder: where the findings lie, if there are any.
        samples: all there are, those that a form has no word for too.
        asked: (image, class) of which a form says all boxes, be there any or none.

    Raises:
        InputError: the findings cannot be read.
    """
    images = {image for image, _ in asked}
    told: dict[str, set[str]] = defaultdict(set)
    for image, category in {*_seen(samples), *_refused(folder / FINDINGS)}:
        if image in images and (image, category) not in asked:
            told[category].add(image)
    return {category: sorted(told[category]) for category in sorted(told, key=lambda name: (-len(told[name]), name))}


def _seen(samples: Iterable[Sample]) -> Iterator[tuple[str, str]]:
    """Images with classes that a sample of theirs has boxes of."""
    for sample in samples:
        if sample.image is not None and sample.boxes:
            for category in sample.categories or (sample.category,):
                if category:
                    yield sample.image, category


def _refused(path: Path) -> Iterator[tuple[str, str]]:
    """Images with classes that were refused there; in every way that `CLASS in IMAGE` can be taken apart."""
    if not path.is_file():
        return
    try:
        findings = msgspec.json.decode(path.read_bytes(), type=list[_Found])
    except (msgspec.MsgspecError, OSError) as error:
        raise InputError(f"cannot be read: {error}", where=str(path), fix="Convert anew, or move it away.") from error
    for one in findings:
        if one.reason in THERE:
            words = one.found.split(" in ")
            for cut in range(1, len(words)):
                yield " in ".join(words[cut:]), " in ".join(words[:cut])
