"""The named protocols: GREC equals a slow, plain one; what each changes is what it says it changes."""

from __future__ import annotations

import pytest

from grounding.evaluation.evaluate import evaluate
from grounding.evaluation.metrics import metrics
from grounding.evaluation.parse import judge
from grounding.evaluation.protocols import COCO, DEFAULT, GREC, PROTOCOLS
from grounding.samples import Sample
from tests.evaluation.making import NOT_FOUND_TEXT, boxes_text, predictions, random_set, sample, scored

TRUE, FAR = [20.0, 10.0, 60.0, 50.0], [120.0, 60.0, 180.0, 90.0]


def giou(a: list[float], b: list[float]) -> float:
    """Generalised IoU of two boxes, from its definition."""
    wide = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - wide * high
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return wide * high / union - (hull - union) / hull


def plain_grec(samples: list[Sample], texts: list[str | None]) -> dict[str, float]:
    """Share of samples with F1 = 1, N-acc. and T-acc., one sample and one pair at a time (He et al. 2023)."""
    perfect, rejected, absent, tried, present = 0, 0, 0, 0, 0
    for one, text in zip(samples, texts, strict=True):
        said = judge(text)
        width, height = one.width or 0, one.height or 0
        boxes = [
            [x0 * width / 1000, y0 * height / 1000, x1 * width / 1000, y1 * height / 1000]
            for x0, y0, x1, y1 in said.xyxy_grid.tolist()
        ]
        true = list(one.boxes or [])
        if not true:
            absent += 1
            rejected += said.status == "not_found"
            perfect += said.status == "not_found"
            continue
        present += 1
        tried += bool(boxes)
        found = 0
        left, right = list(range(len(boxes))), list(range(len(true)))
        while left and right:
            best = max((giou(boxes[i], true[j]), -i, -j) for i in left for j in right)
            if best[0] < 0.5:
                break
            found += 1
            left.remove(-best[1])
            right.remove(-best[2])
        f1 = 2 * found / (2 * found + len(boxes) - found + len(true) - found)
        perfect += f1 >= 1.0
    return {"grec_50": perfect / len(samples), "n_acc": rejected / absent, "t_acc": tried / present}


@pytest.mark.parametrize("seed", range(8))
def test_grec_equals_a_slow_plain_reference(seed: int) -> None:
    samples, texts = random_set(seed, 120)
    samples = [
        Sample(**{key: getattr(one, key) for key in one.__struct_fields__ if key != "ignore"}) for one in samples
    ]
    table = metrics(scored(samples, texts, GREC))
    for name, expected in plain_grec(samples, texts).items():
        assert table[name]["value"] == pytest.approx(expected, abs=1e-12), name


def test_grec_takes_generalised_overlap() -> None:
    # IoU just above 0.5, but the hull of the two is larger than their union.
    true, answer = [0.0, 0.0, 60.0, 60.0], [11.0, 11.0, 71.0, 71.0]
    assert metrics(scored([sample(0, [true])], [boxes_text(answer)]))["acc_50"]["value"] == 1.0
    table = metrics(scored([sample(0, [true])], [boxes_text(answer)], GREC))
    assert table["acc_50"]["value"] == table["grec_50"]["value"] == 0.0


def test_coco_lets_the_first_box_choose_and_a_crowd_swallow_small_boxes() -> None:
    small, crowd = [110.0, 50.0, 120.0, 60.0], [100.0, 40.0, 190.0, 90.0]
    samples, texts = [sample(0, [TRUE], ignore=[crowd])], [boxes_text(TRUE, small)]
    assert metrics(scored(samples, texts, COCO))["precision_50"]["value"] == 1.0
    assert metrics(scored(samples, texts, DEFAULT))["precision_50"]["value"] == 0.5
    # The first box takes the one true box that the second one would need.
    near = [[0.0, 0.0, 40.0, 40.0], [16.0, 0.0, 56.0, 40.0]]
    said = boxes_text([9.0, 0.0, 49.0, 40.0], [0.0, 0.0, 38.0, 40.0])
    greedy, total = (metrics(scored([sample(0, near)], [said], one))["recall_50"]["value"] for one in (COCO, DEFAULT))
    assert total == 1.0 and greedy in (0.5, 1.0)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_gibberish_is_no_rejection_in_any_protocol(name: str) -> None:
    evaluation = evaluate([sample(0, []), sample(1, [TRUE])], predictions("asdf", "asdf"), protocol=name)
    assert evaluation.metrics["grec_50"]["value"] == evaluation.metrics["n_acc"]["value"] == 0.0
    assert bool(evaluation.protocol.changes) == (name != "default")


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_reports_every_measure(name: str) -> None:
    samples, texts = random_set(3, 40)
    made = evaluate(samples, predictions(*texts), protocol=name)
    usual = evaluate(samples, predictions(*texts))
    assert made.metrics.keys() == usual.metrics.keys()
    perfect = [boxes_text(*one.boxes) if one.boxes else NOT_FOUND_TEXT for one in samples]
    assert metrics(scored(samples, perfect, PROTOCOLS[name]))["not_found"]["f1"]["value"] == 1.0
