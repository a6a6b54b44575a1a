"""Markdown and CSV of reports: the page's numbers, and nothing in a name becomes markup, a mention or a formula."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from grounding.evaluation.comparison.measures import COMPARED
from grounding.evaluation.report.headline import percent, pick, signed
from grounding.evaluation.report.long_form import long_rows
from grounding.evaluation.report.markdown import comparison_markdown, plain, report_markdown
from tests.evaluation.comparison.making import AFTER, BEFORE, compared
from tests.evaluation.making import random_set, sample
from tests.evaluation.report.test_write import ABOUT, EVIL, make


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_headline_with_intervals(tmp_path: Path) -> None:
    samples, texts = random_set(0, 40)
    report, _ = make(tmp_path, samples, texts, tmp_path)
    text = (tmp_path / "report.md").read_text("utf-8")
    assert text == report_markdown(report)
    rows = {cells(line)[0]: cells(line) for line in text.splitlines() if line.startswith("|")}
    rate = report["metrics"]["acc_50"]
    assert rows["Accuracy at IoU 0.5"][1] == percent(rate) and rows["Accuracy at IoU 0.5"][3] == str(rate["n"])
    assert len(rows) == 24 and {len(row) for row in rows.values()} == {4}
    assert "40 questions" in text and "Only 40 samples" in text


def test_names_stay_names(tmp_path: Path) -> None:
    about: Any = {**ABOUT, "answers": {"name": f"a|b\n# c {EVIL} @team https://evil.example"}}
    make(tmp_path, [sample(0, [])], ["x"], tmp_path, about)
    text = (tmp_path / "report.md").read_text("utf-8")
    assert "<script" not in text.replace("\\<script", "") and "@team" not in text and "https://" not in text
    assert "\n# c" not in text and "a\\|b" in text


@pytest.mark.parametrize("text", ["a_b*c", "<b>", "[x](y)", "`code`", "1 | 2"])
def test_plain_escapes(text: str) -> None:
    assert plain(text).replace("\\", "") == text and plain(text) != text


def test_a_comparison_for_a_pull_request(tmp_path: Path) -> None:
    table = compared(tmp_path, BEFORE, AFTER).table
    text = comparison_markdown([("things", table)])
    assert "a → b: 1 gained, 1 lost, 1 right with both, 1 with neither." in text
    assert "- s2: all found → wrong place" in text and "Lost, the largest change first (1)" in text
    rows = [cells(line) for line in text.splitlines() if line.startswith("|")]
    assert rows[0] == ["percent", "a", "b", "difference (95 %)", "p", "n"] and {len(row) for row in rows} == {6}
    assert rows[2][0] == "Fully right" and rows[2][3].startswith("0.0 (")
    about = {row[0]: row[5] for row in rows}
    for key, one in COMPARED.items():  # as in the reports, one number a run where they differ
        ns = [str(rate["n"]) for rate in table["headline"][key]["rates"]]
        assert about[one.name + " ↓" * one.less_is_better] in (ns[0], " → ".join(ns)), key
    assert about["Recall"] == "4" and about["Precision"] == "2 → 3"
    three = comparison_markdown([("x", compared(tmp_path, BEFORE, AFTER, BEFORE).table), ("y|", table)])
    head = next(line for line in three.splitlines() if line.startswith("|"))
    assert "#### y\\|" in three and len(cells(head)) == 9


@pytest.mark.parametrize(
    ("value", "said"), [(0.0123, "+1.2"), (-0.0123, "\u22121.2"), (0.0, "0.0"), (-0.0001, "0.0"), (0.0001, "0.0")]
)
def test_a_difference_has_its_sign_unless_it_is_none(value: float, said: str) -> None:
    assert signed(value) == said


def test_the_csv_has_every_rate(tmp_path: Path) -> None:
    samples, texts = random_set(2, 30)
    samples.append(sample(30, None, task="presence", label="yes"))
    report, _ = make(tmp_path, samples, [*texts, "yes"], tmp_path)
    with (tmp_path / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = {(row["group"], row["measure"]): row for row in rows}
    assert len(found) == len(rows)
    for measure in ("acc_50", "not_found.f1", "unparsable.rate", "counting.exact"):
        rate, row = pick(report["metrics"], measure), found["all", measure]
        assert float(row["value"]) == rate["value"] and [float(row["lo"]), float(row["hi"])] == rate["ci95"]
        assert int(row["n"]) == rate["n"]
    assert ("baseline/constant_best_box", "acc_50") in found and ("class/c1", "not_found.recall") in found
    assert found["words/presence", "exact_match"]["value"] == "1.0"
    assert found["size/small", "acc_50"]["n"].isdigit()


def test_a_class_that_is_a_formula_is_text(tmp_path: Path) -> None:
    report, _ = make(tmp_path, [sample(0, [], category='=HYPERLINK("x")')], ["x"], tmp_path)
    groups = {row[0] for row in long_rows(report)}
    assert 'class/=HYPERLINK("x")' in groups and not any(group.startswith(("=", "+", "-", "@")) for group in groups)
