"""`grounding inspect`: looks at a dataset, prints what is worth a word, and writes the page. Imports no torch.

grounding inspect data/mine
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from data_tools.inspection.remarks import is_cut
from grounding.cli.bars import bars

PAGE = "inspect.html"
CLASSES_SHOWN = 20
PAIRS_SHOWN = 5
LEVEL_STYLES = {"fault": "bold red", "warning": "yellow", "note": "cyan"}


@click.command("inspect")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help=f"Default: {PAGE} in the folder.")
@click.option("--images", type=click.Path(path_type=Path), help="Folder of the images, if not as the manifest says.")
@click.option("--check-images/--no-check-images", default=True, show_default=True, help="Read every image.")
@click.option("--cards", type=int, default=120, show_default=True, metavar="N", help="Samples drawn in the page.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw.")
@click.option("--group-by", metavar="REGEX", help="What may not be in two splits. Default: as converted.")
@click.option("--follow-links", is_flag=True, help="Allow symbolic links out of the image root.")
@click.option("--json", "as_json", is_flag=True, help="Print all numbers as JSON, and nothing else.")
@click.option("--page/--no-page", default=True, show_default=True, help="Write the page.")
def command(
    dataset: Path,
    out: Path | None,
    images: Path | None,
    check_images: bool,
    cards: int,
    seed: int,
    group_by: str | None,
    follow_links: bool,
    as_json: bool,
    page: bool,
) -> None:
    """Look at DATASET: a folder that `grounding convert` made, or one JSONL file.

    Says what to look at before training (leaks between splits, look-alike images, rare and small things, faults), and
    shows counts, plots and drawn samples in one page that needs no network. Always exit status 0: `validate` judges.
    """
    from data_tools.inspection.inspection import inspect
    from data_tools.inspection.page import render_page
    from grounding.samples import write_text_atomic

    with bars(quiet=as_json) as progress:
        found = inspect(
            dataset,
            images,
            check_images=check_images,
            cards=cards if page else 0,
            seed=seed,
            group_by=group_by,
            follow_links=follow_links,
            progress=progress,
        )
    if as_json:
        click.echo(json.dumps(found.report, ensure_ascii=False, indent=2))
    else:
        tell(Console(), found.report)
    if page:
        place = out or (dataset if dataset.is_dir() else dataset.parent) / PAGE
        write_text_atomic(place, render_page(found))
        click.echo(f"Page: {place}", err=as_json)


def tell(console: Console, report: Mapping[str, Any]) -> None:
    """The report in the terminal."""
    about = report["dataset"]
    console.print(f"[bold]{escape(about['path'])}[/]: {about['samples']:,} samples, {about['images']:,} images, "
                  f"{about['boxes']:,} boxes", highlight=False)  # fmt: skip
    console.print(_splits(report["splits"]))
    console.print(_classes(report["classes"], list(report["splits"])))
    if report["annotations"]:
        told = ", ".join(f"{entry['reason']} {entry['n']:,} ({entry['outcome']})" for entry in report["annotations"])
        console.print(f"[bold]Annotations:[/] {escape(told)}", highlight=False)
    for pair in report["images"]["closest"][:PAIRS_SHOWN]:
        bits = "the same bytes" if pair["bits"] is None else f"{pair['bits']} of 256 bits differ"
        one, other = (f"{name} ({split})" for name, split in zip(pair["images"], pair["splits"], strict=True))
        console.print(f"[bold]Alike:[/] {escape(one)} and {escape(other)}: {bits}", highlight=False)
    console.print("[bold]What to look at[/]")
    for line in told_findings(report["findings"]):
        console.print(line, highlight=False)


def told_findings(findings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each finding, and its examples."""
    if not findings:
        yield "  Nothing stands out."
    for finding in findings:
        level = finding["level"]
        yield f"  [{LEVEL_STYLES[level]}]{level}[/] {escape(finding['text'])} [dim]\\[{finding['name']}][/]"
        if finding["examples"]:
            more = ", ..." if is_cut(finding) else ""
            yield f"    [dim]{escape(', '.join(finding['examples']))}{more}[/]"


def _splits(splits: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table("split", title="Splits", title_justify="left")
    for heading in ("samples", "images", "found", "not found", "boxes", "label tokens (max)", "grid ceiling"):
        table.add_column(heading, justify="right")
    for name, numbers in splits.items():
        tokens, ceiling = numbers["label_tokens"], numbers["grid_ceiling"]
        counts = [f"{numbers[key]:,}" for key in ("samples", "images", "found", "not_found", "boxes")]
        table.add_row(escape(name), *counts, f"{tokens['mean']:.0f} ({tokens['max']:,})", _figure(ceiling, 4))
    return table


def _classes(classes: Mapping[str, Mapping[str, Any]], splits: Sequence[str]) -> Table:
    """The most and, of many, the least frequent classes."""
    table = Table("class", title=f"Classes ({len(classes):,})", title_justify="left")
    for heading in (*splits, "found", "not found", "side (cells)", "small", "grid ceiling"):
        table.add_column(escape(heading), justify="right")
    table.columns[0].overflow = "fold"  # names can be read in full
    names, half = list(classes), CLASSES_SHOWN // 2
    for name in names if len(names) <= CLASSES_SHOWN else [*names[:half], None, *names[-half:]]:
        if name is None:
            table.add_row("...")
            continue
        entry = classes[name]
        counts = [f"{n:,}" for n in entry["boxes"].values()]
        asked = [f"{sum(entry[key].values()):,}" for key in ("found", "not_found")]
        sizes = [_figure(entry["cells_median"], 0), f"{entry['small']:,}", _figure(entry["grid_ceiling"], 3)]
        table.add_row(escape(name), *counts, *asked, *sizes)
    table.caption, table.caption_justify = "boxes by split; side: the median shorter one; small: under 5 cells", "left"
    return table


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
