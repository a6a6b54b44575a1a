"""What scores are worth: average precision is pycocotools' own, calibration and thresholds are checked by hand."""

from __future__ import annotations

import contextlib
import io
import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from grounding.evaluation.neighbours import gather_classes
from grounding.evaluation.parse import judge_all
from grounding.evaluation.predictions import Prediction
from grounding.evaluation.protocols import COCO as COCO_PROTOCOL
from grounding.evaluation.protocols import COGVLM_REFCOCO, DEFAULT, Protocol
from grounding.evaluation.ranking import STATISTICS, average_precision, calibration
from grounding.evaluation.scored import Scored, gather_truth, hold_against
from grounding.samples import Sample
from grounding.text import to_pixels
from tests.evaluation.making import NOT_FOUND_TEXT, boxes_text, random_box, sample, shaken

SIZE = (1000, 600)
Answer = tuple[str, list[float] | None]


def hold(samples: list[Sample], answers: list[Answer], protocol: Protocol = DEFAULT) -> Scored:
    given = [
        Prediction(id=one.id, text=text, scores=scores) for one, (text, scores) in zip(samples, answers, strict=True)
    ]
    truth = gather_truth(samples)
    return hold_against(truth, judge_all(given, truth.sizes), protocol)


def precision(held: Scored) -> dict[str, Any]:
    return average_precision(held, gather_classes(held.truth.samples))


def detections(seed: int, images: int = 60, classes: int = 4) -> tuple[list[Sample], list[Answer]]:
    """One sample for each image and class: true boxes of all sizes, crowds, answers with scores of distinct values."""
    rng = random.Random(seed)
    samples: list[Sample] = []
    answers: list[Answer] = []
    for number in range(images * classes):
        true = [random_box(rng, SIZE) for _ in range(rng.choice([0, 0, 1, 2, 5]))]
        true += [[x, y, x + rng.uniform(8, 40), y + rng.uniform(8, 40)] for x, y, *_ in true[:2]]
        crowd = [random_box(rng, SIZE)] if rng.random() < 0.2 else []
        place = {"image": f"{number // classes}.png", "width": SIZE[0], "height": SIZE[1]}
        samples.append(sample(number, true, **place, category=f"c{number % classes}", ignore=crowd))
        said = [shaken(rng, box, rng.choice([2, 10, 40]), SIZE) for box in true if rng.random() < 0.8]
        said += [random_box(rng, SIZE) for _ in range(rng.choice([0, 0, 1, 3]))]
        said += [shaken(rng, box, 20, SIZE) for box in crowd]
        rng.shuffle(said)
        text = boxes_text(*said, size=SIZE) if said else NOT_FOUND_TEXT
        answers.append((text, [-rng.random() for _ in said] or None))
    return samples, answers


