"""`grounding compare`: report folders over the same samples held against the first of them.

Joins reading, comparing and showing; knows nothing of how each works. Needs no model and no torch.

grounding compare runs/before/report runs/mine/report --out runs/comparison
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from grounding.cli.gates import comparison_gates, enforce, gates_of
from grounding.cli.model_options import PATH
from grounding.cli.tables import output, print_whole
from grounding.cli.there import check_out
from grounding.counted import counted
from grounding.errors import InputError
from grounding.evaluation.comparison.measures import COMPARED
from grounding.evaluation.comparison.numbers import SURE, verdict
from grounding.evaluation.comparison.runs import read_runs
from grounding.evaluation.gates import Gate, Judgement, judge_drop
from grounding.evaluation.report.headline import chance, percent
from grounding.evaluation.report.limits import MOST_COMPARED
from grounding.evaluation.report.markdown import points
from grounding.page.thumbnails import INSIDE

COLOURS = {"better": "green", "worse": "red", "": "none"}


@click.command(name="compare")
@click.argument("runs", nargs=-1, required=True, metavar="RUN_A RUN_B [...]")
@click.option("--out", type=PATH, required=True, metavar="DIR", help="Where compare.html, .json and .md go.")
@click.option("--images", type=PATH, metavar="DIR", help="Image root, in place of the one that RUN_A names.")
@click.option(
    "--gallery", type=click.IntRange(0, INSIDE), default=MOST_COMPARED, show_default=True, help="Answers shown."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the intervals.")
@click.option("--follow-links", is_flag=True, help="Allow symbolic links out of the image root.")
@comparison_gates
def command(runs: Sequence[str], out: Path, **options: Any) -> None:
    """Hold runs over the same samples against the first of them: what became better, what worse, and is it chance.

    Each RUN is a report folder that `grounding benchmark` wrote, or NAME=FOLDER to name its column. Runs over other
    samples are refused. --out gets compare.html, compare.json and compare.md; sets that rode along with all runs are
    compared too.
    """
    if len(runs) < 2:
        raise InputError("two report folders or more are needed.", where="grounding compare")
    check_out(out)
    read = read_runs([_named(run) for run in runs])
    gates = gates_of(options, list(read[0].report.get("also", {})))
    # The drawing libraries take a second to load; a wrong call should fail before.
    from grounding.evaluation.report.compare_write import groups_of, write_comparison

    groups = groups_of(read, seed=options["seed"])
    table = write_comparison(
        out, groups, images=options["images"], cards=options["gallery"], follow_links=options["follow_links"]
    )
    tell(output(), table, out)
    enforce(judge_all_drops(gates, table), options["junit"], f"grounding compare {out.name}")


def judge_all_drops(gates: Sequence[Gate], table: Mapping[str, Any]) -> list[Judgement]:
    """Each gate for each run that was held against the first.

    Raises:
        InputError: a gate is about a set that did not ride along with all of them.
    """
    judged = []
    for gate in gates:
        if gate.data and gate.data not in table["also"]:
            fix = "Measure the runs that lack it with the same --also."
            raise InputError(f"the set {gate.data!r} did not ride along with every run.", where=gate.option, fix=fix)
        about = table["also"][gate.data] if gate.data else table
        judged += [judge_drop(gate, about, number) for number in range(len(about["runs"]) - 1)]
    return judged


def _named(text: str) -> tuple[str | None, Path]:
    """NAME=FOLDER, or a folder that is there, whatever is in its name."""
    heading, equals, folder = text.partition("=")
    return (None, Path(text)) if not equals or Path(text).exists() else (heading or None, Path(folder))


def tell(console: Console, table: Mapping[str, Any], out: Path) -> None:
    """The differences of the headline, what flipped, and where the page is."""
    for name, part in {"": table, **table["also"]}.items():
        for note in part["notes"]:
            console.print(f"[bold yellow]Note:[/] {escape(note)}", highlight=False)
        for number in range(1, len(part["runs"]) if part["headline"] else 0):
            title = f"{name or part['data'].get('name', '')}: {counted(part['n'], 'sample')}"
            print_whole(console, _table(part, number, escape(title)))
    if table["headline"]:
        told = f"Colours and p: exact tests after Holm's correction, p < {SURE}. Intervals without a p decide nothing."
        console.print(told, highlight=False)
    headings = [run["heading"] for run in table["runs"]]
    for heading, changes in zip(headings[1:], table["changes"], strict=True):
        counts = changes["counts"]
        told = f"{headings[0]} -> {heading}: {counts['gained']:,} gained, {counts['lost']:,} lost, {counts['both']:,} "
        console.print(f"{escape(told)}right with both, {counts['neither']:,} with neither.", highlight=False)
    console.print(f"Comparison: {escape(str(out / 'compare.html'))}", highlight=False, soft_wrap=True)


def _table(part: Mapping[str, Any], number: int, title: str) -> Table:
    """A run, by its number, beside the first: one table each, so that no figure is cut off."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("percent", no_wrap=True)
    for run in (part["runs"][0], part["runs"][number]):
        table.add_column(escape(run["heading"]), justify="right", overflow="fold")
    table.add_column("difference, 95 %", justify="right", no_wrap=True)
    table.add_column("p", justify="right", no_wrap=True)
    for key, one in COMPARED.items():
        entry, name = part["headline"][key], one.name + (" ↓" if one.less_is_better else "")
        colour, difference = COLOURS[verdict(entry, number - 1, key)], points(entry["differences"][number - 1])
        p = "" if entry["tests"] is None else chance(entry["tests"][number - 1]["p_holm"])
        rates = (percent(entry["rates"][0]), percent(entry["rates"][number]))
        table.add_row(name, *rates, f"[{colour}]{difference}[/]", p)
    return table
