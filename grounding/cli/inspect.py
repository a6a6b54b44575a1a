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

from data_tools.inspection.measures import SMALL
from data_tools.inspection.remarks import is_cut
from data_tools.inspection.words import words_in
from data_tools.writers.folder import PAGE
from grounding.cli.bars import bars
from grounding.cli.choice import Choice
from grounding.cli.tables import output, print_whole
from grounding.page.words import Words, say
from grounding.samples import LANGUAGES

COUNTS = ("samples", "images", "found", "not_found", "asks_no_box", "boxes_in_answers")
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
@click.option("--lang", type=Choice(LANGUAGES), default="en", show_default=True, help="Words of the page and of this.")
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
    lang: str,
    as_json: bool,
    page: bool,
) -> None:
    """Look at DATASET: a folder that `grounding convert` made, or one JSONL file.

    Says what to look at before training (leaks between splits, look-alike images, rare and small things, faults), and
    shows counts, plots and drawn samples in one page that needs no network. Exit status 0 whatever it finds: `validate`
    judges labels and prompts.
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
            lang=lang,
            progress=progress,
        )
    if as_json:
        click.echo(json.dumps(found.report, ensure_ascii=False, indent=2))
    else:
        tell(output(), found.report, words_in(lang))
    if page:
        place = out or (dataset if dataset.is_dir() else dataset.parent) / PAGE
        write_text_atomic(place, render_page(found))
        click.echo(say(words_in(lang), "terminal", "page", place=place), err=as_json)


def tell(console: Console, report: Mapping[str, Any], words: Words) -> None:
    """The report in the terminal."""
    about, terminal = report["dataset"], words["terminal"]
    amounts = {"samples": about["samples"], "images": about["images"], "objects": about["boxes"]}
    lead = say(words, "terminal", "lead", **told_amounts(words, amounts))
    console.print(f"[bold]{escape(about['path'])}[/]: {lead}", highlight=False)
    print_whole(console, _splits(report["splits"], words))
    print_whole(console, _classes(report["classes"], list(report["splits"]), words))
    if report["annotations"]:
        told = ", ".join(
            f"{entry['reason']} {entry['n']:,} ({words['outcomes'][entry['outcome']]})"
            for entry in report["annotations"]
        )
        console.print(f"[bold]{terminal['annotations']}[/] {escape(told)}", highlight=False)
    for pair in report["images"]["closest"][:PAIRS_SHOWN]:
        one, other = (f"{name} ({split})" for name, split in zip(pair["images"], pair["splits"], strict=True))
        bits = words["bits"]["bytes"] if pair["bits"] is None else say(words, "bits", "some", n=pair["bits"])
        told = say(words, "terminal", "pair", one=one, other=other, bits=bits)
        console.print(f"[bold]{terminal['alike']}[/] {escape(told)}", highlight=False)
    console.print(f"[bold]{terminal['look_at']}[/]")
    for line in told_findings(report["findings"], words):
        console.print(line, highlight=False)
    if not report["findings"]:
        console.print(f"  {words['nothing']}")
    if not report["images"]["read"] and not report["images"]["faults"]["missing"]:
        console.print(f"  {words['unread']}")


def told_amounts(words: Words, amounts: Mapping[str, int]) -> dict[str, str]:
    """Each number with what it is a number of."""
    return {thing: say(words, "amounts", thing, n=n) for thing, n in amounts.items()}


def told_findings(findings: Sequence[Mapping[str, Any]], words: Words) -> Iterator[str]:
    """A line for each finding, and its examples."""
    for finding in findings:
        level = finding["level"]
        style, name = LEVEL_STYLES[level], words["levels"][level]
        yield f"  [{style}]{name}[/] {escape(finding['text'])} [dim]\\[{finding['name']}][/]"
        if finding["examples"]:
            more = ", ..." if is_cut(finding) else ""
            yield f"    [dim]{escape(', '.join(finding['examples']))}{more}[/]"


def _splits(splits: Mapping[str, Mapping[str, Any]], words: Words) -> Table:
    columns = words["columns"]
    table = Table(columns["split"], title=words["terminal"]["splits"], title_justify="left")
    keys = {**{key: key for key in COUNTS}, "objects": "boxes"}
    for key in (*keys, "tokens", "longest", "ceiling"):
        table.add_column(columns[key], justify="right")
    for name, numbers in splits.items():
        tokens = numbers["label_tokens"]
        counts = [f"{numbers[key]:,}" for key in keys.values()]
        figures = (f"{tokens['mean']:.0f}", f"{tokens['max']:,}", _figure(numbers["grid_ceiling"], 4))
        table.add_row(escape(name), *counts, *figures)
    table.caption, table.caption_justify = words["terminal"]["splits_about"], "left"
    return table


def _classes(classes: Mapping[str, Mapping[str, Any]], splits: Sequence[str], words: Words) -> Table:
    """The most and, of many, the least frequent classes."""
    columns = words["columns"]
    title = say(words, "terminal", "classes", n=len(classes))
    table = Table(columns["class"], title=title, title_justify="left")
    asked, small = ("found", "not_found"), say(words, "columns", "small", cells=SMALL)
    for heading in (*splits, *(columns[key] for key in asked), columns["side"], small, columns["ceiling"]):
        table.add_column(escape(heading), justify="right")
    table.columns[0].overflow = "fold"  # names can be read in full
    names, half = list(classes), CLASSES_SHOWN // 2
    for name in names if len(names) <= CLASSES_SHOWN else [*names[:half], None, *names[-half:]]:
        if name is None:
            table.add_row("...")
            continue
        entry = classes[name]
        counts = [f"{n:,}" for n in (*entry["boxes"].values(), *(sum(entry[key].values()) for key in asked))]
        sizes = [_figure(entry["cells_median"], 0), f"{entry['small']:,}", _figure(entry["grid_ceiling"], 3)]
        table.add_row(escape(name), *counts, *sizes)
    about = say(words, "terminal", "classes_about", splits=", ".join(splits), cells=SMALL)
    table.caption, table.caption_justify = escape(about), "left"
    return table


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
