"""What is asked of which image: the rules of absence, the ratio, the balance of classes."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from data_tools.absence import Absent
from data_tools.records import Annotation, Record
from data_tools.selection import Question, draw_absent, present, select
from tests.data_tools.annotated import box
from tests.data_tools.annotated import record as plain_record

ALL = frozenset({"cat", "dog", "cow", "Dog"})


def record(name: str, *annotations: Annotation, **more: Any) -> Record:
    return plain_record(name, *annotations, **{"looked_for": ALL, **more})


def absent(*records: Record) -> Absent:
    return Absent(records)


EVERY = record("every", box("cat"), box("cow"), box("dog"))


def test_every_class_with_all_its_boxes_is_asked_for_once() -> None:
    questions, tally = present([record("a", box("dog"), box("cat"), box("dog")), record("b")])
    assert [(q.record.name, q.category, q.present) for q in questions] == [("a", "cat", True), ("a", "dog", True)]
    assert not tally.counts


def test_classes_that_are_not_asked_for_are_counted() -> None:
    mixed = record(
        "a",
        box("cat", ignore="crowd"),
        box("dog", ignore="difficult"),
        box("dog"),
        box("cow"),
        box("pig"),
        refused=frozenset({"cow", "hen"}),
        not_exhaustive=frozenset({"pig", "rat"}),
    )
    questions, tally = present([mixed])
    assert [q.category for q in questions] == ["dog"]
    assert dict(tally.counts) == {
        "class_only_ignored": 1,
        "class_incomplete": 2,
        "class_not_exhaustive": 1,
        "class_refused": 2,  # the cow and the pig; the hen and the rat have no box
    }


@pytest.mark.parametrize(
    ("barred", "expected"),
    [
        (record("a"), ["cat", "cow", "dog"]),
        (record("a", box("cat")), ["cow", "dog"]),
        (record("a", box("cat", ignore="crowd")), ["cow", "dog"]),
        (record("a", box("cat", ignore="difficult")), ["cow", "dog"]),
        (record("a", refused=frozenset({"cat"})), ["cow", "dog"]),
        (record("a", not_exhaustive=frozenset({"cat"})), ["cow", "dog"]),
        (record("a", box("CAT")), ["cow", "dog"]),  # another case may be the same thing
        (record("a", doubtful=True), []),
        (record("a", looked_for=frozenset()), []),
        (record("a", box("dog"), looked_for=frozenset({"dog", "cow"})), ["cow"]),
    ],
)
def test_the_rule_of_absence(barred: Record, expected: list[str]) -> None:
    assert absent(barred, EVERY)["a"] == expected


def test_a_class_that_nobody_ever_drew_is_never_asked_for() -> None:
    assert absent(record("a"), record("b", box("cat"), box("dog", ignore="crowd")))["a"] == ["cat"]


def test_copies_of_an_image_speak_for_each_other() -> None:
    lists = absent(
        record("a", box("cat"), digest="1"),
        record("b", digest="1"),
        record("c", digest="2", doubtful=True),
        record("d", digest="2"),
        EVERY,
    )
    assert lists == {"a": ["cow", "dog"], "b": ["cow", "dog"], "c": [], "d": [], "every": []}


def scattered(images: int, classes: int, seed: int = 0) -> list[Record]:
    """Images with classes of very different frequency."""
    rng = random.Random(seed)
    names = [f"class {number:02d}" for number in range(classes)]
    return [
        record(
            f"{number:04d}",
            *(box(name) for rank, name in enumerate(names) if rng.random() < 1 / (rank + 2.5)),
            looked_for=frozenset(names),
        )
        for number in range(images)
    ]


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.25, 1.0])
def test_the_ratio_is_reached_and_no_class_gives_the_answer_away(ratio: float) -> None:
    records = scattered(600, 12)
    lists = absent(*records)
    selected, _ = select(records, lists, ratio, "0|train")
    found = [q for q in selected.questions if q.present]
    missing = [q for q in selected.questions if not q.present]
    assert len(missing) == selected.wanted == round(ratio * len(found))
    assert all(q.category in lists[q.record.name] for q in missing)
    assert len({(q.record.name, q.category) for q in missing}) == len(missing)
    counts = Counter(q.category for q in missing)
    frequent = {name: n for name, n in Counter(q.category for q in found).items() if 30 < n < 200}
    assert frequent
    for name, n in frequent.items():
        assert abs(counts[name] - ratio * n) <= 0.15 * n


def test_the_draw_depends_on_seed_and_data_alone() -> None:
    records = scattered(50, 6)
    lists = absent(*records)
    first, again, other = (select(records, lists, 0.5, seed)[0].questions for seed in ("0|train", "0|train", "1|train"))
    assert first == again != other
    assert first == sorted(first, key=lambda q: (q.record.name, q.category))


def test_what_one_class_cannot_give_others_give_until_nothing_is_left() -> None:
    records = [record(f"{n}", box("cat"), *([box("dog")] if n < 2 else [])) for n in range(10)]
    lists = absent(*records)  # cat is everywhere, dog is absent from 8 images
    found = [Question(r, "cat", True) for r in records]
    assert Counter(q.category for q in draw_absent(records, lists, found, 0.5, "0").questions) == {"dog": 5}
    short = draw_absent(records, lists, found, 2.0, "0")
    assert (len(short.questions), short.wanted) == (8, 20)
    assert draw_absent([], Absent([]), [], 1.0, "0").questions == []
