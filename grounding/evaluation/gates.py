"""Gates: what a measure must reach, or may lose at most, for a run to pass; and their JUnit XML.

Knows reports and comparisons as they are written to JSON; does not know how anything is measured.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from grounding.closest import did_you_mean
from grounding.errors import InputError
from grounding.evaluation.comparison.measures import COMPARED, GATED
from grounding.evaluation.report.headline import pick

UNDER, OVER, DROP = "--fail-under", "--fail-over", "--max-drop"
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, production 2


@dataclass(frozen=True)
class Gate:
    """One condition.

    Attributes:
        option: `UNDER` (at least so much), `OVER` (at most so much) or `DROP` (at most so much worse).
        measure: a key of `measures.GATED`.
        limit: what it is held against.
        data: the name of the set that rode along which it is about; empty for the main one.
    """

    option: str
    measure: str
    limit: float
    data: str = ""

    def __str__(self) -> str:
        about = f"{self.data}:{self.measure}" if self.data else self.measure
        return f"{self.option} {about}={self.limit:g}"


@dataclass(frozen=True)
class Judgement:
    """What became of a gate: whether it was passed, and one line that says what was measured and wanted."""

    gate: Gate
    passed: bool
    said: str

    def __str__(self) -> str:
        return f"{self.gate}: {'passed' if self.passed else 'MISSED'}, {self.said}"


def read_gates(option: str, texts: Sequence[str], sets: Sequence[str] = ()) -> list[Gate]:
    """Gates as a user writes them: `acc_50=0.8`, and `NAME:acc_50=0.8` for a set that rides along.

    Raises:
        InputError: no such measure or set, no number, or a limit on the wrong side.
    """
    return [_gate(option, text, sets) for text in texts]


def _gate(option: str, text: str, sets: Sequence[str]) -> Gate:
    about, equals, number = text.rpartition("=")
    data, _, measure = about.rpartition(":")
    try:
        limit = float(number)
    except ValueError:
        limit = math.nan
    if not equals or not math.isfinite(limit):
        raise InputError(f"{text!r} is no gate; MEASURE=NUMBER is needed, as acc_50=0.8.", where=option)
    allowed = [name for name in GATED if option != DROP or name in COMPARED]
    if measure not in allowed:
        problem = f"there is no measure {measure!r}; there are {', '.join(allowed)}."
        raise InputError(problem, where=option, fix=did_you_mean(measure, allowed))
    if data and data not in sets:
        known = f"; there are {', '.join(sets)}" if sets else ""
        fix = did_you_mean(data, sets) or "Name it with --also."
        raise InputError(f"no set {data!r} rides along{known}.", where=option, fix=fix)
    if measure in COMPARED and limit > 1:
        raise InputError(
            f"{text}: rates are fractions from 0 to 1.", where=option, fix=f"For {limit:g} %: {about}={limit / 100:g}."
        )
    if option == DROP and limit < 0:
        raise InputError(f"{limit:g} is below 0; how much may be lost at most is needed.", where=option)
    if option in (UNDER, OVER) and GATED[measure] != (option == OVER):
        good, right = ("less", OVER) if GATED[measure] else ("more", UNDER)
        raise InputError(f"of {measure} {good} is better.", where=option, fix=f"Use {right} {text}.")
    return Gate(option, measure, limit, data)


def judge_report(gate: Gate, report: Mapping[str, Any]) -> Judgement:
    """A gate about one run's own rate (`UNDER`, `OVER`)."""
    group, _, name = gate.measure.partition(".")
    if group == "average_precision":
        rate = report[group].get(name) or {"value": None, "why": report[group].get("absent")}
    else:
        rate = pick(report["metrics"], gate.measure)
    wanted = f"wanted {gate.limit:g} or {'less' if gate.option == OVER else 'more'}"
    if rate["value"] is None:
        return Judgement(gate, False, f"nothing was measured ({rate.get('why') or 'no samples for it'}), {wanted}")
    value = rate["value"]
    passed = value <= gate.limit if gate.option == OVER else value >= gate.limit
    return Judgement(gate, passed, f"measured {value:.4f}{_interval(rate)}, n {rate['n']:,}; {wanted}")


def judge_drop(gate: Gate, table: Mapping[str, Any], number: int = 0) -> Judgement:
    """A gate about a difference (`DROP`), for one of the runs that a comparison holds against its first.

    Args:
        table: what compare.json holds of the set that the gate is about.
        number: of the other run.
    """
    entry = table["headline"].get(gate.measure)
    difference = entry["differences"][number] if entry else {"value": None}
    against = f"{table['runs'][number + 1]['heading']} against {table['runs'][0]['heading']}: "
    wanted = f"wanted at most {gate.limit:g} {'more' if GATED[gate.measure] else 'less'}"
    if difference["value"] is None:
        return Judgement(gate, False, f"{against}nothing was measured (no samples for it), {wanted}")
    lost = difference["value"] if GATED[gate.measure] else -difference["value"]
    said = f"{against}{entry['rates'][0]['value']:.4f} to {entry['rates'][number + 1]['value']:.4f}, difference "
    said += f"{difference['value']:+.4f}{_interval(difference, '+')}, n {difference['n']:,}; {wanted}"
    # What was lost is a difference of two floats: 0.8 - 0.79 is a little more than 0.01.
    return Judgement(gate, lost <= gate.limit + 1e-12, said)


def junit(judgements: Sequence[Judgement], suite: str) -> bytes:
    """JUnit XML, one test case a gate; characters that XML cannot hold are replaced."""
    missed = sum(not one.passed for one in judgements)
    root = ElementTree.Element("testsuites", tests=str(len(judgements)), failures=str(missed))
    attributes = {"name": _xml(suite), "tests": str(len(judgements)), "failures": str(missed), "errors": "0"}
    cases = ElementTree.SubElement(root, "testsuite", attributes)
    for one in judgements:
        case = ElementTree.SubElement(cases, "testcase", name=_xml(str(one.gate)), classname=_xml(suite))
        if one.passed:
            ElementTree.SubElement(case, "system-out").text = _xml(one.said)
        else:
            ElementTree.SubElement(case, "failure", message=_xml(one.said), type="gate").text = _xml(str(one))
    content: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def _interval(rate: Mapping[str, Any], sign: str = "") -> str:
    return "" if rate["ci95"] is None else f", 95 % {rate['ci95'][0]:{sign}.4f} to {rate['ci95'][1]:{sign}.4f}"


def _xml(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)
