"""Gates: read as written, judged by value or by the drop, and their JUnit XML is XML whatever the names hold."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grounding.errors import InputError
from grounding.evaluation.comparison.measures import COMPARED, GATED
from grounding.evaluation.gates import DROP, OVER, UNDER, Gate, Judgement, judge_drop, judge_report, junit, read_gates
from grounding.evaluation.report.headline import pick
from tests.evaluation.comparison.making import AFTER, BEFORE, SAMPLES, compared, write_run
from tests.evaluation.making import random_set


def test_every_gated_measure_is_in_a_report(tmp_path: Path) -> None:
    samples, texts = random_set(0, 40)
    report = write_run(tmp_path, samples, texts)
    for measure in GATED:
        if measure.startswith("average_precision."):
            judged = judge_report(Gate(UNDER, measure, 0.5), report)
            assert not judged.passed and "carry no scores" in judged.said
        else:
            assert set(pick(report["metrics"], measure)) == {"value", "ci95", "n"}
    assert set(COMPARED) < set(GATED)


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        (UNDER, "acc_50", "is no gate"),
        (UNDER, "acc_50=high", "is no gate"),
        (UNDER, "acc_50=nan", "is no gate"),
        (UNDER, "acc50=0.8", "there is no measure 'acc50'; there are grec_50, acc_50"),
        (UNDER, "acc50=0.8", "Did you mean 'acc_50'"),
        (UNDER, "not_found.reccall=0.8", "Did you mean 'not_found.recall'"),
        (UNDER, "=0.8", "there is no measure ''"),
        (UNDER, "unparsable.rate=0.1", "Use --fail-over unparsable.rate=0.1"),
        (OVER, "acc_50=0.1", "Use --fail-under"),
        (DROP, "acc_50=-0.1", "below 0"),
        (UNDER, "acc_50=80", "fractions from 0 to 1. For 80 %: acc_50=0.8"),
        (OVER, "hallucination_rate=10", "For 10 %: hallucination_rate=0.1"),
        (DROP, "average_precision.ap_50=0.1", "there is no measure"),
        (UNDER, "general:acc_50=0.5", "no set 'general' rides along"),
    ],
)
def test_wrong_gates(option: str, text: str, message: str) -> None:
    with pytest.raises(InputError, match=f"(?s){option}.*{message}"):
        read_gates(option, [text])


def test_gates_are_read_as_they_are_written() -> None:
    assert read_gates(UNDER, ["acc_50=0.8", "x:not_found.f1=1"], ["x"]) == [
        Gate(UNDER, "acc_50", 0.8),
        Gate(UNDER, "not_found.f1", 1.0, "x"),
    ]
    assert str(Gate(DROP, "acc_50", 0.01, "x")) == "--max-drop x:acc_50=0.01"


def test_a_rate_passes_up_to_the_limit_itself(tmp_path: Path) -> None:
    report = write_run(tmp_path, SAMPLES, BEFORE)
    value = report["metrics"]["acc_50"]["value"]
    assert judge_report(Gate(UNDER, "acc_50", value), report).passed
    missed = judge_report(Gate(UNDER, "acc_50", value + 1e-6), report)
    assert not missed.passed and "measured 0.5000, 95 % 0.0945 to 0.9055, n 2; wanted 0.500001" in missed.said
    assert judge_report(Gate(OVER, "unparsable.rate", 0.25), report).passed
    assert not judge_report(Gate(OVER, "unparsable.rate", 0.24), report).passed


def test_nothing_measured_is_not_passed(tmp_path: Path) -> None:
    report = write_run(tmp_path, SAMPLES[:1], BEFORE[:1])
    judged = judge_report(Gate(UNDER, "not_found.recall", 0.0), report)
    assert not judged.passed and "nothing was measured (no samples for it)" in judged.said
    table = compared(tmp_path / "two", BEFORE[:1], AFTER[:1], samples=SAMPLES[:1]).table
    assert not judge_drop(Gate(DROP, "not_found.recall", 1.0), table).passed


def test_a_drop_is_what_became_worse(tmp_path: Path) -> None:
    table = compared(tmp_path, AFTER, BEFORE).table  # unparsable 0 -> 1 of 4, grec_50 as before
    assert judge_drop(Gate(DROP, "grec_50", 0.0), table).passed
    missed = judge_drop(Gate(DROP, "unparsable.rate", 0.2), table)
    assert not missed.passed and "b against a: 0.0000 to 0.2500, difference +0.2500" in missed.said
    assert judge_drop(Gate(DROP, "unparsable.rate", 0.25), table).passed
    back = compared(tmp_path / "back", BEFORE, AFTER).table
    assert judge_drop(Gate(DROP, "unparsable.rate", 0.0), back).passed, "better is no drop"


def test_a_limit_met_to_the_last_digit_is_met() -> None:
    entry = {"rates": [{"value": 0.8}, {"value": 0.79}], "differences": [{"value": 0.79 - 0.8, "ci95": None, "n": 9}]}
    table = {"headline": {"acc_50": entry}, "runs": [{"heading": "a"}, {"heading": "b"}]}
    assert judge_drop(Gate(DROP, "acc_50", 0.01), table).passed, "0.8 - 0.79 is more than 0.01 by rounding alone"


@given(st.text(), st.text(), st.booleans())
def test_junit_is_xml_whatever_the_names_hold(name: str, said: str, passed: bool) -> None:
    gates = [Judgement(Gate(UNDER, "acc_50", 0.5, name), passed, said), Judgement(Gate(UNDER, "f1_50", 1), True, "")]
    root = ElementTree.fromstring(junit(gates, name))
    suite = root[0]
    assert (suite.get("tests"), suite.get("failures")) == ("2", "0" if passed else "1")
    assert [len(case.findall("failure")) for case in suite] == [0 if passed else 1, 0]


def test_junit_replaces_what_xml_cannot_hold() -> None:
    content = junit([Judgement(Gate(UNDER, "f1_50", 1, "a\x00\ufffe\ud800<&\"'"), False, "]]>")], "\x1b[31m")
    case = ElementTree.fromstring(content)[0][0]
    assert case.get("name") == "--fail-under a\ufffd\ufffd\ufffd<&\"':f1_50=1"
    assert case.get("classname") == "\ufffd[31m" and case[0].get("message") == "]]>"
