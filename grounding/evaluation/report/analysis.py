"""The tables of the page that say why: kinds of mistakes, mixed-up classes, places, counts, what scores are worth.

Knows the report as written to report.json; does not know layout or words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

COUNTS = (
    *("counting.mean_error", "counting.bias", "mean_giou"),
    *("gap_of_grid", "duplicates.repeated", "runaway.cut"),
)
AVERAGE_PRECISION = ("ap_50_95", "ap_50", "ap_75", "ap_small", "ap_medium", "ap_large", "ar_100")


def analysis(report: Mapping[str, Any]) -> dict[str, Any]:
    """`mistakes`, `confusions`, `places`, `counts` and `scores`, as the template shows them."""
    precision = report["average_precision"]
    return {
        "mistakes": [{"name": kind, **entry} for kind, entry in report["mistakes"].items()],
        "confusions": [
            {**pair, "filter": gallery_filter(**{"class": pair["asked"], "mistake": "wrong_object"})}
            for pair in report["confusion"]["pairs"]
        ],
        "confusions_in_all": report["confusion"]["pairs_in_all"],
        "places": report["place_map"]["recall_50"],
        "counts": [{"key": key, "rate": _dotted(report["metrics"], key)} for key in COUNTS],
        "precision": {key: precision[key] for key in AVERAGE_PRECISION if key in precision},
        "no_scores": precision.get("because"),
        "calibration": report["calibration"],
    }


def worst_mistake(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """The kind whose mending would gain most fully right answers; None where nothing would."""
    kinds = [{"name": kind, **entry} for kind, entry in report["mistakes"].items()]
    worst = max(kinds, key=lambda kind: kind["grec_50_gain"] or 0.0)
    return worst if worst["grec_50_gain"] else None


def gallery_filter(**chosen: str) -> str:
    """The part of the page's address that makes the gallery show such samples (see `templates/report.js`)."""
    return urlencode(chosen)


def _dotted(table: Mapping[str, Any], key: str) -> Any:
    for part in key.split("."):
        table = table[part]
    return table
