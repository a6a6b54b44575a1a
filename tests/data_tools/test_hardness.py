"""Hard negatives: asked for where the class could well be, without asking for any class more often."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from data_tools.absence import Absent
from data_tools.hardness import SAME_KIND, Hardness
from data_tools.records import Record
from data_tools.selection import select
from tests.data_tools.annotated import box, record


def images(*classes: str) -> list[Record]:
    """One image for each word; its letters are the classes in it."""
    return [record(f"{number}", *(box(name) for name in names)) for number, names in enumerate(classes)]


def test_weights_are_what_stands_beside() -> None:
    # a is in three images, twice with b; c never with b.
    hardness = Hardness(images("ab", "ab", "a", "c", ""), {}, 1.0)
    assert hardness.weights("b").tolist() == pytest.approx([2 / 3 + 1, 2 / 3 + 1, 2 / 3, 0, 0])
    assert hardness.weights("nowhere").tolist() == [0] * 5


def test_the_same_kind_speaks_for_a_class() -> None:
    kinds = {"a": "x", "b": "x", "c": "y"}
    plain, kind = (Hardness(images("a", "b", "c"), given, 1.0).weights("b") for given in ({}, kinds))
    assert (kind - plain).tolist() == [SAME_KIND, SAME_KIND, 0]
    # What all are of is no kind.
    alike = Hardness(images("a", "b", "c"), dict.fromkeys("abc", "x"), 1.0)
    assert alike.weights("b").tolist() == plain.tolist()


def test_a_share_is_drawn_and_only_where_something_speaks_for_the_class() -> None:
    hardness = Hardness(images("ab", *["a"] * 10, *["c"] * 50), {}, 0.5)
    candidates = range(1, 61)
    drawn = hardness.draw("b", candidates, 10, random.Random(0))
    assert len(drawn) == 5
    assert all(index <= 10 for index in drawn)
    assert (
        drawn
        == hardness.draw("b", candidates, 10, random.Random(0))
        != hardness.draw("b", candidates, 10, random.Random(1))
    )
    assert len(hardness.draw("b", candidates, 60, random.Random(0))) == 10
    assert hardness.draw("b", [], 0, random.Random(0)) == []


def test_hard_ones_are_harder_and_no_class_is_asked_for_more_often() -> None:
    rng = random.Random(2)
    names = frozenset("abcdefgh")
    records = []
    for number in range(400):
        first = rng.choice("aceg")
        beside = {"a": "b", "c": "d", "e": "f", "g": "h"}[first]
        classes = [first, *([beside] if rng.random() < 0.5 else [])]
        records.append(record(f"{number:03d}", *(box(name) for name in classes), looked_for=names))
    absent = Absent(records)
    counts, weight = [], []
    for share in (0.0, 1.0):
        hardness = Hardness(records, {}, share)
        selected, _ = select(records, absent, 0.3, "0", hardness if share else None)
        missing = [question for question in selected.questions if not question.present]
        place = {r.name: index for index, r in enumerate(records)}
        counts.append(Counter(question.category for question in missing))
        weight.append(sum(hardness.weights(q.category)[place[q.record.name]] for q in missing) / len(missing))
        assert all(question.category in absent[question.record.name] for question in missing)
    assert sum(counts[0].values()) == sum(counts[1].values())
    assert all(abs(counts[0][name] - counts[1][name]) <= 6 for name in names)
    assert weight[1] > 2 * weight[0]
