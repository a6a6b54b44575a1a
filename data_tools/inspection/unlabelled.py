"""Classes that are in nearly all images and not found in a few: are objects there that nobody boxed? Opens no image.

Where a class stands in nine images of ten, an image without it is the exception, and forgotten boxes are as good a
reason for it as absence is; those images are also few enough to be looked at. Where it is rarer, absence is the rule,
and this says nothing. Knows columns only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from data_tools.inspection.remarks import Remark, remark, share
from data_tools.inspection.table import ASKS_NO_BOX, NONE, Ints, Table
from data_tools.stats import NO_CLASS
from grounding.page.words import Words, say

NEARLY_ALL = 0.9  # of all images that boxes are asked for in
ENOUGH = 30  # images; of fewer, nine of ten may well be three of four (Wilson, 95 %: 27 of 30 is 0.74 to 0.97)
NAMED = 5  # images that are named of a class


class Suspect(NamedTuple):
    """A class and where it may have been forgotten.

    Attributes:
        name: of the class.
        found, images: in how many images it is found, of how many.
        samples: int64[S], the not-found samples that may be false, the first of each image.
    """

    name: str
    found: int
    images: int
    samples: Ints


def suspects(table: Table) -> list[Suspect]:
    """The classes in question, those that are in most images first.

    An image that does not ask for a class counts as one without it: of what is absent `convert` asks for a part only,
    so that of the images that ask, any frequent class is found in nearly all.
    """
    asks = (table.count != ASKS_NO_BOX) & (table.picture != NONE)
    images = len(np.unique(table.picture[asks]))
    if images < ENOUGH:
        return []
    one_class, boxed = asks & (table.category != NONE), table.picture[table.box_sample] != NONE
    there = np.union1d(
        _keys(table, table.category, table.picture)[one_class & (table.count > 0)],
        _keys(table, table.box_class, table.picture[table.box_sample])[boxed],
    )
    absent = np.flatnonzero(one_class & (table.count == 0))
    denied, first = np.unique(_keys(table, table.category, table.picture)[absent], return_index=True)
    alone = ~np.isin(denied, there)
    denied, samples = denied[alone], absent[first[alone]]
    found = np.bincount(there // len(table.pictures), minlength=len(table.classes))
    return [
        Suspect(table.classes[at], int(found[at]), images, samples[own])
        for at in np.argsort(-found, kind="stable").tolist()
        if found[at] >= NEARLY_ALL * images and table.classes[at] != NO_CLASS
        and len(own := np.flatnonzero(denied // len(table.pictures) == at))
    ]  # fmt: skip


def _keys(table: Table, classes: Ints, pictures: Ints) -> Ints:
    """One number for each pair of a class and a picture."""
    return classes * len(table.pictures) + pictures


def unlabelled_findings(table: Table, words: Words) -> Iterator[Remark]:
    """What there is to look at, class by class with its first images."""
    if found := suspects(table):
        told = [_told(table, one, words) for one in found]
        yield remark("maybe_unlabelled", "warning", told, share=share(round(100 * NEARLY_ALL), 100))


def _told(table: Table, one: Suspect, words: Words) -> str:
    names = [table.pictures[at].name for at in table.picture[one.samples].tolist()]
    named = ", ".join(names[:NAMED])
    if more := len(names[NAMED:]):
        named += say(words, "examples", "more", n=more)
    percent = share(one.found, one.images)
    return say(words, "examples", "unlabelled", name=one.name, share=percent, all=one.images, names=named)
