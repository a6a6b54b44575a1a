"""What is absent, told without a table of images times classes, is what the rule says of each image."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from data_tools.absence import Absent, Without
from data_tools.records import Record
from data_tools.selection import draw_absent, present
from tests.data_tools.annotated import box, record

NAMES = ("cat", "Cat", "cow", "dog", "red_car", "red car")
some = st.frozensets(st.sampled_from(NAMES))


@st.composite
def images(draw: st.DrawFn) -> list[Record]:
    return [
        record(
            f"{number}.png",
            *(box(name, ignore=draw(st.sampled_from([None, None, "crowd"]))) for name in sorted(draw(some))),
            looked_for=draw(st.sampled_from([frozenset(NAMES), frozenset(NAMES[:3])]) | some),
            refused=draw(st.just(frozenset()) | some),
            digest=draw(st.sampled_from([None, "1", "2"])),
            doubtful=draw(st.integers(0, 9)) == 0,
        )
        for number in range(draw(st.integers(0, 8)))
    ]


@given(images(), st.integers(0, 3))
def test_the_places_of_a_class_are_the_images_that_it_is_absent_from(records: list[Record], first: int) -> None:
    absent = Absent(records)
    part = records[first:]
    expected = {
        name: numbers for name in NAMES if (numbers := [n for n, one in enumerate(part) if name in absent[one.name]])
    }
    places = absent.places(part)
    assert {name: list(numbers) for name, numbers in places.items()} == expected
    assert {name: [numbers[n] for n in range(len(numbers))] for name, numbers in places.items()} == expected


@given(st.sets(st.integers(0, 30)), st.data())
def test_numbers_without_some_are_a_sequence_as_any(every: set[int], data: st.DataObject) -> None:
    left_out = data.draw(st.sets(st.sampled_from(sorted(every)))) if every else set()
    numbers, expected = Without(sorted(every), sorted(left_out)), sorted(every - left_out)
    assert (len(numbers), list(numbers), bool(numbers)) == (len(expected), expected, bool(expected))
    assert [numbers[n] for n in range(-len(expected), len(expected))] == expected * 2
    assert list(numbers[1:-1]) == expected[1:-1]
    assert [number in numbers for number in range(31)] == [number in expected for number in range(31)]


def test_many_drawn_classes_cost_what_is_drawn() -> None:
    """A table of these images times their classes would have two hundred million entries."""
    classes = [f"class {number}" for number in range(20_000)]
    looked_for = frozenset(classes)
    records = [record(f"{n}.png", box(classes[n]), box(classes[-1 - n]), looked_for=looked_for) for n in range(10_000)]
    found, _ = present(records)
    selected = draw_absent(records, Absent(records), found[:100], 1.0, "0")
    assert len(selected.questions) == selected.wanted == 100
    assert all(
        question.category not in {note.category for note in question.record.annotations}
        for question in selected.questions
    )
