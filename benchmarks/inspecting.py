"""How long do `inspect` and `validate` take for 10,000 samples, and the search for look-alikes among 100,000 images?

Images are not read: that takes what decoding them takes. Fingerprints are random, but for one pair three bits apart.

    python -m benchmarks.inspecting
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.timing import report, side_by_side
from data_tools.inspection.fingerprints import WORDS, near_pairs
from data_tools.inspection.inspection import inspect
from data_tools.inspection.page import render_page
from data_tools.validation.validate import validate
from grounding.samples import Sample, write_samples
from grounding.text import NOT_FOUND, write_boxes

SAMPLES, OF_AN_IMAGE, CLASSES, MOST_BOXES = 10_000, 4, 80, 7
SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}
IMAGES = 100_000
SIZE = (640, 480)


def make_sample(split: str, number: int, rng: random.Random) -> Sample:
    """A question for a class, with up to `MOST_BOXES` random boxes."""
    corners = [(rng.uniform(0, 500), rng.uniform(0, 400)) for _ in range(rng.randint(0, MOST_BOXES))]
    boxes = [[x, y, x + rng.uniform(2, 139), y + rng.uniform(2, 79)] for x, y in corners]
    category = f"class {rng.randrange(CLASSES)}"
    return Sample(
        id=f"{split}{number}",
        image=f"{split}{number // OF_AN_IMAGE}.jpg",
        width=SIZE[0],
        height=SIZE[1],
        prompt=f"Where is {category}?",
        label=write_boxes(boxes, SIZE).text if boxes else NOT_FOUND["en"],
        phrase=category,
        category=category,
        boxes=boxes,
    )


def make_prints(seed: int = 0) -> np.ndarray:
    """uint16[IMAGES, WORDS]."""
    prints = np.random.default_rng(seed).integers(0, 1 << 16, (IMAGES, WORDS), dtype=np.uint16)
    prints[1] = prints[0]
    prints[1, 3] ^= 0b111
    return prints


def main() -> None:
    rng, prints = random.Random(0), make_prints()
    assert near_pairs(prints).places.tolist() == [[0, 1]]
    with tempfile.TemporaryDirectory() as name:
        for split, share in SHARES.items():
            samples = (make_sample(split, number, rng) for number in range(int(share * SAMPLES)))
            write_samples(Path(name) / f"{split}.jsonl", samples)
        results = side_by_side(
            {
                "inspect, with the page": lambda: render_page(inspect(Path(name), check_images=False)),
                "validate": lambda: validate(Path(name), check_images=False),
                "look-alikes": lambda: near_pairs(prints),
            },
            rounds=3,
        )
    report(
        "inspecting",
        "CPU seconds to inspect and to validate a dataset without reading its images, and to find look-alikes",
        {"samples": SAMPLES, "images compared": IMAGES},
        results,
        ("numpy", "msgspec", "scipy"),
    )


if __name__ == "__main__":
    main()
