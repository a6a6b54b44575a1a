"""What goes into `convert` and what comes out balance in every format; the docs show what was counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.formats import BY_DATUMARO, PATH, SAMPLES, balances, markdown, measure, real_cases
from data_tools.readers import OWN
from tests.data_tools import sets

ROOT = Path(__file__).resolve().parents[2]
KEPT = json.loads(PATH.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_balances_and_is_as_it_was_counted(name: str) -> None:
    row = measure(SAMPLES[name])
    assert balances(row)
    assert row["refused"] > 0 and row["asked for"] > 0, "a sample without faults shows nothing"
    assert row == KEPT[name]


@pytest.mark.parametrize("name", BY_DATUMARO)
def test_a_sample_read_by_datumaro_balances(name: str) -> None:
    pytest.importorskip("datumaro")
    row = measure(BY_DATUMARO[name])
    assert balances(row) and row == KEPT[name]


corners = st.tuples(*(st.integers(-9, 49) for _ in range(4)))
objects = st.builds(sets.Object, st.sampled_from(sets.NAMES), corners, st.booleans())
truths = st.dictionaries(st.sampled_from("23456789"), st.lists(objects, max_size=5), max_size=6)


@pytest.mark.parametrize("name", ["COCO", "Pascal VOC", "YOLO", "Open Images"])
@settings(max_examples=15)
@given(truth=truths, missing=st.sets(st.sampled_from("23456789")))
def test_whatever_is_annotated_balances(name: str, truth: sets.Boxes, missing: set[str]) -> None:
    """Boxes inside out, without area, outside, twice the same; pictures that are not there."""
    build = {"COCO": sets.coco, "Pascal VOC": sets.voc, "YOLO": sets.yolo, "Open Images": sets.openimages}[name]
    truth = {**sets.TRUTH, **truth}
    case = SAMPLES[name]._replace(source=lambda folder: build(folder, truth, missing & truth.keys()))
    assert balances(measure(case))


def test_real_sets_balance(shared_dir: Path) -> None:
    for name, case in real_cases(shared_dir / "data").items():
        row = measure(case)
        assert balances(row) and row == KEPT[name], name


def test_every_format_has_a_sample() -> None:
    assert {KEPT[name]["read as"] for name in SAMPLES} == set(OWN)


def test_what_is_lost_or_made_up_does_not_balance() -> None:
    row = KEPT["COCO"]
    assert balances(row)
    assert not balances({**row, "asked for": row["asked for"] + 1})
    assert not balances({**row, "refused": row["refused"] - 1})


def test_the_docs_show_the_table() -> None:
    page = (ROOT / "docs" / "readers.md").read_text(encoding="utf-8")
    assert markdown(KEPT) in page
