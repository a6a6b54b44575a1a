"""Scenes and their questions as a dataset folder, and back as pictures and objects. Knows no model.

images/000000.png ... NAME.jsonl manifest.json
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from grounding.pocket.questions import Asking, samples_of
from grounding.pocket.scenes import CATEGORIES, Drawn, draw_scene
from grounding.samples import Manifest, Sample, atomic_path, read_dataset, write_manifest, write_samples
from grounding.text import NOT_FOUND


class Drawing(NamedTuple):
    """A set of scenes, `objects` (fewest, most) in each: scene `i` of seed `s` is the same whatever else is drawn."""

    scenes: int
    seed: int
    objects: tuple[int, int] = (1, 4)
    side: int = 112


def write_drawing(folder: Path, drawing: Drawing, asking: Mapping[str, Asking]) -> None:
    """Draws the set into a folder with a JSONL file for each way of asking; nothing where its manifest is there."""
    if (folder / "manifest.json").exists():
        return
    (folder / "images").mkdir(parents=True, exist_ok=True)
    samples: dict[str, list[Sample]] = {name: [] for name in asking}
    for number in range(drawing.scenes):
        scene = draw_scene(
            random.Random(f"{drawing.seed}/{number}"), size_wh=(drawing.side, drawing.side), objects=drawing.objects
        )
        image = f"images/{number:06d}.png"
        scene.image.save(folder / image, compress_level=1)
        for name, way in asking.items():
            rng = random.Random(f"{drawing.seed}/{number}/questions")
            samples[name] += samples_of(scene.objects, scene.image.size, image, rng, way)
    for name, lines in samples.items():
        with atomic_path(folder / f"{name}.jsonl") as unfinished:
            write_samples(unfinished, lines)
    counts = {"images": drawing.scenes, "samples": sum(map(len, samples.values()))}
    settings = {"made_by": "grounding.pocket.make", **drawing._asdict()}
    write_manifest(
        folder / "manifest.json",
        Manifest(image_root=".", not_found=dict(NOT_FOUND), counts=counts, settings=settings),
    )


def read_drawing(path: Path, most: int | None = None) -> tuple[NDArray[np.uint8], list[list[Drawn]]]:
    """The pictures uint8[n, H, W, 3] of a set that has a question about every object, and the objects in each.

    Args:
        most: only the first so many pictures.
    """
    dataset = read_dataset(path)
    by_image: dict[str, dict[str, list[Drawn]]] = {}
    for sample in dataset.samples:
        assert sample.image is not None and sample.boxes is not None and sample.category is not None
        of_image = by_image.setdefault(sample.image, {})
        if sample.category in CATEGORIES:
            of_image[sample.category] = [_drawn(sample.category, box) for box in sample.boxes]
    chosen = list(by_image.items())[:most]
    pictures = [np.asarray(Image.open(dataset.image_root / image).convert("RGB")) for image, _ in chosen]
    return np.stack(pictures), [[drawn for boxes in found.values() for drawn in boxes] for _, found in chosen]


def _drawn(category: str, box: list[float]) -> Drawn:
    x0, y0, x1, y1 = map(int, box)
    return Drawn(category, (x0, y0, x1, y1))
