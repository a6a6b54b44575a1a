"""Caps and balance: never more than asked, nothing lost uncounted, and the draw does not look at the answer."""

from __future__ import annotations

from collections import Counter

from data_tools.caps import Caps, apply_caps
from data_tools.selection import Question
from tests.data_tools.annotated import box, record


def questions(**counts: int) -> list[Question]:
    """So many questions of each class, spread over a hundred images; every third is not found."""
    return [
        Question(record(f"{number % 100:03d}", box(name)), name, number % 3 > 0)
        for name, count in counts.items()
        for number in range(count)
    ]


def by_class(some: list[Question]) -> Counter[str]:
    return Counter(question.category for question in some)


def test_without_caps_everything_stays() -> None:
    some = questions(a=50, b=3)
    kept, tally = apply_caps(some, Caps(), "0")
    assert kept == some
    assert not tally.counts


def test_caps_hold_and_what_goes_is_counted() -> None:
    some = questions(a=90, b=60, c=5)
    kept, tally = apply_caps(some, Caps(per_class=40), "0")
    assert by_class(kept) == {"a": 40, "b": 40, "c": 5}
    assert dict(tally.counts) == {"over_class_cap": 70}
    kept, tally = apply_caps(some, Caps(per_image=1), "0")
    assert set(Counter(question.record.name for question in kept).values()) == {1}
    assert len(kept) == 90 == len(some) - tally.counts["over_image_cap"]
    assert kept == [question for question in some if question in kept]


def test_questions_about_all_classes_count_for_their_image_alone() -> None:
    whole = [Question(record(f"{n}"), "", True, "all_to_boxes") for n in range(10)]
    assert apply_caps(whole, Caps(per_class=1), "0")[0] == whole


def test_balance_goes_from_none_to_the_median() -> None:
    some = questions(a=100, b=25, c=9, d=16, e=25)
    sizes = {share: by_class(apply_caps(some, Caps(balance=share), "0")[0]) for share in (0.0, 0.5, 1.0)}
    assert sizes[0.0] == by_class(some)
    assert sizes[0.5] == {"a": 50, "b": 25, "c": 9, "d": 16, "e": 25}
    assert sizes[1.0] == {"a": 25, "b": 25, "c": 9, "d": 16, "e": 25}


def test_the_draw_takes_found_and_not_found_alike_and_goes_by_the_seed() -> None:
    some = questions(a=3000)
    kept, other = (apply_caps(some, Caps(per_class=900), seed)[0] for seed in "01")
    assert kept != other
    assert 540 < sum(question.present for question in kept) < 660
