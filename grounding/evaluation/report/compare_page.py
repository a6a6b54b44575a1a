"""The page compare.html: which numbers of several runs stand where, and both answers to a question side by side.

Knows comparisons and cards; does not measure anything. Layout is in `templates/compare.*`, looks in `page.css`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from grounding.evaluation.breakdowns import BREAKDOWNS, PER_SAMPLE
from grounding.evaluation.comparison.compare import Comparison
from grounding.evaluation.comparison.measures import COMPARED, GROUPS, TESTED
from grounding.evaluation.comparison.numbers import SURE, verdict
from grounding.evaluation.metrics import OUTCOMES
from grounding.evaluation.mistakes import KINDS
from grounding.evaluation.report.compare_cards import CompareCard
from grounding.evaluation.report.headline import TILES
from grounding.evaluation.report.page import BY_BOX, part_name, template
from grounding.evaluation.report.words import words_in
from grounding.page import layout
from grounding.page.thumbnails import Thumbnails

PER_QUESTION = (*(key for key in TESTED if key in PER_SAMPLE), "f1_50", "mean_iou")
PER_BOX = ("acc_50", "recall_50", "mean_iou")
OF_OTHER_SETS = ("acc_50", "grec_50")  # the tile of a set that rode along: the first that counts something

Group = tuple[str, Comparison]


def render_comparison(
    groups: Sequence[Group],
    cards: Sequence[CompareCard],
    thumbnails: Thumbnails,
    *,
    title: str,
    lead: str = "",
    gallery: str,
    facts: Mapping[str, str] | None = None,
    links: Mapping[str, str] | None = None,
    notes: Sequence[tuple[str, str]] = (),
) -> str:
    """The page as one HTML text.

    Args:
        groups: a name for the data and the runs over it; all with as many runs. Cards are about the first.
        cards, thumbnails: from `compare_cards`.
        lead: the sentence under the title. gallery: the one above the cards: how they were chosen.
        facts: what else a reader should know, by name. links: addresses of the whole reports, by name.
        notes: headings and texts as a terminal shows them, folded up.
    """
    script = layout.packaged(__package__, "compare.js")
    main = groups[0][1].table
    classes = sorted({card.sample.category for card in cards if card.sample.category})
    return template("compare.html.j2").render(
        title=title,
        lead=lead,
        groups=[(name, comparison.table) for name, comparison in groups],
        main=main,
        headings=[run["heading"] for run in main["runs"]],
        tiles=tiles(groups),
        headline=headline_table(groups),
        parts=part_tables(main),
        moves=[_moves(changes) for changes in main["changes"]],
        mistakes=_mistakes(main["mistakes"]),
        other_tasks=_other_tasks(main["other_tasks"]),
        warnings=[note for _, comparison in groups for note in comparison.table["notes"]],
        outcome_words=OUTCOMES,
        cards=cards,
        classes=classes,
        tags={tag for card in cards for tag in card.tags},
        gallery=gallery,
        thumbnails=thumbnails,
        number_of={key: number for number, key in enumerate(thumbnails.inside)},
        facts=facts or {},
        links=links or {},
        notes=notes,
        sure=SURE,
        PERFECT=None,
        style=layout.style() + Markup(layout.packaged(__package__, "compare.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


def tiles(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """The figures at the top: those of a report for the first set, and one for each set that rode along."""
    wanted = [(0, key) for key in TILES]
    for number, (_, comparison) in enumerate(groups[1:], start=1):
        table = comparison.table["headline"]
        wanted += [(number, key) for key in OF_OTHER_SETS if table and table[key]["rates"][0]["n"]][:1]
    made = []
    for number, key in wanted:
        name, comparison = groups[number]
        if not comparison.table["headline"]:
            continue
        entry = comparison.table["headline"][key]
        further = zip(comparison.table["runs"][2:], entry["rates"][2:], strict=True)
        made.append(
            {
                "name": f"{COMPARED[key].name}, {name}" if len(groups) > 1 else COMPARED[key].name,
                "before": entry["rates"][0],
                "after": entry["rates"][1],
                "difference": entry["differences"][0],
                "verdict": verdict(entry, 0, key),
                "further": [(run["heading"], rate) for run, rate in further],
            }
        )
    return made


def headline_table(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Headings and rows; each row has for each group its cells, one a run."""
    tables = [comparison.table["headline"] for _, comparison in groups]
    if not tables[0]:
        return []
    return [
        {
            "heading": heading,
            "rows": [
                {**one._asdict(), "cells": [_cells(table[one.key], one.key) if table else [] for table in tables]}
                for one in measures
            ],
        }
        for heading, measures in GROUPS
    ]


def part_tables(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The breakdowns that say something: classes, sizes and shapes always, the others where there are several."""
    made, words = [], words_in("en")
    for kind in BREAKDOWNS:
        parts = table["breakdowns"].get(kind, {})
        if (kind not in ("class", *BY_BOX) and len(parts) < 2) or not parts:
            continue
        wanted = PER_BOX if kind in BY_BOX else PER_QUESTION
        keys = [key for key in wanted if any(key in part["measures"] for part in parts.values())]
        rows = [
            {
                "name": part_name(kind, name, words),
                "part": part,
                "cells": [_cells(part["measures"][key], key) if key in part["measures"] else [] for key in keys],
            }
            for name, part in parts.items()
        ]
        if kind == "class":
            rows.sort(key=lambda row: -row["part"]["n"])
        columns = [{"name": words["short"][key], "tested": key in TESTED} for key in keys]
        made.append(
            {"kind": kind, "heading": words["parts"][kind], "columns": columns, "rows": rows, "by_box": kind in BY_BOX}
        )
    return made


def _mistakes(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each kind of mistake: what it is, how often each run made it, and its cells."""
    names = words_in("en")["mistake_names"]
    return [
        {"name": names[kind], "meaning": KINDS[kind], "counts": entry["counts"], "cells": _cells(entry, kind)}
        for kind, entry in table.items()
    ]


def _other_tasks(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": task, "n": entry["rates"][0]["n"], "cells": _cells(entry, "exact_match")}
        for task, entry in table.items()
    ]


def _cells(entry: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """One cell a run: its rate, and but for the first its difference, what it is worth, and its test."""
    cells: list[dict[str, Any]] = [{"rate": entry["rates"][0], "difference": None, "verdict": "", "test": None}]
    for number, (rate, difference) in enumerate(zip(entry["rates"][1:], entry["differences"], strict=True)):
        test = None if entry["tests"] is None else entry["tests"][number]
        cells.append({"rate": rate, "difference": difference, "verdict": verdict(entry, number, key), "test": test})
    return cells


def _moves(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The table of outcomes: from which (rows) to which (columns), without those that nothing comes from or goes to."""
    table = changes["outcomes"]
    columns = [name for name in OUTCOMES if any(name in row for row in table.values())]
    return {
        **changes,
        "columns": columns,
        "rows": [{"name": name, "n": [table[name].get(to, 0) for to in columns]} for name in OUTCOMES if name in table],
    }
