"""Tallies add up, remember a few places, and know no reason that the table does not have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import data_tools
from data_tools import records
from data_tools.reasons import REASONS
from data_tools.records import EXAMPLES, Finding, Tally

FINDINGS = st.lists(st.builds(Finding, st.sampled_from(sorted(REASONS)), st.text(max_size=3)), max_size=30)


def test_a_tally_forgets_places_beyond_its_limit_and_no_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "EXAMPLES", 3)
    findings = [Finding("clipped", str(place)) for place in range(5)]
    whole = Tally.of(findings)
    assert whole == Tally.of(findings[:2]) + Tally.of(findings[2:])
    assert (whole.counts["clipped"], [one.place for one in whole.examples["clipped"]]) == (5, ["0", "1", "2"])


@given(FINDINGS, FINDINGS)
def test_the_tally_of_a_sum_is_the_sum_of_tallies(first: list[Finding], second: list[Finding]) -> None:
    assert Tally.of(first) + Tally.of(second) == Tally.of(first + second)


@given(FINDINGS)
def test_every_finding_is_counted_once_under_one_outcome(findings: list[Finding]) -> None:
    tally = Tally.of(findings)
    counted = [tally.having(outcome) for outcome in ("kept", "mended", "refused")]
    assert sum(sum(counts.values()) for counts in counted) == len(findings)
    assert all(len(examples) <= EXAMPLES for examples in tally.examples.values())


def test_an_unknown_reason_is_an_error_of_ours() -> None:
    with pytest.raises(ValueError, match="no_such_reason"):
        Tally.of([Finding("no_such_reason", "here")])


def test_every_reason_is_used_and_every_used_reason_is_in_the_table() -> None:
    folder = Path(data_tools.__file__).parent
    source = "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.py") if path.name != "reasons.py")
    words = set(re.findall(r'"([a-z_]+)"', source))
    assert set(REASONS) <= words
    assert set(re.findall(r'Finding\(\s*"([a-z_]+)"', source)) <= set(REASONS)
