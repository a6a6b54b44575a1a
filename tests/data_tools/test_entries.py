"""Single values of annotations: what is a name below a root, a size, a box, a class."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_tools.entries import box_fault, class_name, clean_name, four_numbers, phrase_of, stated_size


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a.jpg", "a.jpg"),
        ("train/a.jpg", "train/a.jpg"),
        ("./train//a.jpg", "train/a.jpg"),
        ("train\\a.jpg", "train/a.jpg"),
        ("图片/一.png", "图片/一.png"),
        ("..a.jpg", "..a.jpg"),
        ("../a.jpg", None),
        ("train/../../a.jpg", None),
        ("..\\a.jpg", None),
        ("/etc/passwd", None),
        ("\\\\host\\share\\a.jpg", None),
        ("C:\\a.jpg", None),
        ("C:a.jpg", None),
        ("a\0.jpg", None),
        ("", None),
        ("  ", None),
        (".", None),
        ("\ud800.jpg", None),
        (None, None),
        (7, None),
    ],
)
def test_names_stay_below_the_root(value: object, expected: str | None) -> None:
    assert clean_name(value) == expected


@given(st.text())
def test_no_text_leads_out(value: str) -> None:
    name = clean_name(value)
    assert name is None or not (name.startswith("/") or ".." in name.split("/") or "\\" in name)


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (640, 480, (640, 480)),
        (640.0, 480.0, (640, 480)),
        (0, 480, None),
        (-640, 480, None),
        (640.5, 480, None),
        (math.nan, 480, None),
        (math.inf, 480, None),
        (10**400, 480, None),
        ("640", 480, None),
        (None, 480, None),
        (True, 480, None),
    ],
)
def test_sizes(width: object, height: object, expected: tuple[int, int] | None) -> None:
    assert stated_size(width, height) == expected


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ((1, 2, 3, 4), None),
        ((1, 2, 1, 4), "zero_area"),
        ((1, 2, 3, 2), "zero_area"),
        ((3, 2, 1, 4), "negative_area"),
        ((1, 2, 3, math.nan), "not_finite"),
        ((1, 2, math.inf, 4), "not_finite"),
    ],
)
def test_box_faults(value: tuple[float, float, float, float], fault: str | None) -> None:
    assert box_fault(value) == fault


@pytest.mark.parametrize("value", [None, 5, "1,2,3,4", [1, 2, 3], [1, 2, 3, "4"], [1, 2, 3, None], [1, 2, 3, True], {}])
def test_what_is_no_four_numbers(value: object) -> None:
    assert four_numbers(value) is None


def test_a_number_too_long_for_a_float_is_infinite() -> None:
    assert four_numbers([10**400, 0, 1, 1]) == (math.inf,) * 4


def test_class_names() -> None:
    assert class_name(" traffic light ") == "traffic light"
    assert class_name("_ _") is None
    assert class_name(3) is None
    assert phrase_of("bow_(decorative__ribbons)\n") == "bow (decorative ribbons)"
