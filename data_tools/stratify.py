"""Groups of images to splits so that each split gets its share of every class. Knows counts alone: no image, no box.

Iterative stratification: Sechidis, Tsoumakas and Vlahavas, On the stratification of multi-label data (2011), with whole
groups in the place of single examples. Unlike a hash of the group alone, one more image may move others.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

from data_tools.annotations import categories_of
from data_tools.records import Record


def stratify(
    records: Sequence[Record], groups: Sequence[str], ratios: Mapping[str, float], fixed: Mapping[str, str], seed: int
) -> dict[str, str]:
    """Group -> split, for the groups that `fixed` does not name.

    A class counts where it has a box, or where a phrase or a ready sample is of it. The rarest one that has groups left
    goes first; each of its groups goes to the split that lacks most of the class, among equals to the one that lacks
    most images. Groups without any class go where most images are lacking.

    Args:
        records: the images. groups: of each image.
        ratios: split -> its share, of sum 1; one of share 0 gets nothing.
        fixed: group -> its split, where official lists have it; it counts for what its split has.
        seed: of the order among equals.
    """
    held = {group: Counter[str]() for group in groups}
    images = Counter(groups)
    for record, group in zip(records, groups, strict=True):
        held[group].update(_classes(record))
    totals = sum(held.values(), Counter[str]())
    wanting = {split: share for split, share in ratios.items() if share > 0}
    lacks = {split: {name: share * count for name, count in totals.items()} for split, share in wanting.items()}
    room = {split: share * len(records) for split, share in wanting.items()}

    def put(group: str, split: str) -> None:
        if split in room:
            room[split] -= images[group]
            for category, count in held[group].items():
                lacks[split][category] -= count

    for group, split in fixed.items():
        put(group, split)
    placed: dict[str, str] = {}
    waiting = sorted((group for group in held if group not in fixed), key=lambda group: _hash(seed, group))
    having: dict[str, list[str]] = {}
    for group in waiting:
        for category in held[group]:
            having.setdefault(category, []).append(group)
    left = Counter({category: len(some) for category, some in having.items()})
    while left:
        rarest = min(left, key=lambda category: (left[category], category))
        for group in having[rarest]:
            if group not in placed:
                split = max(wanting, key=lambda split: (lacks[split][rarest], room[split]))
                placed[group] = split
                put(group, split)
                left.subtract(held[group].keys())
        del left[rarest]
        left = +left
    for group in waiting:
        if group not in placed:
            placed[group] = max(wanting, key=lambda split: room[split])
            put(group, placed[group])
    return placed


def _classes(record: Record) -> set[str]:
    """The classes that samples about an image will be of."""
    named = {one.category for some in (record.phrases, record.samples) for one in some}
    return {*categories_of(record.annotations)} | {name for name in named if name is not None}


def _hash(seed: int, group: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{group}".encode()).digest()
