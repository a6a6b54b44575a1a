"""Makes samples, answers and judged answers for tests of scoring."""

from __future__ import annotations

import random
from typing import Any

from grounding.evaluation.parse import judge_all
from grounding.evaluation.predictions import Prediction
from grounding.evaluation.protocols import DEFAULT, Protocol
from grounding.evaluation.scored import Scored, gather_truth, hold_against
from grounding.samples import Sample
from grounding.text import NOT_FOUND, write_boxes

SIZE = (200, 100)
NOT_FOUND_TEXT = NOT_FOUND["en"]


def sample(number: int, boxes: list[list[float]] | None, **more: Any) -> Sample:
    """A sample about image `number`, 200 x 100 unless said otherwise."""
    given: dict[str, Any] = {
        "id": f"s{number}",
        "image": f"{number}.png",
        "width": SIZE[0],
        "height": SIZE[1],
        "prompt": "Where is it?",
        "label": "yes",
        "phrase": "it",
        "category": "thing",
        "boxes": boxes,
    }
    return Sample(**{**given, **more})


def boxes_text(*boxes: list[float], size: tuple[int, int] = SIZE) -> str:
    """The boxes (pixels) as an answer, in the order given."""
    parts = [write_boxes([box], size).text.strip("[]") for box in boxes]
    return f"[[{';'.join(parts)}]]"


def predictions(*texts: str | None, finish: str | None = None) -> list[Prediction | None]:
    """One prediction for each of the samples s0, s1, ...; None stays None."""
    return [
        None if text is None else Prediction(id=f"s{number}", text=text, finish=finish)  # type: ignore[arg-type]
        for number, text in enumerate(texts)
    ]


def scored(samples: list[Sample], texts: list[str | None], protocol: Protocol = DEFAULT) -> Scored:
    """Texts held against samples."""
    truth = gather_truth(samples)
    return hold_against(truth, judge_all(predictions(*texts), truth.sizes), protocol)


def random_box(rng: random.Random, size: tuple[int, int] = SIZE) -> list[float]:
    """A box inside the frame."""
    x0, y0 = rng.uniform(0, size[0] * 0.7), rng.uniform(0, size[1] * 0.7)
    return [x0, y0, x0 + rng.uniform(4, size[0] * 0.3), y0 + rng.uniform(4, size[1] * 0.3)]


def shaken(rng: random.Random, box: list[float], by: float, size: tuple[int, int] = SIZE) -> list[float]:
    """The box with each side moved a little, inside the frame and not inverted."""
    moved = [min(max(value + rng.uniform(-by, by), 0.0), size[axis % 2]) for axis, value in enumerate(box)]
    x0, x1 = sorted((moved[0], moved[2]))
    y0, y1 = sorted((moved[1], moved[3]))
    return [x0, y0, x1, y1]


def random_set(seed: int, count: int) -> tuple[list[Sample], list[str | None]]:
    """Samples with none to three true boxes and some ignored ones, and answers of every kind, right and wrong."""
    rng = random.Random(seed)
    samples: list[Sample] = []
    texts: list[str | None] = []
    for number in range(count):
        true = [random_box(rng) for _ in range(rng.choice([0, 0, 1, 1, 2, 3]))]
        ignore = [random_box(rng)] if rng.random() < 0.3 else []
        samples.append(sample(number, true, image=f"{number // 2}.png", ignore=ignore, category=f"c{number % 4}"))
        answered = [shaken(rng, box, rng.choice([1, 6, 15])) for box in true if rng.random() < 0.8]
        answered += [shaken(rng, box, 2) for box in ignore if rng.random() < 0.5]
        answered += [random_box(rng)] * (rng.random() < 0.2)
        rng.shuffle(answered)
        text: str | None = boxes_text(*answered) if answered else NOT_FOUND_TEXT
        texts.append(rng.choice(["", "no idea", "[[1,2,3]]", None]) if rng.random() < 0.15 else text)
    return samples, texts