def pycocotools_own(samples: list[Sample], answers: list[Answer], folder: Path) -> COCOeval:
    """COCOeval from files, as its own demonstration runs it: images, categories and detections of the whole set."""
    names = sorted({str(one.category) for one in samples})
    images = sorted({str(one.image) for one in samples})
    annotations, found = [], []
    for one, (text, scores) in zip(samples, answers, strict=True):
        place = {"image_id": images.index(str(one.image)), "category_id": names.index(str(one.category)) + 1}
        for crowd, boxes in ((0, one.boxes or []), (1, one.ignore)):
            for x0, y0, x1, y1 in boxes:
                box = {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0), "iscrowd": crowd}
                annotations.append({"id": len(annotations) + 1, **place, **box})
        cells = [[int(cell) for cell in part.split(",")] for part in text.strip("[]").split(";")] if scores else []
        for (x0, y0, x1, y1), score in zip(to_pixels(cells, SIZE).tolist() if cells else [], scores or [], strict=True):
            found.append({**place, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": score})
    truth = {
        "info": {},
        "images": [{"id": number} for number in range(len(images))],
        "annotations": annotations,
        "categories": [{"id": number + 1, "name": name} for number, name in enumerate(names)],
    }
    (folder / "truth.json").write_text(json.dumps(truth))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(folder / "truth.json"))
        evaluation = COCOeval(coco, coco.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_is_pycocotools_own(tmp_path: Path, seed: int) -> None:
    samples, answers = detections(seed)
    table = precision(hold(samples, answers))
    expected = pycocotools_own(samples, answers, tmp_path).stats
    for name, value in zip(STATISTICS, expected, strict=True):
        assert table[name]["value"] == pytest.approx(value, abs=1e-9), name
    assert 0.1 < table["ap_50"]["value"] < 1
    for name in ("ap_50", "ap_50_95"):
        low, high = table[name]["ci95"]
        assert 0 <= low < table[name]["value"] < high <= 1


@pytest.mark.parametrize("seed", range(4))
def test_the_coco_protocol_finds_what_cocoeval_finds(tmp_path: Path, seed: int) -> None:
    """For one class: the hits at IoU 0.5 over the true boxes, and the boxes that are neither hits nor left out."""
    samples, answers = detections(seed, images=150, classes=1)
    held = hold(samples, answers, COCO_PROTOCOL)
    evaluation = pycocotools_own(samples, answers, tmp_path)
    assert held.found.mean() == pytest.approx(evaluation.eval["recall"][0, 0, 0, -1], abs=1e-12)
    whole = [one for one in evaluation.evalImgs[: len(evaluation.params.imgIds)] if one is not None]
    assert held.left_out.sum() == sum(one["dtIgnore"][0].sum() for one in whole)
    assert held.hit.sum() == sum(((one["dtMatches"][0] > 0) & ~one["dtIgnore"][0].astype(bool)).sum() for one in whole)


def test_it_is_absent_where_answers_carry_no_scores() -> None:
    true = [20.0, 10.0, 60.0, 50.0]
    text = boxes_text(true)
    samples = [sample(0, [true]), sample(1, [true]), sample(2, [])]
    none: Answer = (NOT_FOUND_TEXT, None)
    for answers, said in (
        ([(text, None), (text, None), none], "2 of 2 answers"),
        ([(text, [-0.1]), (text, None), none], "1 of 2 answers"),
        ([(text, [-0.1, -0.2]), (text, [-0.1]), none], "1 answers have scores that are not one for each box"),
        ([none, none, none], "no answer has a box"),
    ):
        held = hold(samples, answers)
        assert said in precision(held)["absent"] and said in calibration(held)["absent"]
    merged = hold(samples, [(text, [-0.1]), (text, [-0.1]), none], COGVLM_REFCOCO)
    assert "merges boxes" in precision(merged)["absent"]
    assert "no true box" in precision(hold([sample(0, [])], [(text, [-0.1])]))["absent"]
    assert precision(hold(samples, [(text, [-0.1]), (text, [-0.1]), none]))["ap_50"]["value"] == 1.0


def test_calibration_by_hand() -> None:
    true, far = [20.0, 10.0, 60.0, 50.0], [120.0, 60.0, 180.0, 90.0]
    samples = [sample(number, [true]) for number in range(10)]
    # Confidence 0.8 and eight of ten right.
    score = [math.log(0.8)]
    answers: list[Answer] = [(boxes_text(true if number < 8 else far), score) for number in range(10)]
    table = calibration(hold(samples, answers))
    assert sum(one["n"] for one in table["bins"]) == table["n"] == 10
    assert all(one["confidence"] == pytest.approx(0.8) for one in table["bins"])
    assert np.average([one["hit_rate"] for one in table["bins"]], weights=[one["n"] for one in table["bins"]]) == 0.8
    sure = calibration(hold(samples, [(boxes_text(true), [-1e-9])] * 10))
    assert sure["expected_error"] == pytest.approx(0.0, abs=1e-6)
    wrong = calibration(hold(samples, [(boxes_text(far), [-1e-9])] * 10))
    assert wrong["expected_error"] == pytest.approx(1.0, abs=1e-6)
    other = calibration(hold(samples, [(boxes_text(true), [0.9])] * 10))
    assert other["bins"] is None and "log-probabilities" in other["why"]


def test_the_best_threshold_is_that_of_trying_all() -> None:
    samples, answers = detections(3, images=20)
    held = hold(samples, answers)
    best = calibration(held)["best_threshold"]
    counted = ~held.left_out
    true, tried = len(held.truth.boxes), []
    for threshold in held.scores[counted]:
        kept = counted & (held.scores >= threshold)
        tried.append(2 * held.hit[kept].sum() / (kept.sum() + true))
    assert best["f1_50"] == pytest.approx(max(tried))
    kept = counted & (held.scores >= best["score"])
    assert best["kept"] == kept.sum()
    assert best["f1_50_of_all"] == pytest.approx(2 * held.hit.sum() / (counted.sum() + true))
