"""COCO out: pycocotools loads both files and finds a perfect answer perfect; instances convert to the same samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from data_tools.convert import Options, convert
from data_tools.writers.coco import Answer, sayable, write_instances, write_results
from grounding.errors import InputError
from grounding.samples import Sample
from tests.data_tools.annotated import coco_box, coco_file, coco_image
from tests.samples.making import TEXT, make


def converted(folder: Path) -> list[Sample]:
    """Two classes, crowds, doubles, and what a class that was refused leaves unsaid."""
    entries = [coco_image(number, f"{number}.png", (400, 300)) for number in range(10)]
    boxes = [
        coco_box(n, 1 + k % 2, [10.5 + 60 * k, 7.25 + 9 * n, 40.125, 33], iscrowd=int(k == 3))
        for n in range(9)
        for k in range(n % 5)
    ]
    boxes += [coco_box(8, 1, [10.5, 79.25, 40.125, 33]), coco_box(9, 2, [5, 5, 0, 9])]
    source = coco_file(folder, entries, boxes, draw=True)
    return list(convert([("train", source)], folder / "out", Options(negatives=9.0)).samples["train"])


def perfect(samples: list[Sample]) -> list[Answer]:
    return [Answer(sample.boxes or [], [1.0] * len(sample.boxes or [])) for sample in samples]


def evaluate(truth: Path, results: Path) -> Any:
    given = COCO(str(truth))
    evaluation = COCOeval(given, given.loadRes(str(results)), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats


def test_pycocotools_finds_the_truth_perfect_and_less_less(tmp_path: Path) -> None:
    samples = converted(tmp_path)
    write_instances(tmp_path / "gt.json", samples)
    written = write_results(tmp_path / "all.json", samples, perfect(samples))
    assert written == sum(len(sample.boxes or []) for sample in samples)
    assert evaluate(tmp_path / "gt.json", tmp_path / "all.json")[0] == pytest.approx(1.0)
    lost = [Answer(answer.boxes_px[1:], answer.scores[1:]) for answer in perfect(samples)]
    write_results(tmp_path / "some.json", samples, lost)
    assert evaluate(tmp_path / "gt.json", tmp_path / "some.json")[0] < 0.9


def test_instances_convert_to_the_same_samples(tmp_path: Path) -> None:
    """Also what is absent, and what nothing is known of: LVIS's keys say which."""
    samples = converted(tmp_path)
    write_instances(tmp_path / "gt.json", samples)
    options = Options(format="auto", negatives=9.0, images=tmp_path)
    again = convert([("train", tmp_path / "gt.json")], tmp_path / "again", options)
    assert again.taken["format"].startswith("lvis")
    assert [(sample.id, sample.prompt, sample.label) for sample in again.samples["train"]] == [
        (sample.id, sample.prompt, sample.label) for sample in samples
    ]
    for one, other in zip(again.samples["train"], samples, strict=True):
        for boxes, same in ((one.boxes or [], other.boxes or []), (one.ignore, other.ignore)):
            assert np.array(sorted(boxes)) == pytest.approx(np.array(sorted(same)), abs=1e-9)


def test_several_samples_of_one_class_in_an_image_are_put_together(tmp_path: Path) -> None:
    twin, other = [0.0, 0.0, 9.0, 9.0], [20.0, 0.0, 30.0, 9.0]
    samples = [make(id="a", boxes=[twin, twin]), make(id="b", boxes=[twin, other]), make(id="c", category="cat")]
    write_instances(tmp_path / "gt.json", samples)
    document = json.loads((tmp_path / "gt.json").read_text())
    dogs = [note["bbox"] for note in document["annotations"] if note["category_id"] == 2]
    assert sorted(dogs) == [[0, 0, 9, 9], [0, 0, 9, 9], [20, 0, 10, 9]]
    assert [entry["name"] for entry in document["categories"]] == ["cat", "dog"]
    assert len(document["images"]) == 1
    answers = [Answer([twin, twin], [0.5, 0.25]), Answer([twin, other], [0.75, 0.125]), Answer([], [])]
    assert write_results(tmp_path / "dt.json", samples, answers) == 3
    results = json.loads((tmp_path / "dt.json").read_text())
    assert [(note["bbox"][0], note["score"]) for note in results] == [(0, 0.5), (0, 0.25), (20, 0.125)]


def test_what_coco_cannot_say_is_counted_and_nothing_left_is_told() -> None:
    first = make(id="one", task="phrase_to_box")
    places, others = sayable([first, make(), make(**TEXT), make(id="no", category=None, phrase=None)])
    assert (places, others) == ([1], {"phrase_to_box": 1, "phrase_to_boxes": 1, "text": 1})
    with pytest.raises(InputError, match="1 of phrase_to_box"):
        sayable([first])
