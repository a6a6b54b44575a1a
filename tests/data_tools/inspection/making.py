"""Small finished datasets for the tests: samples with right labels, folders of them, pictures that look like photos."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from grounding.samples import Manifest, Sample, write_manifest, write_samples
from grounding.text import NOT_FOUND, write_boxes

SIZE = (96, 72)
ONE_BOX = [[10.0, 10.0, 40.0, 30.0]]


def photo(seed: int, size_wh: tuple[int, int] = SIZE) -> Image.Image:
    """Smooth blobs of colour, others for another seed."""
    rough = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(rough).resize(size_wh, Image.Resampling.BICUBIC)


def sample(
    image: str, boxes: Sequence[Sequence[float]] | None = ONE_BOX, category: str = "cat", **changes: Any
) -> Sample:
    """A question for a class about an image, rightly answered."""
    held = None if boxes is None else [list(map(float, box)) for box in boxes]
    values: dict[str, Any] = {
        "id": f"{image}#{category}",
        "image": image,
        "width": SIZE[0],
        "height": SIZE[1],
        "prompt": f"Where is {category}?",
        "label": write_boxes(held, SIZE).text if held else NOT_FOUND["en"],
        "phrase": category,
        "category": category,
        "boxes": held,
    }
    return Sample(**{**values, **changes})


def dataset(folder: Path, *, draw: bool = True, manifest: dict[str, Any] | None = None, **splits: list[Sample]) -> Path:
    """A dataset folder; each image is drawn unless it is there, another photo for another name."""
    out = folder / "set"
    out.mkdir(parents=True, exist_ok=True)
    (folder / "images").mkdir(exist_ok=True)
    for split, samples in splits.items():
        write_samples(out / f"{split}.jsonl", samples)
    write_manifest(out / "manifest.json", Manifest(image_root="../images", **(manifest or {})))
    for name in sorted({str(one.image) for samples in splits.values() for one in samples if draw}):
        path = folder / "images" / name
        if not path.exists():
            photo(zlib.crc32(name.encode())).save(path)
    return out
