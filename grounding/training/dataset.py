"""Samples as a model's training examples: ids, labels and pixels, one sample at a time.

Knows samples and the processor's `encode`; it does not know batches, order or losses. Nothing random but mirroring, a
function of (seed, image, epoch).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec
import torch
from PIL import ImageOps
from torch import Tensor

from grounding.models.cogvlm import CogVLMProcessor
from grounding.models.cogvlm.processor import Encoded
from grounding.samples import Dataset, Sample, open_image, read_dataset
from grounding.settings import DataSource
from grounding.training.flip import flipped, is_flipped


class Picture(NamedTuple):
    """What the pixels of an example are made from: equal pictures give equal pixels."""

    image_root: Path
    image: str
    upright: bool
    flipped: bool = False


class Clock(Protocol):
    """Whatever knows the epoch, counted from 0."""

    epoch: int


class Flips(NamedTuple):
    """How often pictures are mirrored left to right: in this share of the epochs, drawn by the seed."""

    share: float
    seed: int
    clock: Clock


class Example(NamedTuple):
    """One sample, encoded; its image is not opened before it is asked for.

    Attributes:
        encoded: input_ids, token_type_ids and labels, each a list of T ints.
        picture: None for text only.
        task: as the sample says.
    """

    encoded: Encoded
    picture: Picture | None
    task: str
    load: Callable[[], Tensor]

    @property
    def pixels(self) -> Tensor | None:
        """float32[3, S, S], read from the file each time; None for text only."""
        return None if self.picture is None else self.load()


class SampleDataset(torch.utils.data.Dataset[Example]):
    """Any iterable of Samples, encoded when asked for. A pure function of the index and, with `flips`, of the epoch.

    A sample whose words name a side that cannot be swapped is never mirrored (see `flip.flipped`).
    """

    def __init__(
        self, samples: Iterable[Sample], image_root: Path, processor: CogVLMProcessor, flips: Flips | None = None
    ) -> None:
        self.samples: Sequence[Sample] = tuple(samples)
        self.image_root, self.processor, self.flips = Path(image_root), processor, flips

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Example:
        stored = self.samples[index]
        mirrored = self._mirrored(stored)
        sample, picture = mirrored or stored, picture_of(stored, self.image_root)

        def load() -> Tensor:
            image = open_image(self.image_root, stored)
            return self.processor.preprocess_image(ImageOps.mirror(image) if mirrored else image)

        if picture is not None and mirrored:
            picture = picture._replace(flipped=True)
        return Example(encode_sample(sample, self.processor), picture, sample.task, load)

    def _mirrored(self, sample: Sample) -> Sample | None:
        """The sample of the mirrored picture where it is mirrored in this epoch."""
        if self.flips is None or sample.image is None:
            return None
        share, seed, clock = self.flips
        return flipped(sample) if is_flipped(share, seed, sample.image, clock.epoch) else None


def picture_of(sample: Sample, image_root: Path) -> Picture | None:
    """The picture that a sample is about; None for text only."""
    return None if sample.image is None else Picture(image_root, sample.image, sample.upright)


def picture_numbers(datasets: Iterable[Dataset]) -> list[int]:
    """For every sample, the datasets laid end to end, the number of its picture; -1 for text only."""
    numbers: dict[Picture, int] = {}
    pictures = [picture_of(sample, data.image_root) for data in datasets for sample in data.samples]
    return [-1 if picture is None else numbers.setdefault(picture, len(numbers)) for picture in pictures]


def encode_sample(sample: Sample, processor: CogVLMProcessor) -> Encoded:
    """Prompt and label as ids, with -100 as the label of everything but the answer and its end mark."""
    return processor.encode(
        sample.prompt, has_image=sample.image is not None, history=sample.history, answer=sample.label
    )


def read_sources(sources: Iterable[DataSource], *, flatten: bool) -> list[Dataset]:
    """The datasets that the settings name, each with at least one sample.

    Args:
        flatten: write earlier turns into the prompt (see `flatten_history`).

    Raises:
        InputError: a file is missing, wrong or empty.
    """
    datasets = []
    for source in sources:
        dataset = read_dataset(Path(source.path), Path(source.images) if source.images else None)
        if flatten:
            dataset = replace(dataset, samples=[flatten_history(sample) for sample in dataset.samples])
        datasets.append(dataset)
    return datasets


def flatten_history(sample: Sample) -> Sample:
    """The sample with its earlier turns as lines before the prompt, for a template that has no place for them."""
    if not sample.history:
        return sample
    turns = [text for turn in sample.history for text in turn]
    return msgspec.structs.replace(sample, prompt="\n".join([*turns, sample.prompt]), history=[])
