"""Which samples are shown, and why each: some of every class, the most crowded, the smallest, what looks odd.

Knows columns of numbers and where images lie; does not know the page's layout. The draw is seeded: nobody picked them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from random import Random

import numpy as np

from data_tools.inspection.findings import LONG, WHOLE
from data_tools.inspection.opening import Opened
from data_tools.inspection.table import ASKS_NO_BOX, Ints, Table
from data_tools.inspection.unlabelled import suspects
from grounding.page.thumbnails import Shape, Thumbnails, add_thumbnail, box_shape
from grounding.samples import Sample

OF_A_KIND = 12  # samples of one kind that are shown
OF_A_CLASS = 4
KINDS = ("unlabelled", "small", "crowded", "long", "whole", "double", "ignored", "absent", "words")
OF_CLASS = "class: "  # begins the kind of a sample that is shown for its class


@dataclass(frozen=True)
class Card:
    """One sample as shown.

    `picture` is the key of its thumbnail; None where there is none, and `lack` says why. `kinds` are why it is shown.
    """

    sample: Sample
    split: str
    kinds: tuple[str, ...]
    shapes: tuple[Shape, ...]
    picture: str | None
    lack: str | None


def make_cards(
    opened: Opened,
    table: Table,
    thumbnails: Thumbnails,
    folder: Path,
    *,
    most: int,
    seed: int = 0,
    follow_links: bool = False,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Card]:
    """At most so many cards, those of each kind in turn, and their thumbnails.

    An image that is missing or broken is no error here: its boxes are shown on an empty frame.

    Args:
        thumbnails: are added to.
        folder: of the page.
        advance: told 1 for each card.
    """
    cards = []
    for number, kinds in _drawn(table, Random(f"{seed}|gallery"), most).items():
        split = table.splits[table.split[number]]
        dataset = opened.splits[split]
        sample = dataset.samples[int(table.place[number])]
        key, lack = add_thumbnail(sample, dataset.image_root, folder, thumbnails, follow_links)
        shapes = [box_shape(box, "ignore") for box in sample.ignore]
        shapes += [box_shape(box, "true") for box in sample.boxes or []]
        cards.append(Card(sample, split, tuple(kinds), tuple(shapes), key, lack))
        advance(1)
    return cards


def _drawn(table: Table, rng: Random, most: int) -> Mapping[int, list[str]]:
    """Number of a sample -> why it is shown; one of each kind after the other, until there are enough."""
    drawn: dict[int, list[str]] = {}
    kinds = dict(_kinds(table, rng))
    for column in zip_longest(*([(kind, number) for number in members] for kind, members in kinds.items())):
        for kind, number in filter(None, column):
            if number in drawn or len(drawn) < most:
                drawn.setdefault(number, []).append(kind)
    return drawn


def _kinds(table: Table, rng: Random) -> Iterator[tuple[str, Sequence[int]]]:
    """Each kind with the samples that stand for it, the most telling first."""
    asker = table.box_sample[table.object]
    sides = table.object_part[:, 2:] - table.object_part[:, :2]
    px = table.box[table.object]
    ratio = np.abs(np.log((px[:, 2] - px[:, 0]) / (px[:, 3] - px[:, 1])))
    area = sides.prod(axis=1)
    yield "unlabelled", _first(np.array([at for one in suspects(table) for at in one.samples], dtype=np.int64))
    yield "small", _first(asker[np.argsort(table.object_cells, kind="stable")])
    yield "crowded", _first(np.argsort(-table.count, kind="stable")[: int((table.count > 1).sum())])
    yield "long", _first(asker[np.argsort(-ratio, kind="stable")[: int((ratio >= np.log(LONG)).sum())]])
    yield "whole", _first(asker[np.argsort(-area, kind="stable")[: int((area >= WHOLE).sum())]])
    yield "double", _some(table.doubled, rng, OF_A_KIND)
    yield "ignored", _some(np.flatnonzero(table.ignored > 0), rng, OF_A_KIND)
    yield "absent", _some(np.flatnonzero(table.count == 0), rng, OF_A_KIND)
    yield "words", _some(np.flatnonzero(table.count == ASKS_NO_BOX), rng, OF_A_KIND)
    classes, numbers = np.unique(table.object_class, return_counts=True)
    for place in classes[np.argsort(numbers, kind="stable")].tolist():
        members = np.unique(asker[table.object_class == place])
        yield OF_CLASS + table.classes[place], _some(members, rng, OF_A_CLASS)


def _first(numbers: Ints) -> list[int]:
    """The first few different ones."""
    return list(dict.fromkeys(numbers.tolist()))[:OF_A_KIND]


def _some(numbers: Ints, rng: Random, most: int) -> list[int]:
    return rng.sample(numbers.tolist(), min(most, len(numbers)))
