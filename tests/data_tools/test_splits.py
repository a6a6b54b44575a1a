"""Splits: official lists win, groups stay together, and the hash moves nothing when images are added."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_tools.records import Record
from data_tools.splits import assign_splits, by_split, parse_ratios
from grounding.errors import InputError
from tests.data_tools.annotated import record

RATIOS = (0.8, 0.1, 0.1)


def place(
    records: list[Record], *, group_by: str | None = None, seed: int = 0, ratios: tuple[float, float, float] = RATIOS
) -> dict[str, str | None]:
    return {r.name: r.split for r in assign_splits(records, ratios, group_by, seed)[0]}


def test_shares_and_stability() -> None:
    records = [record(f"{number}.png") for number in range(2000)]
    placed = place(records)
    counts = Counter(placed.values())
    assert 1520 < counts["train"] < 1680
    assert 150 < counts["val"] < 250
    assert place(records[::3]).items() <= placed.items()
    assert place(records, seed=1) != placed
    assert {
        split: len(members) for split, members in by_split(assign_splits(records, RATIOS, None, 0)[0]).items()
    } == counts


def test_a_share_of_nothing_gets_nothing() -> None:
    records = [record(f"{number}.png") for number in range(200)]
    assert set(place(records, ratios=(0.5, 0.5, 0.0)).values()) == {"train", "val"}
    assert set(place(records, ratios=(0.0, 0.0, 1.0)).values()) == {"test"}


def test_groups_stay_together() -> None:
    records = [record(f"patient{number}/{slide}.png") for number in range(60) for slide in range(5)]
    placed = place(records, group_by=r"^(patient\d+)/")
    assert all(len({placed[f"patient{number}/{slide}.png"] for slide in range(5)}) == 1 for number in range(60))
    assert len(set(placed.values())) == 3
    _, tally = assign_splits([*records, record("other.png")], RATIOS, r"^(patient\d+)/", 0)
    assert dict(tally.counts) == {"group_not_matched": 1}


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("12345")), min_size=1, max_size=25))
def test_identical_images_and_their_groups_stay_together(pairs: list[tuple[str, str]]) -> None:
    records = [record(f"{group}/{number}.png", digest=digest) for number, (group, digest) in enumerate(pairs)]
    placed = place(records, group_by="^(.)/")
    for one in records:
        for other in records:
            if one.name[0] == other.name[0] or one.digest == other.digest:
                assert placed[one.name] == placed[other.name]


def test_official_lists_win() -> None:
    records = [
        record("a", split="train", digest="1"),
        record("b", split="test", digest="1"),  # a copy in another official split: said, not mended
        record("c", digest="1"),  # a copy without a list goes where it is never trained on
        record("d", split="val", digest="2"),
    ]
    placed, tally = assign_splits(records, RATIOS, None, 0)
    assert [r.split for r in placed] == ["train", "test", "test", "val"]
    assert dict(tally.counts) == {"identical_across_splits": 2}


def test_trainval_is_split_in_two() -> None:
    records = [record(f"{number}", split="trainval") for number in range(300)]
    counts = Counter(place(records).values())
    assert set(counts) == {"train", "val"}
    assert 15 < counts["val"] < 60
    assert set(place(records, ratios=(0.0, 0.0, 1.0)).values()) == {"train"}
    assert place([record("a", split="trainval", digest="1"), record("b", split="val", digest="1")])["a"] == "val"


@pytest.mark.parametrize(
    ("text", "ratios"), [("0.8,0.1,0.1", RATIOS), ("0.9, 0.1", (0.9, 0.1, 0.0)), ("1,0,0", (1, 0, 0))]
)
def test_ratios(text: str, ratios: tuple[float, ...]) -> None:
    assert parse_ratios(text) == pytest.approx(ratios)


@pytest.mark.parametrize(
    "text", ["", "1", "0.8,0.3", "80,10,10", "0.5,0.5,0.5,-0.5", "1.1,-0.1", "a,b", "nan,1", "0.5;0.5"]
)
def test_wrong_ratios_are_told(text: str) -> None:
    with pytest.raises(InputError, match="sum to 1"):
        parse_ratios(text)


@pytest.mark.parametrize(("pattern", "told"), [("(", "no regular expression"), (r"patient\d+", "captures nothing")])
def test_wrong_expressions_are_told(pattern: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        assign_splits([record("a")], RATIOS, pattern, 0)


def test_an_expression_that_no_path_matches_is_told() -> None:
    with pytest.raises(InputError, match=r"matches none of the 2 images.*'a\.png'"):
        place([record("a.png"), record("b.png")], group_by=r"(patient\d+)")
