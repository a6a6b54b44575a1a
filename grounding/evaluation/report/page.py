"""The page report.html: which numbers stand where. Layout and colours are in `templates`, what is said is in `words`.

Knows the report as written to report.json, and what is listed; does not measure anything. Everything that came from a
user or a model is escaped by the template engine, or is text in a block of JSON that the page's script shows as text.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import jinja2
from markupsafe import Markup

from grounding.evaluation.breakdowns import MEDIUM_BELOW, SMALL_BELOW
from grounding.evaluation.intervals import FEW
from grounding.evaluation.report.analysis import analysis, gallery_filter, worst_mistake
from grounding.evaluation.report.headline import (
    TILES,
    beside,
    between,
    chance,
    headline_rows,
    n_of,
    percent,
    pick,
    signed,
    span,
    warnings,
)
from grounding.evaluation.report.plots import accuracy_by_threshold, iou_histogram
from grounding.evaluation.report.words import words_in
from grounding.page import layout
from grounding.page.layout import thousands
from grounding.page.thumbnails import FILES, Thumbnails
from grounding.page.words import Words, say

_OF_QUESTIONS = (
    *("grec_50", "acc_50", "mean_iou", "precision_50", "recall_50", "f1_50"),
    *("not_found.recall", "miss_rate"),
)
_OF_BOXES = ("recall_50", "mean_iou", "acc_50", "grid_ceiling")
BY_BOX = ("size", "aspect")
PART_COLUMNS = {
    kind: _OF_BOXES if kind in BY_BOX else _OF_QUESTIONS
    for kind in ("class", "size", "aspect", "targets", "lang", "task")
}
FILTERS = ("class", "size", "lang", "task")  # breakdowns that the gallery can be filtered by
LINES = (("ceiling", "--ceiling"), ("recall", "--second"), ("accuracy", "--accent"))  # of the curve, and their colours
TEXT_MEASURES = ("exact_match", "token_f1", "presence_accuracy", "class_named")
SIZE_MARK = "<!--size-->"  # where the page's own size is put in; no text of others can hold it, they are escaped


def render_page(
    report: Mapping[str, Any], listing: Mapping[str, Any], thumbnails: Thumbnails, *, lang: str = "en"
) -> str:
    """The whole page as one HTML text.

    Args:
        report: as written to report.json.
        listing: the samples for the gallery, as `listing.listing` makes it.
        thumbnails: those inside go into the page, the others are named.
        lang: of the page's words, one of `samples.LANGUAGES`.
    """
    words, script = words_in(lang), layout.packaged(__package__, "report.js")
    # Only this script runs, whatever a phrase or an answer may hold.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    headline = headline_rows(report, lang)
    outcomes = [{"name": name, "words": words["outcomes"][name], "n": n} for name, n in report["outcomes"].items()]
    page = template("report.html.j2").render(
        report=report,
        metrics=report["metrics"],
        words=words,
        headline=headline,
        tiles=[row for key in TILES for group in headline for row in group["rows"] if row["key"] == key],
        columns=list(beside(report, lang)),
        PERFECT=words["columns"]["perfect"],
        parts=part_tables(report, words),
        analysis=analysis(report),
        worst_mistake=worst_mistake(report),
        outcomes=[outcome for outcome in outcomes if outcome["n"]],
        statuses=", ".join(f"{words['status_names'][name]} {thousands(n)}" for name, n in report["statuses"].items()),
        warnings=warnings(report, lang),
        **_plots(report, words),
        lines=LINES[: 3 if report["metrics"]["acc_50"]["n"] else 2],
        text_measures=TEXT_MEASURES,
        with_scores="because" not in report["average_precision"],
        files=FILES,
        listing=_json(listing),
        pictures=_json(_pictures(thumbnails)),
        script_words=_json({**words["script"], "outcomes": words["outcome_names"], "kinds": words["mistake_names"]}),
        style=layout.style(),
        script=Markup(script),
        script_hash=digest,
        size=Markup(SIZE_MARK),
    )
    size = f"{len(page.encode('utf-8', 'replace')) / 1e6:.1f}"
    return page.replace(SIZE_MARK, say(words, "page", "size", size=size))


def template(name: str) -> jinja2.Template:
    """A template of this room, with the filters for rates."""
    return layout.template(
        __package__,
        name,
        percent=percent,
        span=span,
        points=points,
        signed=signed,
        between=between,
        chance=chance,
        n_of=partial(n_of, figure=thousands),
    )


def part_tables(report: Mapping[str, Any], words: Words) -> list[dict[str, Any]]:
    """The breakdowns that say something: classes, sizes and shapes always, the others where there are several."""
    tables = []
    for kind, columns in PART_COLUMNS.items():
        parts = report["breakdowns"][kind]
        if (kind not in ("class", *BY_BOX) and len(parts) < 2) or not parts:
            continue
        rows = [
            {
                "name": part_name(kind, name, words),
                "filter": gallery_filter(**{kind: name}) if kind in FILTERS else None,
                "part": part,
                "rates": [pick(part, key) for key in columns],
            }
            for name, part in parts.items()
        ]
        if kind == "class":
            rows.sort(key=lambda row: -row["part"]["n"])
        about = {"class": "by_class", "size": "by_box", "aspect": "by_box"}.get(kind, "by_question")
        tables.append(
            {
                "kind": kind,
                "heading": words["parts"][kind],
                "about": words["parts"][about],
                "columns": [words["short"][key] for key in columns],
                "rows": rows,
                "few": 0 if kind in BY_BOX else sum(part["n"] < FEW for part in parts.values()),
                "by_box": kind in BY_BOX,
            }
        )
    return tables


def part_name(kind: str, name: str, words: Words) -> str:
    """What a row of a breakdown is called: classes, tasks and languages as the data calls them."""
    if kind == "size":
        return say(words, "sizes", name, small=f"{SMALL_BELOW:.0f}", medium=f"{MEDIUM_BELOW:.0f}")
    return str(words["part_names"][name]) if kind in ("aspect", "targets") else name


def _plots(report: Mapping[str, Any], words: Words) -> dict[str, Markup | None]:
    """`histogram` and `curve`; None where there is no true box."""
    metrics = report["metrics"]
    if not metrics["mean_iou"]["n"]:
        return {"histogram": None, "curve": None}
    curve = accuracy_by_threshold(report["curve"], words, with_accuracy=metrics["acc_50"]["n"] > 0)
    return {"histogram": iou_histogram(report["histogram"], words), "curve": curve}


def _pictures(thumbnails: Thumbnails) -> list[str]:
    """The address of each thumbnail, in the order in which the listing numbers them."""
    return [thumbnails.inside.get(key) or f"{FILES}/{thumbnails.beside[key]}" for key in thumbnails.sizes]


def _json(value: object) -> Markup:
    """A value as JSON that no browser can take for markup, whatever texts are in it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))


def points(gain: float | None) -> str:
    """A gain in percentage points, with its sign; a dash where there is none to be told."""
    return "\u2013" if gain is None else signed(gain)
