"""The metrics: equal to a slow, plain reference; the contract's keys; the corners that evaluators get wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from grounding.errors import InputError
from grounding.evaluation.evaluate import evaluate, score
from grounding.evaluation.metrics import OUTCOMES, curve, histogram, metrics, outcomes
from grounding.evaluation.protocols import COGVLM_REFCOCO, protocol_named
from tests.evaluation.making import (
    NOT_FOUND_TEXT,
    boxes_text,
    predictions,
    random_set,
    sample,
    scored,
)
from tests.evaluation.plain_reference import plain_metrics

RATES = ["acc_50", "acc_50_95", "mean_iou", "precision_50", "recall_50", "f1_50", "grec_50"]
RATES += ["hallucination_rate", "miss_rate", "grid_ceiling"]


def value(table: dict[str, Any], dotted: str) -> Any:
    for key in dotted.split("."):
        table = table[key]
    return table


@pytest.mark.parametrize("seed", range(12))
def test_equal_to_a_slow_plain_reference(seed: int) -> None:
    samples, texts = random_set(seed, 60)
    table = metrics(scored(samples, texts))
    for name, expected in plain_metrics(samples, texts).items():
        dotted, _, is_count = name.partition(" ")
        rate = value(table, dotted)
        if is_count:
            assert rate["n"] == expected, name
        else:
            assert rate["value"] == pytest.approx(expected, abs=1e-12), name


def test_the_contracts_keys_and_forms() -> None:
    samples, texts = random_set(3, 80)
    table = evaluate(samples, predictions(*texts), base=predictions(*texts)).metrics
    assert isinstance(table["n"], int)
    nested = ["not_found.precision", "not_found.recall", "not_found.f1", "unparsable.rate", "cut_off.rate"]
    for name in [*RATES, *nested]:
        rate = value(table, name)
        assert set(rate) == {"value", "ci95", "n"}
        assert isinstance(rate["n"], int)
        low, high = rate["ci95"]
        assert 0 <= low <= rate["value"] <= high <= 1
    for name in ("not_found", "unparsable", "cut_off"):
        assert isinstance(table[name]["n"], int)
    assert sum(table["unparsable"]["by_reason"].values()) == table["unparsable"]["n"]
    assert set(table["baselines"]) == {"constant_best_box", "always_not_found", "untuned_base"}
    for baseline in table["baselines"].values():
        assert set(RATES) <= set(baseline)
    assert table["baselines"]["untuned_base"] == {key: table[key] for key in table if key != "baselines"}


def test_perfect_answers_score_one_and_the_ceiling() -> None:
    samples, _ = random_set(5, 50)
    texts = [boxes_text(*one.boxes) if one.boxes else NOT_FOUND_TEXT for one in samples]
    table = metrics(scored(samples, texts))
    for name in ("acc_50", "precision_50", "recall_50", "f1_50", "grec_50"):
        assert table[name]["value"] == 1.0
        assert table[name]["ci95"][1] == 1.0 > table[name]["ci95"][0] > 0.5
    assert table["not_found"]["f1"]["value"] == 1.0
    assert table["hallucination_rate"]["value"] == table["miss_rate"]["value"] == 0.0
    assert table["mean_iou"]["value"] == pytest.approx(table["grid_ceiling"]["value"])
    assert evaluate(samples, predictions(*texts)).perfect["mean_iou"] == table["mean_iou"]


def test_no_detection_at_all_is_no_crash() -> None:
    samples = [sample(0, [[10, 10, 50, 50]]), sample(1, [[10, 10, 50, 50], [60, 10, 90, 50]])]
    table = metrics(scored(samples, ["", "what?"]))
    assert table["precision_50"] == {"value": None, "ci95": None, "n": 0}
    assert table["recall_50"]["value"] == table["grec_50"]["value"] == 0.0
    assert table["hallucination_rate"]["value"] is None
    assert table["not_found"]["precision"]["value"] is None


def test_an_all_absent_set() -> None:
    evaluation = evaluate([sample(0, []), sample(1, [])], predictions(NOT_FOUND_TEXT, "[[100,100,200,200]]"))
    table = evaluation.metrics
    assert table["grec_50"]["value"] == table["hallucination_rate"]["value"] == 0.5
    assert table["acc_50"] == table["mean_iou"] == table["grid_ceiling"] == {"value": None, "ci95": None, "n": 0}
    assert "constant_best_box" not in table["baselines"]


def test_an_empty_set_is_refused() -> None:
    with pytest.raises(InputError, match="no samples"):
        evaluate([], [])


def test_samples_that_ask_for_no_box_are_not_localisation() -> None:
    evaluation = evaluate([sample(0, None, task="presence", label="Yes.")], predictions("yes"))
    assert evaluation.metrics["n"] == 0
    assert evaluation.other_tasks["presence"]["exact_match"]["value"] == 1.0


def test_truth_is_pixels_and_the_label_is_never_read() -> None:
    true = [20.0, 10.0, 60.0, 50.0]
    lying = sample(0, [true], label="[[900,900,999,999]]")
    assert metrics(scored([lying], [boxes_text(true)]))["acc_50"]["value"] == 1.0


def test_the_first_box_counts_and_order_is_text_order() -> None:
    true, far = [20.0, 10.0, 60.0, 50.0], [120.0, 60.0, 180.0, 90.0]
    table = metrics(scored([sample(0, [true]), sample(1, [true])], [boxes_text(far, true), boxes_text(true, far)]))
    assert table["acc_50"]["value"] == 0.5
    assert table["recall_50"]["value"] == 1.0
    assert table["precision_50"]["value"] == 0.5


def test_exactly_half_is_a_hit_by_default_and_none_by_cogvlms_protocol() -> None:
    samples, texts = [sample(0, [[0, 0, 100, 50]])], [boxes_text([0, 0, 100, 25])]
    assert metrics(scored(samples, texts))["acc_50"]["value"] == 1.0
    assert metrics(scored(samples, texts, COGVLM_REFCOCO))["acc_50"]["value"] == 0.0


def test_an_answer_on_an_ignored_area_leaves_every_count() -> None:
    true, crowd = [20.0, 10.0, 60.0, 50.0], [100.0, 40.0, 180.0, 90.0]
    present, absent = sample(0, [true], ignore=[crowd]), sample(1, [], ignore=[crowd])
    table = metrics(scored([present, absent], [boxes_text(crowd, true), boxes_text(crowd)]))
    assert table["acc_50"]["value"] == 1.0, "the first box not so left out"
    assert table["precision_50"] == {**table["precision_50"], "value": 1.0, "n": 1}
    assert table["hallucination_rate"]["value"] == 0.0
    assert table["grec_50"]["value"] == 0.5, "the absent one was not answered not found"
    held = scored([present, absent], [boxes_text(crowd, true), boxes_text(crowd)])
    assert list(held.status) == ["boxes", "boxes"]
    assert outcomes(held) == ["all_found", "ignored_only"]


def test_a_box_that_only_brushes_a_true_one_is_still_ignored() -> None:
    true, crowd = [90.0, 10.0, 110.0, 50.0], [100.0, 10.0, 180.0, 90.0]
    table = metrics(scored([sample(0, [true], ignore=[crowd])], [boxes_text(crowd)]))
    assert table["precision_50"]["n"] == 0
    assert table["mean_iou"]["value"] > 0


def test_a_true_box_beside_a_crowd_still_counts() -> None:
    true = [20.0, 10.0, 60.0, 50.0]
    table = metrics(scored([sample(0, [true], ignore=[true])], [boxes_text(true)]))
    assert table["grec_50"]["value"] == table["precision_50"]["value"] == 1.0


def test_cogvlms_protocol_merges_the_first_group_with_a_valid_box() -> None:
    true = [20.0, 10.0, 100.0, 50.0]
    halves = boxes_text([20, 10, 60, 50], [60, 10, 100, 50])
    text = f"[[1,2,3]] or {halves} or [[000,000,999,999]]"
    held = scored([sample(0, [true])], [text], COGVLM_REFCOCO)
    assert held.first_iou.tolist() == [1.0]
    assert held.answered.shape == (1, 4)
    assert metrics(held)["acc_50"]["value"] == 1.0
    assert metrics(scored([sample(0, [true])], [text]))["precision_50"]["n"] == 3


def test_cogvlms_protocol_hides_the_grids_error() -> None:
    true = [10.3, 10.3, 12.9, 12.9]
    samples, texts = [sample(0, [true])], [boxes_text(true)]
    assert scored(samples, texts, COGVLM_REFCOCO).first_iou[0] == 1.0
    assert 0.5 < scored(samples, texts).first_iou[0] < 1.0


def test_the_report_of_another_protocol_keeps_the_default_numbers() -> None:
    samples, texts = random_set(8, 40)
    other = evaluate(samples, predictions(*texts), protocol="cogvlm-refcoco")
    usual = evaluate(samples, predictions(*texts))
    assert usual.default_metrics is None
    assert other.default_metrics == {key: usual.metrics[key] for key in usual.metrics if key != "baselines"}
    assert len(other.protocol.changes) == 3


def test_an_unknown_protocol_is_named_with_those_there_are() -> None:
    with pytest.raises(InputError, match="default, cogvlm-refcoco, grec, coco"):
        protocol_named("voc")


def test_every_outcome_is_one_of_the_named_ones() -> None:
    samples, texts = random_set(11, 200)
    held = scored(samples, texts)
    found = outcomes(held)
    assert set(found) <= set(OUTCOMES)
    right = [outcome in ("all_found", "rejected") for outcome in found]
    assert right == held.right.tolist()


def test_curve_and_histogram_agree_with_the_metrics() -> None:
    samples, texts = random_set(2, 100)
    held = scored(samples, texts)
    table, line, bars = metrics(held), curve(held), histogram(held)
    at_half = line["threshold"].index(0.5)
    assert line["recall"][at_half] == table["recall_50"]["value"]
    assert line["accuracy"][at_half] == table["acc_50"]["value"]
    assert sum(bars["bins"]) + bars["unmatched"] == table["recall_50"]["n"]
    assert np.all(np.diff(line["recall"]) <= 0)


def test_score_is_the_same_table_without_baselines() -> None:
    samples, texts = random_set(4, 30)
    whole = evaluate(samples, predictions(*texts)).metrics
    assert score(samples, predictions(*texts)) == {key: whole[key] for key in whole if key != "baselines"}


def test_a_sample_without_a_frame_is_refused() -> None:
    with pytest.raises(InputError, match="s0"):
        evaluate([sample(0, [], width=None, height=None)], predictions("x"))
