"""How fast are answers scored, and in how much memory? Beside pycocotools, torchmetrics, supervision, a plain loop.

Ours and the plain loop go from two files, the data and the answers' texts, to a file with a line a sample. The others
get boxes that were read already, and nothing to write; they are given fewer of them. Each runs in a
process of its own, on one thread. Intervals, baselines and breakdowns are timed apart.

    python -m benchmarks.scoring [ANSWERS]
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import multiprocessing
import random
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.timing import report
from grounding.samples import Sample
from grounding.text import NOT_FOUND, write_boxes

ANSWERS, FEW, CLASSES = 200_000, 5_000, 80
SIZES = ((640, 480), (480, 640), (640, 640), (1280, 720), (500, 375), (333, 500))
COUNTS = (0, 1, 1, 2, 3, 4, 6, 8, 9, 11)  # true boxes of a question, 4.5 on average

Box = list[float]


def drawn(count: int, seed: int = 0) -> Iterator[tuple[Sample, str]]:
    """Five questions an image, answered by shaken boxes; some left out, some answers in words, some gibberish."""
    rng = random.Random(seed)
    for number in range(count):
        size = SIZES[number // 5 % len(SIZES)]
        true = [_box(rng, size) for _ in range(rng.choice(COUNTS))]
        answered = [_shaken(rng, box, size) for box in true if rng.random() < 0.95]
        chance = rng.random()
        text = write_boxes(answered, size).text if answered and chance < 0.95 else NOT_FOUND["en"]
        text = "I am not sure." if chance > 0.98 else f"It is at {text}." if answered and chance < 0.07 else text
        name = f"class {rng.randrange(CLASSES)}"
        place = {"image": f"train2017/{number // 5:012d}.jpg", "width": size[0], "height": size[1]}
        prompt = f"Where is {name}? answer in [[x0,y0,x1,y1]] format."
        words = {"prompt": prompt, "label": "?", "phrase": name, "category": name}
        yield Sample(id=f"{number // 5:06d}.jpg#{number}", **place, **words, boxes=true), text


def _box(rng: random.Random, size: tuple[int, int]) -> Box:
    x0, y0 = (rng.uniform(0, side - 30) for side in size)
    x1, y1 = (min(side, low + rng.uniform(10, 0.3 * side)) for side, low in zip(size, (x0, y0), strict=True))
    return [round(value, 2) for value in (x0, y0, x1, y1)]


def _shaken(rng: random.Random, box: Box, size: tuple[int, int]) -> Box:
    moved = [min(max(edge + rng.uniform(-6, 6), 0.0), side) for edge, side in zip(box, size * 2, strict=True)]
    return [*map(min, moved[:2], moved[2:]), *map(max, moved[:2], moved[2:])]


def write_files(folder: Path, count: int) -> int:
    """data.jsonl and answers.jsonl; returns the number of true boxes."""
    from grounding.samples import write_samples

    boxes = 0
    with (folder / "answers.jsonl").open("w", encoding="utf-8") as answers:

        def samples() -> Iterator[Sample]:
            nonlocal boxes
            for sample, text in drawn(count):
                boxes += len(sample.boxes or [])
                answers.write(json.dumps({"id": sample.id, "text": text, "finish": "eos"}) + "\n")
                yield sample

        write_samples(folder / "data.jsonl", samples())
    return boxes


def ours(folder: Path) -> Callable[[], object]:
    """Read, match, count and write samples.jsonl, as `grounding benchmark --predictions` does."""
    from types import SimpleNamespace
    from typing import cast

    from grounding.evaluation.evaluate import Evaluation
    from grounding.evaluation.metrics import outcomes
    from grounding.evaluation.parse import judge_all
    from grounding.evaluation.predictions import open_aligned
    from grounding.evaluation.report.write import write_rows
    from grounding.evaluation.scored import gather_truth, hold_against
    from grounding.samples import open_samples

    def run() -> None:
        samples = open_samples(folder / "data.jsonl")
        predictions = open_aligned(folder / "answers.jsonl", samples)
        truth = gather_truth(samples)
        scored = hold_against(truth, judge_all(predictions, truth.sizes))
        parts = SimpleNamespace(samples=samples, predictions=predictions, scored=scored, outcome=outcomes(scored))
        write_rows(folder / "samples.jsonl", cast(Evaluation, parts))

    return run


def ours_whole(folder: Path) -> Callable[[], object]:
    """The same and all numbers of a report: intervals, baselines, breakdowns, kinds of mistakes."""
    from grounding.evaluation.evaluate import evaluate
    from grounding.evaluation.predictions import open_aligned
    from grounding.evaluation.report.write import summarise, write_rows
    from grounding.samples import open_samples

    def run() -> None:
        samples = open_samples(folder / "data.jsonl")
        evaluation = evaluate(samples, open_aligned(folder / "answers.jsonl", samples))
        write_rows(folder / "samples.jsonl", evaluation)
        summarise(evaluation, {"data": {}, "answers": {}, "settings": {}, "versions": {}})

    return run


def plain_loop(folder: Path) -> Callable[[], object]:
    """What one writes in an afternoon: a regular expression, IoU pair by pair, greedy matching, a line a sample."""
    numbers = re.compile(r"(\d{3}),(\d{3}),(\d{3}),(\d{3})")

    def iou(a: Box, b: Box) -> float:
        wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        if wide <= 0 or high <= 0:
            return 0.0
        return wide * high / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - wide * high)

    def run() -> None:
        with (folder / "answers.jsonl").open(encoding="utf-8") as file:
            texts = {row["id"]: row["text"] for row in map(json.loads, file)}
        with (folder / "data.jsonl").open(encoding="utf-8") as data, (folder / "plain.jsonl").open("w") as out:
            for sample in map(json.loads, data):
                text = texts[sample["id"]]
                scale = [side / 1000 for side in (sample["width"], sample["height"])] * 2
                boxes = [[int(v) * s for v, s in zip(found, scale, strict=True)] for found in numbers.findall(text)]
                table = [
                    (iou(box, true), i, j) for i, box in enumerate(boxes) for j, true in enumerate(sample["boxes"])
                ]
                left, right, ious = set(range(len(boxes))), set(range(len(sample["boxes"]))), []
                for value, i, j in sorted(table, reverse=True):
                    if value >= 0.5 and i in left and j in right:
                        left.remove(i)
                        right.remove(j)
                        ious.append(value)
                row = {"id": sample["id"], "text": text, "boxes_px": boxes, "true_px": sample["boxes"], "ious": ious}
                out.write(json.dumps(row) + "\n")

    return run


def _read_boxes(folder: Path) -> list[tuple[dict[str, Any], list[Box]]]:
    """Each sample with its answered boxes in pixels."""
    from grounding.text import read_boxes, to_pixels

    with (folder / "answers.jsonl").open(encoding="utf-8") as file:
        texts = {row["id"]: row["text"] for row in map(json.loads, file)}
    with (folder / "data.jsonl").open(encoding="utf-8") as data:
        samples = [json.loads(line) for line in data]
    return [
        (sample, to_pixels(read_boxes(texts[sample["id"]]).xyxy_grid, (sample["width"], sample["height"])).tolist())
        for sample in samples
    ]


def coco_eval(folder: Path) -> Callable[[], object]:
    """pycocotools' COCOeval on the boxes."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def notes(boxes: list[Box], image: int, category: int) -> list[dict[str, Any]]:
        sides = [[box[2] - box[0], box[3] - box[1]] for box in boxes]
        return [
            {"image_id": image, "category_id": category, "bbox": [*box[:2], *side], "area": side[0] * side[1]}
            for box, side in zip(boxes, sides, strict=True)
        ]

    images, truth, found = {}, [], []
    for sample, answered in _read_boxes(folder):
        image = images.setdefault(sample["image"], len(images))
        category = int(sample["category"].split()[-1])
        truth += [{**note, "id": len(truth) + 1, "iscrowd": 0} for note in notes(sample["boxes"], image, category)]
        found += [{**note, "score": 1.0} for note in notes(answered, image, category)]
    for number, note in enumerate(truth, start=1):
        note["id"] = number

    def run() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO()
            coco.dataset = {
                "info": {},
                "images": [{"id": image} for image in images.values()],
                "annotations": truth,
                "categories": [{"id": number} for number in range(CLASSES)],
            }
            coco.createIndex()
            evaluation = COCOeval(coco, coco.loadRes(found), "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()

    return run


def torchmetrics_map(folder: Path) -> Callable[[], object]:
    """torchmetrics' MeanAveragePrecision on the boxes, one picture a sample."""
    import torch
    from torchmetrics.detection import MeanAveragePrecision

    torch.set_num_threads(1)
    found, truth = [], []
    for sample, answered in _read_boxes(folder):
        category = int(sample["category"].split()[-1])
        for target, boxes in ((truth, sample["boxes"]), (found, answered)):
            labels = torch.full((len(boxes),), category)
            target.append(
                {"boxes": torch.tensor(boxes).reshape(-1, 4), "labels": labels, "scores": torch.ones(len(boxes))}
            )

    def run() -> None:
        metric = MeanAveragePrecision()
        metric.update(found, truth)
        metric.compute()

    return run


def supervision_map(folder: Path) -> Callable[[], object]:
    """supervision's MeanAveragePrecision on the boxes, one picture a sample."""
    import numpy as np
    from supervision import Detections
    from supervision.metrics import MeanAveragePrecision

    found, truth = [], []
    for sample, answered in _read_boxes(folder):
        category = int(sample["category"].split()[-1])
        for target, boxes in ((truth, sample["boxes"]), (found, answered)):
            ones = np.ones(len(boxes))
            corners = np.array(boxes, dtype=np.float64).reshape(-1, 4)
            target.append(Detections(xyxy=corners, confidence=ones, class_id=np.full(len(boxes), category)))

    def run() -> None:
        MeanAveragePrecision().update(found, truth).compute()

    return run


def _measure(make: Callable[[Path], Callable[[], object]], folder: Path, pipe: Any) -> None:
    """Sends the CPU seconds of the run, without imports, and the most memory that the process had, in MiB."""
    run = make(folder)
    gc.freeze()
    gc.disable()  # as `grounding benchmark` does where it scores files; all contenders alike
    started = time.process_time()
    run()
    pipe.send((time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def measured(make: Callable[[Path], Callable[[], object]], folder: Path, answers: int, rounds: int) -> dict[str, float]:
    """The quickest of some rounds: other programs can only make it slower."""
    spawn = multiprocessing.get_context("spawn")
    seconds, peaks = [], []
    for _ in range(rounds):
        receiver, sender = spawn.Pipe(duplex=False)
        process = spawn.Process(target=_measure, args=(make, folder, sender))
        process.start()
        sender.close()
        cpu, peak = receiver.recv()
        process.join()
        seconds.append(cpu)
        peaks.append(peak)
    return {
        "answers": answers,
        "cpu_s": min(seconds),
        "answers_per_cpu_s": answers / min(seconds),
        "peak_mib": max(peaks),
    }


# No dependencies of this project: what each needs, and what runs it.
OTHERS = {
    "torchmetrics": (("torchmetrics", "torchvision"), torchmetrics_map),
    "supervision": (("supervision",), supervision_map),
}


def main(answers: int = ANSWERS) -> None:
    with tempfile.TemporaryDirectory() as name:
        many, few = Path(name) / "many", Path(name) / "few"
        many.mkdir()
        few.mkdir()
        boxes, few_answers = write_files(many, answers), min(FEW, answers)
        write_files(few, few_answers)
        results = {
            "grounding: read, match, samples.jsonl": measured(ours, many, answers, 3),
            "the same with intervals and breakdowns": measured(ours_whole, many, answers, 1),
            "plain loop": measured(plain_loop, many, answers, 1),
            "pycocotools COCOeval, boxes only": measured(coco_eval, few, few_answers, 1),
        }
        for name, (needed, contender) in OTHERS.items():
            absent = [package for package in needed if not find_spec(package)]
            if absent:
                print(f"{name}: left out, {', '.join(absent)} is not installed")
            else:
                results[f"{name}, boxes only"] = measured(contender, few, few_answers, 1)
    settings = {"answers": answers, "true_boxes": boxes, "classes": CLASSES}
    report("scoring", "Scoring answers", settings, results, ("numpy", "scipy", "msgspec", "pycocotools"))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
