"""Sources put together: one root, one record an image, one name a class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_tools.gather import gather
from data_tools.records import Record, Source, Tally
from tests.data_tools.annotated import box, record


def source(root: Path, records: Sequence[Record], **more: Any) -> Source:
    return Source(records=records, tally=Tally(), image_root=root, inputs={}, classes=frozenset({"cat", "dog"}), **more)


def test_names_start_from_the_common_root(tmp_path: Path) -> None:
    gathered = gather(
        [source(tmp_path / "a", [record("1.png")], split="train"), source(tmp_path / "b" / "c", [record("1.png")])],
        None,
    )
    assert gathered.image_root == tmp_path.resolve()
    assert [(r.name, r.split) for r in gathered.records] == [("a/1.png", "train"), ("b/c/1.png", None)]
    assert not gathered.tally.counts


def test_absence_is_the_sources_word_or_the_callers(tmp_path: Path) -> None:
    drawn = record("2.png", box("cat"), box("dog"))
    listed = source(tmp_path, [record("1.png", negatives=frozenset({"dog"})), drawn], absence="listed")
    looked_for = {
        mode: gather([listed], mode).records[0].looked_for  # type: ignore[arg-type]
        for mode in (None, "exhaustive", "listed", "none")
    }
    assert looked_for == {None: {"dog"}, "exhaustive": {"cat", "dog"}, "listed": {"dog"}, "none": set()}


def test_an_image_listed_twice_is_one_record(tmp_path: Path) -> None:
    first = record("1.png", box("cat"), box("cat"), split="train", refused=frozenset({"cow"}), size_wh=None)
    second = record("1.png", box("cat"), box("dog"), split="val", not_exhaustive=frozenset({"pig"}), doubtful=True)
    gathered = gather([source(tmp_path, [first]), source(tmp_path, [second])], None)
    (merged,) = gathered.records
    assert [a.category for a in merged.annotations] == ["cat", "cat", "dog"]  # doubles inside one record stay
    assert (merged.split, merged.size_wh, merged.doubtful) == ("val", second.size_wh, True)
    assert (merged.refused, merged.not_exhaustive) == ({"cow"}, {"pig"})
    assert dict(gathered.tally.counts) == {"repeated_image": 1, "in_several_lists": 1, "repeated_annotation": 1}


def test_trainval_gives_way_to_train(tmp_path: Path) -> None:
    gathered = gather([source(tmp_path, [record("1.png", split="trainval"), record("1.png", split="train")])], None)
    assert gathered.records[0].split == "train"
    assert dict(gathered.tally.counts) == {"repeated_image": 1}


def test_two_sizes_for_one_image_refuse_it(tmp_path: Path) -> None:
    records = [record("1.png", box("cat")), record("1.png", box("dog"), size_wh=(8, 8)), record("2.png")]
    gathered = gather([source(tmp_path, records)], None)
    assert [r.name for r in gathered.records] == ["2.png"]
    assert dict(gathered.tally.counts) == {"repeated_image": 1, "size_disagrees": 1, "image_refused": 2}


def test_classes_of_one_phrase_are_one(tmp_path: Path) -> None:
    records = [
        record("1.png", box("red_car"), refused=frozenset({"red  car"})),
        record("2.png", box("red car"), box("Red car"), not_exhaustive=frozenset({"red_car"})),
    ]
    gathered = gather([source(tmp_path, records)], None)
    assert [a.category for r in gathered.records for a in r.annotations] == ["red  car", "red  car", "Red car"]
    assert gathered.records[0].refused == {"red  car"} == gathered.records[1].not_exhaustive
    assert dict(gathered.tally.counts) == {"same_phrase_class": 2}
    assert records[0].annotations[0].category == "red_car"


def test_classes_that_no_one_drew_are_not_looked_for(tmp_path: Path) -> None:
    records = [record("1.png", box("red_cat")), record("2.png", refused=frozenset({"dog"}))]
    classes = frozenset({"red cat", "dog", "cow"})
    made = Source(records=records, tally=Tally(), image_root=tmp_path, inputs={}, classes=classes)
    assert [r.looked_for for r in gather([made], None).records] == [{"red cat", "dog"}] * 2
