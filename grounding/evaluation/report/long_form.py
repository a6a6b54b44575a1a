"""Every rate of a report as one line of CSV: group, measure, value, lo, hi, n. Knows what report.json holds."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

COLUMNS = ("group", "measure", "value", "lo", "hi", "n")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would take the start of a formula for


def write_metrics_csv(path: Path, report: Mapping[str, Any]) -> None:
    """Writes metrics.csv: an empty field where there is no value or interval."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(long_rows(report))


def long_rows(report: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """The rows: `all`, then `baseline/NAME`, `class/NAME` and the other breakdowns, `task/NAME` of answers in words."""
    metrics = dict(report["metrics"])
    baselines = metrics.pop("baselines", {})
    tables = {"all": metrics, "average_precision": report["average_precision"]}
    tables |= {f"baseline/{name}": table for name, table in baselines.items()}
    for kind, parts in report["breakdowns"].items():
        tables |= {f"{kind}/{name}": part for name, part in parts.items()}
    tables |= {f"words/{task}": table for task, table in report["other_tasks"].items()}
    tables |= {f"also/{name}": also["metrics"] for name, also in report.get("also", {}).items()}
    for group, table in tables.items():
        for name, rate in rates_in(table):
            low, high = rate["ci95"] or (None, None)
            yield (harmless(group), name, rate["value"], low, high, rate["n"])


def rates_in(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(dotted name, rate) of every rate in a table of tables."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            if value.keys() >= {"value", "ci95", "n"}:
                yield above + name, value
            else:
                yield from rates_in(value, f"{above}{name}.")


def harmless(text: str) -> str:
    """The text; behind a quote where a spreadsheet would run it."""
    return f"'{text}" if text.startswith(FORMULA) else text
