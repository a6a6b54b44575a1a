"""Stratified splits: each split gets its share of every class, groups stay whole, official lists stay."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from data_tools.records import Phrase, Record
from data_tools.splits import SPLITS, assign_splits
from tests.data_tools.annotated import box, record
from tests.samples.making import make

RATIOS = (0.6, 0.2, 0.2)


def patients(count: int, seed: int = 0) -> list[Record]:
    """Two images a patient; classes from frequent to rare, held by all images of a patient or none."""
    rng = random.Random(seed)
    records = []
    for number in range(count):
        classes = [name for rank, name in enumerate("abcdef") if rng.random() < 1 / (1 + 2 * rank)]
        records += [record(f"p{number:03d}/{n}", *(box(name) for name in classes)) for n in range(2)]
    return records


def off(records: list[Record]) -> float:
    """By how many patients any class in any split is off its share, at most."""
    totals = Counter(a.category for r in records for a in r.annotations)
    held = Counter((r.split, a.category) for r in records for a in r.annotations)
    return max(
        abs(held[split, name] - ratio * total) / 2
        for split, ratio in zip(SPLITS, RATIOS, strict=True)
        for name, total in totals.items()
    )


def test_every_class_is_shared_out_better_than_by_a_hash() -> None:
    worst = {True: 0.0, False: 0.0}
    for seed in range(5):
        for stratified in worst:
            placed, _ = assign_splits(patients(60, seed), RATIOS, r"^(p\d+)/", seed, stratified)
            worst[stratified] = max(worst[stratified], off(placed))
            assert all(a.split == b.split for a, b in zip(placed[::2], placed[1::2], strict=True))
    assert worst[True] < 1 < 2 < worst[False]


@given(st.lists(st.sets(st.sampled_from("abc")), max_size=30), st.integers(0, 3))
def test_every_image_is_placed_once_whatever_it_holds(contents: list[set[str]], seed: int) -> None:
    records = [record(f"{n}", *(box(name) for name in sorted(names))) for n, names in enumerate(contents)]
    placed, _ = assign_splits(records, (0.5, 0.5, 0.0), None, seed, True)
    assert [r.name for r in placed] == [r.name for r in records]
    assert {r.split for r in placed} <= {"train", "val"}
    assert placed == assign_splits(records, (0.5, 0.5, 0.0), None, seed, True)[0]
    if len(records) > 3:
        assert {r.split for r in placed} == {"train", "val"}


def test_official_lists_stay_and_count() -> None:
    listed = [record(f"l{n}", box("a"), split="test") for n in range(20)]
    free = [record(f"f{n}", box("a")) for n in range(80)]
    placed, _ = assign_splits([*listed, *free], RATIOS, None, 0, True)
    counts = Counter(r.split for r in placed)
    assert all(r.split == "test" for r in placed[:20])
    assert counts == {"train": 60, "val": 20, "test": 20}


def test_trainval_is_shared_between_the_two() -> None:
    records = [record(f"{n}", box("a" if n % 4 else "b"), split="trainval") for n in range(80)]
    placed, _ = assign_splits(records, (0.75, 0.25, 0.0), None, 0, True)
    assert Counter((r.split, r.annotations[0].category) for r in placed) == {
        ("train", "a"): 45, ("train", "b"): 15, ("val", "a"): 15, ("val", "b"): 5,
    }  # fmt: skip


def test_classes_of_phrases_and_ready_samples_count_as_those_of_boxes() -> None:
    boxed = patients(60)
    words = [phrased(record) for record in boxed]
    ready = [asked(record) for record in boxed]
    splits = [[r.split for r in assign_splits(some, RATIOS, "(p.*)/", 0, True)[0]] for some in (boxed, words, ready)]
    assert splits[0] == splits[1] == splits[2]
    assert set(splits[0]) == set(SPLITS)


def phrased(record: Record) -> Record:
    """The same, its boxes as what phrases mean; and words of no class."""
    said = [(note.category, note.category) for note in record.annotations]
    phrases = (
        Phrase(text=text, boxes_px=((0, 0, 1, 1),), place="", category=name) for text, name in [*said, ("x", None)]
    )
    return replace(record, annotations=(), phrases=tuple(phrases))


def asked(record: Record) -> Record:
    """The same, its boxes as what ready samples ask for."""
    samples = (make(id=str(n), category=note.category) for n, note in enumerate(record.annotations))
    return replace(record, annotations=(), samples=tuple(samples))
