"""The tables of the page that say why: kinds of mistakes, mixed-up classes, places, counts, what scores are worth.

Knows the report as written to report.json; does not know layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grounding.evaluation.mistakes import KINDS

COUNTS = (
    ("counting.mean_error", "Boxes too many or too few, on average"),
    ("counting.bias", "The same with its sign: above 0 are too many"),
    ("mean_giou", "Mean generalised IoU, \u22121 where nothing is matched"),
    ("gap_of_grid", "Part of what is missing to IoU 1 that the grid costs"),
    ("duplicates.repeated", "Answered boxes that stand in the answer before"),
    ("runaway.cut", "Answers that the token budget ended"),
)
AVERAGE_PRECISION = {
    "ap_50_95": "AP, 0.5 to 0.95",
    "ap_50": "AP at 0.5",
    "ap_75": "AP at 0.75",
    "ap_small": "AP, small",
    "ap_medium": "AP, medium",
    "ap_large": "AP, large",
    "ar_100": "AR, 0.5 to 0.95",
}


def analysis(report: Mapping[str, Any]) -> dict[str, Any]:
    """`mistakes`, `confusions`, `places`, `counts` and `scores`, as the template shows them."""
    return {
        "mistakes": [{"name": kind, "meaning": KINDS[kind], **entry} for kind, entry in report["mistakes"].items()],
        "confusions": report["confusion"]["pairs"],
        "confusions_in_all": report["confusion"]["pairs_in_all"],
        "places": report["place_map"]["recall_50"],
        "counts": [{"key": key, "name": name, "rate": _dotted(report["metrics"], key)} for key, name in COUNTS],
        "precision": {
            name: report["average_precision"][key]
            for key, name in AVERAGE_PRECISION.items()
            if key in report["average_precision"]
        },
        "no_scores": report["average_precision"].get("absent"),
        "calibration": report["calibration"],
    }


def _dotted(table: Mapping[str, Any], key: str) -> Any:
    for part in key.split("."):
        table = table[part]
    return table
