"""The page report.html: which numbers stand where, and in what words. Layout and colours are in `templates`.

Knows the report as written to report.json, and cards; does not measure anything. Everything that came from a user or a
model is escaped by the template engine.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from grounding.evaluation.breakdowns import MEDIUM_BELOW, SMALL_BELOW
from grounding.evaluation.metrics import OUTCOMES
from grounding.evaluation.parse import MISSING
from grounding.evaluation.report.analysis import analysis
from grounding.evaluation.report.gallery import Card
from grounding.evaluation.report.headline import (
    PERFECT,
    TILES,
    beside,
    between,
    chance,
    headline_rows,
    percent,
    pick,
    signed,
    span,
    warnings,
)
from grounding.evaluation.report.plots import accuracy_by_threshold, iou_histogram
from grounding.page import layout
from grounding.page.thumbnails import FILES, Thumbnails
from grounding.text import REASONS

REASON_WORDS = {**REASONS, MISSING: "the predictions file has no answer for it"}
PART_COLUMNS = {
    "class": ("grec_50", "acc_50", "mean_iou", "precision_50", "recall_50", "f1_50", "not_found.recall", "miss_rate"),
    "size": ("recall_50", "mean_iou", "acc_50", "grid_ceiling"),
    "lang": ("grec_50", "acc_50", "mean_iou", "precision_50", "recall_50", "f1_50", "not_found.recall", "miss_rate"),
}
PART_COLUMNS["task"] = PART_COLUMNS["targets"] = PART_COLUMNS["lang"]
PART_COLUMNS["aspect"] = PART_COLUMNS["size"]
BY_BOX = ("size", "aspect")
SHORT_NAMES = {
    "grec_50": "fully right",
    "acc_50": "acc. 0.5",
    "mean_iou": "mean IoU",
    "precision_50": "precision",
    "recall_50": "recall",
    "f1_50": "F1",
    "not_found.recall": "rejected",
    "miss_rate": "missed \u2193",
    "grid_ceiling": "grid ceiling",
}
SIZE_WORDS = {
    "small": f"small, below {SMALL_BELOW:.0f}\u00b2 px",
    "medium": f"medium, below {MEDIUM_BELOW:.0f}\u00b2 px",
    "large": f"large, {MEDIUM_BELOW:.0f}\u00b2 px and more",
}


def render_page(report: Mapping[str, Any], cards: Sequence[Card], thumbnails: Thumbnails) -> str:
    """The whole page as one HTML text.

    Args:
        report: as written to report.json.
        cards: worst first.
        thumbnails: those inside go into the page, the others are named.
    """
    script = layout.packaged(__package__, "report.js")
    # Only this script runs, whatever a phrase or an answer may hold.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    keys = {key: number for number, key in enumerate([*thumbnails.inside, *thumbnails.beside])}
    return template("report.html.j2").render(
        report=report,
        metrics=report["metrics"],
        headline=headline_rows(report),
        tiles=[row for group in headline_rows(report) for row in group["rows"] if row["key"] in TILES],
        columns=list(beside(report)),
        PERFECT=PERFECT,
        parts=part_tables(report),
        analysis=analysis(report),
        outcomes=[{"name": name, "words": OUTCOMES[name], "n": n} for name, n in report["outcomes"].items() if n],
        outcome_words=OUTCOMES,
        reason_words=REASON_WORDS,
        warnings=warnings(report),
        histogram=iou_histogram(report["histogram"]) if report["metrics"]["mean_iou"]["n"] else None,
        curve=accuracy_by_threshold(report["curve"], with_accuracy=report["metrics"]["acc_50"]["n"] > 0)
        if report["metrics"]["mean_iou"]["n"]
        else None,
        cards=cards,
        thumbnails=thumbnails,
        number_of=keys,
        files=FILES,
        style=layout.style(),
        script=Markup(script),
        script_hash=digest,
    )


def template(name: str) -> jinja2.Template:
    """A template of this room, with the filters for rates."""
    return layout.template(__package__, name, percent=percent, span=span, signed=signed, between=between, chance=chance)


def part_tables(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The breakdowns that say something: classes, sizes and shapes always, the others where there are several."""
    headings = {
        "class": "By class",
        "size": "By size of the true box",
        "aspect": "By width to height of the true box",
        "targets": "By number of true boxes",
        "lang": "By language",
        "task": "By task",
    }
    tables = []
    for kind, heading in headings.items():
        parts = report["breakdowns"][kind]
        if (kind not in ("class", *BY_BOX) and len(parts) < 2) or not parts:
            continue
        rows = [
            {
                "name": SIZE_WORDS[name] if kind == "size" else name,
                "part": part,
                "rates": [pick(part, key) for key in PART_COLUMNS[kind]],
            }
            for name, part in parts.items()
        ]
        if kind == "class":
            rows.sort(key=lambda row: -row["part"]["n"])
        tables.append(
            {
                "kind": kind,
                "heading": heading,
                "columns": [SHORT_NAMES[key] for key in PART_COLUMNS[kind]],
                "rows": rows,
                "by_box": kind in BY_BOX,
            }
        )
    return tables
