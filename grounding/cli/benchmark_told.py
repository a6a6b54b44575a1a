"""What `grounding benchmark` says in the terminal of a set that it has measured.

Knows what report.json holds; does not know how anything is measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from grounding.cli.tables import print_whole
from grounding.counted import counted
from grounding.evaluation.report.headline import BASELINE_NAMES, beside, headline_rows, percent, span, warnings

NOT_SHOWN = {BASELINE_NAMES["always_not_found"]}  # plain to see, and the terminal is narrow


def tell_report(console: Console, report: Mapping[str, Any], out: Path, name: str = "") -> None:
    """The headline, and everything that a reader must know beside it.

    Args:
        name: of a set that rode along.
    """
    metrics = report["metrics"]
    heading = f"{name} (--also)" if name else str(report["data"]["name"])
    console.print(f"[bold]{escape(heading)}[/]: {counted(metrics['n'], 'sample')}", highlight=False)
    for warning in warnings(report):
        console.print(f"[bold yellow]Note:[/] {escape(warning)}", highlight=False)
    if metrics["n"]:
        print_whole(console, _headline(report))
        statuses = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in report["statuses"].items())
        console.print(f"Answers: {statuses}", highlight=False)
    reasons = metrics["unparsable"]["by_reason"]
    if reasons:
        console.print(f"Unparsable: {', '.join(f'{reason} {n:,}' for reason, n in reasons.items())}", highlight=False)
    for task, entry in report["other_tasks"].items():
        console.print(f"{task}: exact match {percent(entry['exact_match'])} % of {entry['n']:,}", highlight=False)
    if missing := len(report["pictures"]["missing"]):
        pictures = counted(missing, "picture of the gallery is", "pictures of the gallery are")
        console.print(f"{pictures} not here.", highlight=False)
    console.print(f"Report: {escape(str(out / 'report.html'))}\n", highlight=False, soft_wrap=True)


def _headline(report: Mapping[str, Any]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("percent", no_wrap=True)
    for heading in ("value", "95 %", "n"):
        table.add_column(heading, justify="right", no_wrap=True)
    shown = [heading for heading in beside(report) if heading not in NOT_SHOWN]
    for heading in shown:
        table.add_column(heading, justify="right", min_width=max(map(len, heading.split())))
    for group in headline_rows(report):
        for row in group["rows"]:
            others = (percent(row["beside"][heading]) for heading in shown)
            name = row["name"] + (" ↓" if row["less_is_better"] else "")
            table.add_row(name, f"[bold]{percent(row['rate'])}[/]", span(row["rate"]), f"{row['rate']['n']:,}", *others)
        table.add_section()
    return table
