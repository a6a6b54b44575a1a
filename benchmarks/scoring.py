"""How fast are answers scored? Reading, matching and counting, beside pycocotools' COCOeval on the same boxes.

COCOeval gets boxes that were read already and no text, "not found" or interval; it is the scorer that people know.

    python -m benchmarks.scoring
"""

from __future__ import annotations

import contextlib
import io
import random

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from benchmarks.timing import report, side_by_side
from grounding.evaluation.evaluate import score
from grounding.evaluation.predictions import Prediction
from grounding.samples import Sample
from grounding.text import NOT_FOUND, write_boxes

IMAGES, CLASSES, SIDE = 2000, 20, 640


def drawn_samples(seed: int = 0) -> tuple[list[Sample], list[Prediction]]:
    """Five questions an image, one to eight true boxes each (every fifth absent), answers shaken by some pixels."""
    rng = random.Random(seed)
    samples, predictions = [], []
    for image in range(IMAGES):
        for category in rng.sample(range(CLASSES), 5):
            boxes = [_box(rng) for _ in range(rng.randint(1, 8))] if rng.random() < 0.8 else []
            name = f"{image}#{category}"
            answered = [_shaken(rng, box) for box in boxes]
            text = write_boxes(answered, (SIDE, SIDE)).text if answered else NOT_FOUND["en"]
            place = {"image": f"{image}.jpg", "width": SIDE, "height": SIDE}
            samples.append(Sample(id=name, **place, prompt="?", label=text, category=str(category), boxes=boxes))
            predictions.append(Prediction(id=name, text=text, finish="eos"))
    return samples, predictions


def _box(rng: random.Random) -> tuple[float, float, float, float]:
    x0, y0 = rng.uniform(0, SIDE - 40), rng.uniform(0, SIDE - 40)
    return (x0, y0, min(SIDE, x0 + rng.uniform(20, 200)), min(SIDE, y0 + rng.uniform(20, 200)))


def _shaken(rng: random.Random, box: tuple[float, ...]) -> list[float]:
    return [min(SIDE, max(0.0, edge + rng.uniform(-5, 5))) for edge in box]


def coco_eval(samples: list[Sample]) -> None:
    """The same truth through COCOeval, with the truth itself as detections."""
    images = [{"id": image, "width": SIDE, "height": SIDE} for image in range(IMAGES)]
    boxes = [(sample, box) for sample in samples for box in sample.boxes or []]
    annotations = [
        {
            "id": number,
            "image_id": int(sample.id.split("#")[0]),
            "category_id": int(sample.category or 0),
            "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
            "area": (box[2] - box[0]) * (box[3] - box[1]),
            "iscrowd": 0,
        }
        for number, (sample, box) in enumerate(boxes, start=1)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        categories = [{"id": number, "name": str(number)} for number in range(CLASSES)]
        truth.dataset = {"images": images, "annotations": annotations, "categories": categories}
        truth.createIndex()
        found = truth.loadRes([{**annotation, "score": 1.0} for annotation in annotations])
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()


def main() -> None:
    samples, predictions = drawn_samples()
    results = side_by_side(
        {"grounding, texts to metrics": lambda: score(samples, predictions), "COCOeval": lambda: coco_eval(samples)},
        rounds=3,
    )
    settings = {
        "images": IMAGES,
        "answers": len(samples),
        "true_boxes": sum(len(sample.boxes or []) for sample in samples),
    }
    report("scoring", "Scoring answers", settings, results, ("numpy", "scipy", "pycocotools"))


if __name__ == "__main__":
    main()
