"""How much of the data that a run is judged by is trained on too. Knows samples by what they ask, opens no image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from grounding.samples import Dataset, Sample


def trained_on_too(train: Sequence[Dataset], val: Sequence[Dataset]) -> Iterator[str]:
    """A sentence where samples or images of the validation data stand in the training data."""
    for held in val:
        learnt = {_question(sample) for data in train for sample in data.samples}
        seen = {image for data in train for image in _images(data)}
        samples, images = sum(_question(sample) in learnt for sample in held.samples), _images(held)
        if samples or images & seen:
            about = f" and {len(images & seen):,} of its {len(images):,} images" if images else ""
            yield (
                f"{samples:,} of the {len(held.samples):,} samples of data.val{about} are trained on too: what "
                "evaluation finds shows what was remembered, not how new images are answered, and the checkpoint is "
                "chosen by it."
            )


def _question(sample: Sample) -> tuple[str, str | None, str]:
    """Equal for what is the same sample, in whatever folder: ids alone may be mere numbers."""
    return sample.id, sample.image, sample.prompt


def _images(data: Dataset) -> set[tuple[Path, str]]:
    root = data.image_root.resolve()
    return {(root, sample.image) for sample in data.samples if sample.image is not None}
