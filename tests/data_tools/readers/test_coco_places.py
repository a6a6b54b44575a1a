"""An id is found alike whether the ids lie close together or far apart, and one that there is not is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_tools.readers.coco_boxes import places_of
from data_tools.readers.coco_entries import LARGEST

CLOSE, FAR = 7, 1 << 40
ids = st.integers(-3, 3)


@pytest.mark.parametrize("apart", [1, CLOSE, FAR])
@given(known=st.lists(ids, unique=True), asked=st.lists(ids))
def test_each_id_has_the_place_that_it_is_known_at(apart: int, known: list[int], asked: list[int]) -> None:
    place_of: dict[Any, int] = {key * apart: place for place, key in enumerate(known)}
    wanted = np.array([key * apart for key in asked], dtype=np.int64)
    assert places_of(wanted, place_of).tolist() == [place_of.get(key * apart, -1) for key in asked]


def test_ids_that_no_column_has_are_passed_over() -> None:
    place_of = {"a": 0, 2.5: 1, float("inf"): 2, LARGEST * 4: 3, 2.0: 4, -LARGEST: 5}
    assert places_of(np.array([2, 0, -LARGEST, LARGEST]), place_of).tolist() == [4, -1, 5, -1]
