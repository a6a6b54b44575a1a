"""Which numbers of a report are shown first, under which names and beside what; and what to know before reading them.

Knows the report as written to report.json; does not know the page or the terminal, which both show it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from grounding.evaluation.report.words import words_in
from grounding.page.layout import thousands
from grounding.page.words import say

# Groups of measures and, of each, the key in the metrics and whether less is better; `words` has their names.
HEADLINE: tuple[tuple[str, tuple[tuple[str, bool], ...]], ...] = (
    ("answers", (("grec_50", False),)),
    ("single", (("acc_50", False), ("acc_75", False), ("acc_90", False), ("acc_50_95", False))),
    (
        "boxes",
        (
            *(("mean_iou", False), ("median_iou", False), ("of_ceiling", False)),
            *(("precision_50", False), ("recall_50", False), ("f1_50", False)),
        ),
    ),
    ("counting", (("counting.exact", False), ("duplicates.rate", True), ("runaway.rate", True))),
    (
        "absence",
        (
            *(("not_found.precision", False), ("not_found.recall", False), ("not_found.f1", False)),
            *(("hallucination_rate", True), ("miss_rate", True), ("t_acc", False)),
        ),
    ),
    ("form", (("unparsable.rate", True), ("cut_off.rate", True))),
)
TILES = ("grec_50", "acc_50", "f1_50", "not_found.f1")

_COLUMNS = words_in("en")["columns"]
PERFECT: str = _COLUMNS["perfect"]
BASELINE_NAMES: dict[str, str] = {
    name: _COLUMNS[name] for name in ("constant_best_box", "always_not_found", "untuned_base")
}


def headline_rows(report: Mapping[str, Any], lang: str = "en") -> list[dict[str, Any]]:
    """The headline table: groups of rows, each with the model's rate and those that stand beside it."""
    words, tables = words_in(lang), beside(report, lang)
    groups = []
    for group, entries in HEADLINE:
        rows = []
        for key, less_is_better in entries:
            name, meaning = words["measures"][key]
            rows.append(
                {
                    "key": key,
                    "name": name,
                    "meaning": meaning,
                    "less_is_better": less_is_better,
                    "rate": pick(report["metrics"], key),
                    "beside": {column: pick(table, key) for column, table in tables.items()},
                }
            )
        groups.append({"heading": words["groups"][group], "rows": rows})
    return groups


def beside(report: Mapping[str, Any], lang: str = "en") -> dict[str, Any]:
    """The tables whose rates stand beside the model's, by the name of their column."""
    names = words_in(lang)["columns"]
    tables = {names[name]: table for name, table in report["metrics"]["baselines"].items()}
    if report["default_metrics"] is not None:
        tables = {names["default"]: report["default_metrics"], **tables}
    return {names["perfect"]: report["perfect_answers"], **tables}


def warnings(report: Mapping[str, Any], lang: str = "en") -> list[str]:
    """What a reader must know before believing a number."""
    words = words_in(lang)

    def note(key: str, **values: object) -> str:
        shown = {name: thousands(value) if isinstance(value, int) else value for name, value in values.items()}
        return say(words, "notes", key, **shown)

    data, metrics, said = report["data"], report["metrics"], []
    if data["limit"] is not None:
        said.append(note("limit", n=data["samples"], all=data["samples_in_file"]))
    if data.get("images_in_train"):
        said.append(note("seen", n=data["images_in_train"], all=data["images"], file=data["train_file"]))
    if report["missing_predictions"]:
        said.append(note("missing", n=report["missing_predictions"]))
    if report["constrained_predictions"]:
        said.append(note("constrained", n=report["constrained_predictions"]))
    said += report.get("answers", {}).get("warnings", [])
    dialect = report.get("dialect", {"name": "cogvlm"})
    if dialect["name"] != "cogvlm":
        said.append(note("dialect", **dialect))
    protocol = report["protocol"]["name"]
    if protocol != "default":
        said.append(note("protocol", name=protocol, changes=" ".join(words["protocols"][protocol])))
    ended = metrics["runaway"]["cut"]
    if ended["value"]:
        said.append(note("ended", n=round(ended["value"] * ended["n"]), all=ended["n"]))
    refused = metrics["refused_parts"]
    if refused["n"]:
        reasons = ", ".join(f"{reason} {thousands(n)}" for reason, n in refused["by_reason"].items())
        said.append(note("refused", n=refused["samples"], parts=refused["n"], reasons=reasons))
    if 0 < metrics["n"] < 100:
        said.append(note("few", n=metrics["n"]))
    if not metrics["n"]:
        said.append(note("none"))
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


def n_of(rates: Sequence[Mapping[str, Any]], figure: Callable[[int], str] = "{:,}".format) -> str:
    """The n of several runs' rates, as their own reports have it: one number where all are alike."""
    numbers = [rate["n"] for rate in rates]
    return " → ".join(map(figure, numbers if len(set(numbers)) > 1 else numbers[:1]))


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
