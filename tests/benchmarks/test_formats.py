"""What goes into `convert` and what comes out balance in every format; the docs show what was counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.formats import BY_DATUMARO, PATH, SAMPLES, balances, markdown, measure, real_cases
from data_tools.readers import OWN

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
