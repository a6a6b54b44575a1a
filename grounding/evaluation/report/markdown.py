"""Reports and comparisons as short Markdown for a pull request: the headline with intervals, and what changed.

Knows what report.json and compare.json hold; does not know pages. Names from outside are made harmless.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from grounding.counted import counted
from grounding.evaluation.comparison.measures import COMPARED
from grounding.evaluation.comparison.numbers import SURE, verdict
from grounding.evaluation.report.headline import (
    between,
    chance,
    headline_rows,
    n_of,
    percent,
    signed,
    span,
    warnings,
)

NAMED = 10  # samples that became worse, by name
MARK = {"better": "🟢 ", "worse": "🔴 ", "": ""}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|&~!])")


def report_markdown(report: Mapping[str, Any]) -> str:
    """A report: what was measured on what, what to know before reading, and the headline table."""
    metrics, data = report["metrics"], report["data"]
    lines = ["### Grounding benchmark", ""]
    lines += [
        f"{plain(report['answers'].get('name'))} on {plain(data.get('name'))}: "
        f"{counted(metrics['n'], 'question')} about {counted(data['images'], 'image')}, "
        f"protocol {report['protocol']['name']}.",
        "",
    ]
    for warning in warnings(report):
        lines += [f"> {plain(warning)}", ""]
    if metrics["n"]:
        rows = [
            [
                _name(row["name"], row["less_is_better"]),
                percent(row["rate"]),
                span(row["rate"]),
                f"{row['rate']['n']:,}",
            ]
            for group in headline_rows(report)
            for row in group["rows"]
        ]
        lines += [*_table(["percent", "value", "95 %", "n"], rows), ""]
    for name, also in report.get("also", {}).items():
        rows = [[f"`{key}`", percent(rate), span(rate), f"{rate['n']:,}"] for key, rate in also["metrics"].items()]
        lines += [f"Riding along: {plain(name)}", "", *_table(["percent", "value", "95 %", "n"], rows), ""]
    return "\n".join(lines)


def comparison_markdown(groups: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """A comparison: for each set of data, by its name and what compare.json holds of it, headline and changes."""
    lines = ["### Grounding comparison", ""]
    for name, table in groups:
        if len(groups) > 1:
            lines += [f"#### {plain(name)}", ""]
        lines += _comparison(table)
    return "\n".join(lines)


def _comparison(table: Mapping[str, Any]) -> Iterator[str]:
    headings = [plain(run["heading"]) for run in table["runs"]]
    for note in table["notes"]:
        yield from (f"> {plain(note)}", "")
    if not table["headline"]:
        return
    columns = ["percent", headings[0]]
    for heading in headings[1:]:
        columns += [heading, "difference (95 %)", "p"]
    yield from _table([*columns, "n"], _rows(table))
    yield ""
    yield "p: exact test of the questions that one run alone has right, images kept whole, after Holm's correction."
    yield f"{MARK['better']}better and {MARK['worse']}worse only where it is below {SURE}; n as in the reports."
    yield ""
    for heading, changes in zip(headings[1:], table["changes"], strict=True):
        counts = changes["counts"]
        yield (
            f"{headings[0]} → {heading}: {counts['gained']:,} gained, {counts['lost']:,} lost, "
            f"{counts['both']:,} right with both, {counts['neither']:,} with neither."
        )
        yield ""
        worse = changes["worse"]
        if worse:
            yield f"<details><summary>Lost, the largest change first ({len(worse):,})</summary>"
            yield ""
            for one in worse[:NAMED]:
                yield f"- {plain(one['id'])}: {_words(one['from'])} → {_words(one['to'])}"
            if len(worse) > NAMED:
                yield f"- and {len(worse) - NAMED:,} more, in compare.json"
            yield from ("", "</details>", "")


def _rows(table: Mapping[str, Any]) -> Iterator[list[str]]:
    for key, one in COMPARED.items():
        entry = table["headline"][key]
        row = [_name(one.name, one.less_is_better), percent(entry["rates"][0])]
        for number, (rate, difference) in enumerate(zip(entry["rates"][1:], entry["differences"], strict=True)):
            p = "" if entry["tests"] is None else chance(entry["tests"][number]["p_holm"])
            row += [percent(rate), MARK[verdict(entry, number, key)] + points(difference), p]
        yield [*row, n_of(entry["rates"])]


def points(difference: Mapping[str, Any]) -> str:
    """A difference in percentage points with its interval: `+1.2 (−0.3 to +2.7)`."""
    if difference["value"] is None:
        return "\u2013"
    return signed(difference["value"]) + (f" ({between(difference)})" if difference["ci95"] else "")


def plain(text: Any) -> str:
    """A text on one line, in which nothing is Markdown, HTML, a mention or a link."""
    spaced = " ".join("".join(character if character.isprintable() else " " for character in str(text)).split())
    return _SPECIAL.sub(r"\\\1", spaced).replace("@", "@\u200b").replace("://", ":\u200b//")


def _name(name: str, less_is_better: bool) -> str:
    return name + (" ↓" if less_is_better else "")


def _words(outcome: str) -> str:
    return outcome.replace("_", " ")


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"| --- |{' ---: |' * (len(columns) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
