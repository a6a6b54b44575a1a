"""Which numbers of a report are shown first, under which names and beside what; and what to know before reading them.

Knows the report as written to report.json; does not know the page or the terminal, which both show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grounding.page.layout import thousands

# (key in the metrics, name, what it means, whether less is better), in groups with a heading.
HEADLINE: tuple[tuple[str, tuple[tuple[str, str, str, bool], ...]], ...] = (
    (
        "Whole answers",
        (("grec_50", "Fully right", "every true box found, none too many; absent: answered not found", False),),
    ),
    (
        "One object asked for",
        (
            ("acc_50", "Accuracy at IoU 0.5", "the answer's first box reaches IoU 0.5", False),
            ("acc_75", "Accuracy at IoU 0.75", "the same at 0.75", False),
            ("acc_90", "Accuracy at IoU 0.9", "the same at 0.9", False),
            ("acc_50_95", "Accuracy, 0.5 to 0.95", "mean of that over ten thresholds", False),
        ),
    ),
    (
        "Boxes",
        (
            ("mean_iou", "Mean IoU", "of each true box with the box matched to it; 0 where none is", False),
            ("median_iou", "Median IoU", "the middle one of these IoUs", False),
            ("of_ceiling", "IoU of what the grid allows", "sum of these IoUs over that of a perfect answer", False),
            ("precision_50", "Precision", "of the answered boxes, those on a true one", False),
            ("recall_50", "Recall", "of the true boxes, those found", False),
            ("f1_50", "F1", "both at once", False),
        ),
    ),
    (
        "How many boxes",
        (
            ("counting.exact", "Counted right", "as many boxes as there are; absent: not found", False),
            ("duplicates.rate", "Duplicates", "of the answered boxes, those on a true box found already", True),
            ("runaway.rate", "Ran away", "more than 20 boxes beyond the true ones", True),
        ),
    ),
    (
        "Absence",
        (
            (
                "not_found.precision",
                "Not found: precision",
                "of the answers \u201cnot found\u201d, those that are true",
                False,
            ),
            (
                "not_found.recall",
                "Not found: recall",
                "of the absent objects, those answered \u201cnot found\u201d",
                False,
            ),
            ("not_found.f1", "Not found: F1", "both at once", False),
            ("hallucination_rate", "Invented", "absent, but answered with boxes", True),
            ("miss_rate", "Missed", "present, but answered \u201cnot found\u201d", True),
            ("t_acc", "Tried (T-acc.)", "present, and answered with a box", False),
        ),
    ),
    (
        "Form of the answers",
        (
            ("unparsable.rate", "Unparsable", "neither boxes nor the not-found sentence", True),
            ("cut_off.rate", "Cut off", "ended by the token budget before one complete box", True),
        ),
    ),
)
TILES = ("grec_50", "acc_50", "f1_50", "not_found.f1")

PERFECT = "perfect answer"
BASELINE_NAMES = {
    "constant_best_box": "constant box",
    "always_not_found": "always \u201cnot found\u201d",
    "untuned_base": "untuned base",
}


def headline_rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The headline table: groups of rows, each with the model's rate and those that stand beside it."""
    groups = []
    for heading, entries in HEADLINE:
        rows = []
        for key, name, meaning, less_is_better in entries:
            rows.append(
                {
                    "key": key,
                    "name": name,
                    "meaning": meaning,
                    "less_is_better": less_is_better,
                    "rate": pick(report["metrics"], key),
                    "beside": {column: pick(table, key) for column, table in beside(report).items()},
                }
            )
        groups.append({"heading": heading, "rows": rows})
    return groups


def beside(report: Mapping[str, Any]) -> dict[str, Any]:
    """The tables whose rates stand beside the model's, by the name of their column."""
    tables = {BASELINE_NAMES[name]: table for name, table in report["metrics"]["baselines"].items()}
    if report["default_metrics"] is not None:
        tables = {"default protocol": report["default_metrics"], **tables}
    return {PERFECT: report["perfect_answers"], **tables}


def warnings(report: Mapping[str, Any]) -> list[str]:
    """What a reader must know before believing a number."""
    data, said = report["data"], []
    if data["limit"] is not None:
        said.append(
            f"Only the first {thousands(data['samples'])} of {thousands(data['samples_in_file'])} samples were "
            "measured (--limit). This is a trial run, not a benchmark."
        )
    missing = report["missing_predictions"]
    if missing:
        said.append(f"{thousands(missing)} samples have no prediction; they count as unparsable, or as wrong words.")
    constrained = report["constrained_predictions"]
    if constrained:
        said.append(
            f"{thousands(constrained)} answers were constrained (--constrain): nothing that cannot be read could be "
            "said, so the share of unparsable answers tells nothing about the model."
        )
    said += report.get("answers", {}).get("warnings", [])
    dialect = report.get("dialect", {"name": "cogvlm"})
    if dialect["name"] != "cogvlm":
        said.append(f"The answers were read as {dialect['name']} writes boxes: {dialect['form']}.")
    if report["protocol"]["name"] != "default":
        changes = " ".join(report["protocol"]["changes"])
        said.append(f"Measured by the protocol \u201c{report['protocol']['name']}\u201d. {changes}")
    refused = report["metrics"]["refused_parts"]
    if refused["n"]:
        reasons = ", ".join(f"{reason} {thousands(n)}" for reason, n in refused["by_reason"].items())
        said.append(
            f"{thousands(refused['samples'])} answers with boxes also hold unreadable parts, "
            f"{thousands(refused['n'])} in all ({reasons}). Those count neither as boxes nor as errors."
        )
    if 0 < report["metrics"]["n"] < 100:
        said.append(f"Only {report['metrics']['n']} samples: mind the width of the intervals.")
    if not report["metrics"]["n"]:
        said.append("No sample asks for boxes; only answers in words were scored.")
    return said


def pick(table: Mapping[str, Any], key: str) -> Any:
    """The rate under a dotted key; in a breakdown the dotted key itself is the name."""
    if key in table:
        return table[key]
    for part in key.split("."):
        table = table[part]
    return table


def percent(rate: Mapping[str, Any]) -> str:
    """The value of a rate in percent, or a dash where nothing was counted."""
    return "\u2013" if rate["value"] is None else f"{100 * rate['value']:.1f}"


def span(rate: Mapping[str, Any]) -> str:
    """The interval of a rate in percent."""
    return "" if rate["ci95"] is None else f"{100 * rate['ci95'][0]:.1f}\u2013{100 * rate['ci95'][1]:.1f}"


def signed(value: float) -> str:
    """A difference in percentage points; nothing has no sign."""
    text = f"{100 * value:+.1f}".replace("-", "\u2212")
    return "0.0" if text[1:] == "0.0" else text


def between(difference: Mapping[str, Any]) -> str:
    """The interval of a difference in percentage points."""
    around = difference["ci95"]
    return "" if around is None else f"{signed(around[0])} to {signed(around[1])}"


def chance(p: float) -> str:
    """A p-value in three decimals."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
