"""The numbers of a comparison: those of the reports, their differences, what flipped; equal runs differ in nothing."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from grounding.evaluation.comparison.compare import compare
from grounding.evaluation.comparison.measures import COMPARED, TESTED
from grounding.evaluation.comparison.numbers import SURE, verdict
from grounding.evaluation.comparison.runs import read_runs
from grounding.evaluation.metrics import OUTCOMES
from grounding.evaluation.mistakes import KINDS
from grounding.evaluation.report.headline import pick
from tests.evaluation.comparison.making import AFTER, BEFORE, SAMPLES, TRUE, WRONG, compared, write_run
from tests.evaluation.making import NOT_FOUND_TEXT, boxes_text, random_set, sample, shaken


def test_equal_runs_differ_in_nothing(tmp_path: Path) -> None:
    samples, texts = random_set(1, 50)
    table = compared(tmp_path, texts, texts, samples=samples).table
    assert table["changes"][0]["counts"]["gained"] == table["changes"][0]["counts"]["lost"] == 0
    assert table["changes"][0]["counts"]["reworded"] == 0 and table["changes"][0]["better"] == []
    for key, entry in table["headline"].items():
        assert entry["differences"][0]["value"] in (0.0, None), key
        assert verdict(entry, 0, key) == "" and all(test["p"] == 1.0 for test in entry["tests"] or ())
    for parts in table["breakdowns"].values():
        for part in parts.values():
            assert all(entry["differences"][0]["value"] in (0.0, None) for entry in part["measures"].values())
    json.dumps(table, allow_nan=False)


def test_the_rates_are_those_of_the_reports(tmp_path: Path) -> None:
    samples, texts = random_set(2, 60)
    _, others = random_set(3, 60)
    reports = [write_run(tmp_path / name, samples, answers) for name, answers in (("a", texts), ("b", others))]
    table = compare(read_runs([(None, tmp_path / "a"), (None, tmp_path / "b")])).table
    for key in COMPARED:
        entry = table["headline"][key]
        assert entry["rates"] == [pick(report["metrics"], key) for report in reports]
        values = [rate["value"] for rate in entry["rates"]]
        assert entry["differences"][0]["value"] == pytest.approx(values[1] - values[0])
        assert (entry["tests"] is not None) == (key in TESTED)
    for kind, parts in reports[1]["breakdowns"].items():
        for name, part in parts.items():
            for key, entry in table["breakdowns"][kind][name]["measures"].items():
                assert entry["rates"][1] == part[key]
    for kind in KINDS:
        assert table["mistakes"][kind]["counts"] == [report["mistakes"][kind]["n"] for report in reports]
    assert table["notes"] == []


def test_what_flipped_and_from_what_to_what(tmp_path: Path) -> None:
    comparison = compared(tmp_path, BEFORE, AFTER)
    changes = comparison.table["changes"][0]
    assert changes["counts"] == {"both": 1, "gained": 1, "lost": 1, "neither": 1, "reworded": 3}
    assert [(one["id"], one["from"], one["to"]) for one in changes["better"]] == [("s0", "wrong_place", "all_found")]
    assert [(one["id"], one["from"], one["to"]) for one in changes["worse"]] == [("s2", "all_found", "wrong_place")]
    assert changes["outcomes"]["unparsable"] == {"partly": 1}
    assert sum(sum(row.values()) for row in changes["outcomes"].values()) == 4
    assert set(changes["outcomes"]) <= set(OUTCOMES)
    assert changes["unparsable"] == {"no_box": {"before": 1, "after": 0}}
    assert comparison.changes[0].most_changed == [2, 0, 3], "lost and gained by turns, then the others"


def test_what_was_answered_and_average_precision_where_all_runs_have_scores(tmp_path: Path) -> None:
    table = compared(tmp_path, BEFORE, AFTER).table
    assert table["statuses"] == {"boxes": [2, 3], "not_found": [1, 1], "unparsable": [1, 0], "cut_off": [0, 0]}
    assert table["average_precision"] is None
    for name in "ab":
        path = tmp_path / name / "report.json"
        report = json.loads(path.read_text("utf-8"))
        report["average_precision"] = {"ap_50": {"value": 0.25, "ci95": [0.1, 0.4], "n": 4}}
        path.write_text(json.dumps(report), "utf-8")
    table = compare(read_runs([(None, tmp_path / "a"), (None, tmp_path / "b")])).table
    assert [rate["value"] for rate in table["average_precision"]["ap_50"]] == [0.25, 0.25]


def test_flips_come_by_how_much_they_changed(tmp_path: Path) -> None:
    true = [20.0, 10.0, 100.0, 90.0]
    samples = [sample(number, [true]) for number in range(3)]
    near, nearer, exact = boxes_text([60, 10, 140, 90]), boxes_text([46, 10, 126, 90]), boxes_text(true)
    changes = compared(tmp_path, [near, nearer, exact], [exact, exact, nearer], samples=samples).table["changes"][0]
    assert [one["id"] for one in changes["better"]] == ["s0"] and changes["better"][0]["change"] > 0.6
    assert changes["worse"] == [], "still above 0.5"


def test_an_improvement_that_is_no_chance_is_called_one(tmp_path: Path) -> None:
    rng = random.Random(0)
    samples = [sample(number, [[20.0, 10.0, 60.0, 50.0]] if number % 2 else []) for number in range(120)]
    right = [boxes_text(one.boxes[0]) if one.boxes else NOT_FOUND_TEXT for one in samples]
    worse = [text if rng.random() < 0.6 else "[[900,900,999,999]]" for text in right]
    table = compared(tmp_path, worse, right, samples=samples).table
    for key in ("grec_50", "acc_50", "not_found.recall", "hallucination_rate"):
        assert verdict(table["headline"][key], 0, key) == "better", key
    assert verdict(table["mistakes"]["invented"], 0, "invented") == "better", "less is better"
    for key in set(COMPARED) - set(TESTED):
        assert verdict(table["headline"][key], 0, key) == "", "an interval alone decides nothing"
    back = compared(tmp_path, right, worse, samples=samples).table["headline"]
    assert verdict(back["grec_50"], 0, "grec_50") == verdict(back["hallucination_rate"], 0, "hallucination_rate")
    assert verdict(back["grec_50"], 0, "grec_50") == "worse"


def test_holm_goes_over_the_headline_and_over_all_parts(tmp_path: Path) -> None:
    samples, texts = random_set(6, 80)
    _, others = random_set(7, 80)
    table = compared(tmp_path, texts, others, samples=samples).table
    for entries in (
        list(table["headline"].values()),
        [one for parts in table["breakdowns"].values() for part in parts.values() for one in part["measures"].values()],
    ):
        tests = [test for entry in entries for test in entry["tests"] or ()]
        telling = [test for test in tests if test["only_base"] or test["only_other"]]
        smallest = min(test["p"] for test in telling)
        assert min(test["p_holm"] for test in tests) == pytest.approx(min(1.0, smallest * len(telling)))
        assert all(test["p_holm"] == 1.0 for test in tests if test not in telling)
    assert any(test not in telling for test in tests), "runs that never differ somewhere are among these"


def test_inventing_and_rejecting_are_judged_alike(tmp_path: Path) -> None:
    """Where answers can be read they are the two sides of one thing: they must never be coloured differently."""
    samples = [sample(number, []) for number in range(60)]
    invented = boxes_text(WRONG)
    for better in (0, 3, 5, 6, 7, 8, 12):
        after = [NOT_FOUND_TEXT] * (20 + better) + [invented] * (40 - better)
        before = [NOT_FOUND_TEXT] * 20 + [invented] * 40
        table = compared(tmp_path, before, after, samples=samples).table["headline"]
        both = [table[key]["tests"][0] for key in ("not_found.recall", "hallucination_rate")]
        assert both[0]["p"] == both[1]["p"] and both[0]["p_holm"] == both[1]["p_holm"]
        assert len({verdict(table[key], 0, key) for key in ("not_found.recall", "hallucination_rate")}) == 1


def test_kinds_of_mistakes_are_tested_as_counts(tmp_path: Path) -> None:
    samples = [sample(number, []) for number in range(12)]
    many, few = boxes_text(*[[10.0 * place, 10.0, 10.0 * place + 5, 20.0] for place in range(4)]), boxes_text(WRONG)
    entry = compared(tmp_path, [many] * 12, [few] * 12, samples=samples).table["mistakes"]["invented"]
    assert entry["counts"] == [48, 12] and entry["tests"][0]["only_base"] == 12
    assert entry["tests"][0]["p"] == pytest.approx(2 / 2**12)
    assert entry["tests"][0]["p_holm"] == pytest.approx(2 / 2**12), "no other kind was made at all"


def test_tighter_boxes_are_seen_apart_from_more_of_them(tmp_path: Path) -> None:
    rng = random.Random(1)
    true = [40.0, 20.0, 120.0, 80.0]
    samples = [sample(number, [true]) for number in range(60)]
    loose = [boxes_text(shaken(rng, true, 14)) for _ in samples]
    tight = [boxes_text(true) if number % 3 else "no idea" for number in range(60)]
    both = compared(tmp_path, loose, tight, samples=samples).table["found_by_both"][0]
    assert both["differences"][0]["value"] > 0.1 and both["differences"][0]["ci95"][0] > 0
    assert both["rates"][1]["n"] <= 40 and both["rates"][1]["value"] > 0.98


def test_three_runs_are_held_against_the_first(tmp_path: Path) -> None:
    comparison = compared(tmp_path, BEFORE, AFTER, BEFORE)
    table = comparison.table
    assert [run["heading"] for run in table["runs"]] == ["a", "b", "c"]
    for entry in table["headline"].values():
        assert len(entry["rates"]) == 3 and len(entry["differences"]) == 2
        assert entry["rates"][0] == entry["rates"][2] and entry["differences"][1]["value"] in (0.0, None)
    assert table["changes"][1]["counts"]["reworded"] == 0 and len(table["found_by_both"]) == 2


def test_answers_in_words_are_tested_too(tmp_path: Path) -> None:
    samples = [sample(number, None, task="presence", label="yes") for number in range(20)]
    table = compared(tmp_path, ["no"] * 20, ["yes"] * 15 + ["no"] * 5, samples=samples).table
    entry = table["other_tasks"]["presence"]
    assert entry["differences"][0]["value"] == 0.75 and entry["tests"][0]["only_other"] == 15
    assert entry["tests"][0]["p_holm"] == pytest.approx(2 / 2**15)
    assert table["headline"] == {} and table["n"] == 0


def test_a_report_that_was_measured_otherwise_is_told(tmp_path: Path) -> None:
    for name in "ab":
        write_run(tmp_path / name, SAMPLES, BEFORE)
    path = tmp_path / "b/report.json"
    report = json.loads(path.read_text("utf-8"))
    report["metrics"]["acc_50"]["value"] = 0.123
    path.write_text(json.dumps(report), "utf-8")
    (note,) = compare(read_runs([(None, tmp_path / "a"), (None, tmp_path / "b")])).table["notes"]
    assert "report of b" in note and "acc_50" in note


def test_images_too_few_for_any_test_are_told(tmp_path: Path) -> None:
    (note,) = compared(tmp_path / "few", BEFORE, AFTER).table["notes"]
    assert note.startswith("Only 4 images: even where every one changes alike, p is 0.12 before")
    samples, texts = random_set(0, 40)
    assert compared(tmp_path / "many", texts, texts[::-1], samples=samples).table["notes"] == []
    assert compared(tmp_path / "same", BEFORE, BEFORE).table["notes"] == [], "nothing differs, nothing is tested"


@pytest.mark.parametrize("images", range(2, 12))
def test_where_that_is_told_no_test_can_tell_anything(tmp_path: Path, images: int) -> None:
    """All answers become right at once, which is as plain as so many images allow."""
    samples = [sample(number, [TRUE]) for number in range(images)]
    table = compared(tmp_path, [boxes_text(WRONG)] * images, [boxes_text(TRUE)] * images, samples=samples).table
    told = [test["p_holm"] for entry in table["headline"].values() for test in entry["tests"] or ()]
    assert bool(table["notes"]) == (min(told) >= SURE)
