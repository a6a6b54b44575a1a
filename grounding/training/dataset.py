"""Samples as a model's training examples: ids, labels and pixels, one sample at a time.

Knows samples and the processor's `encode`; it does not know batches, order or losses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec
import torch
from torch import Tensor

from grounding.models.cogvlm import CogVLMProcessor
from grounding.models.cogvlm.processor import Encoded
from grounding.samples import Dataset, Sample, open_image, read_dataset
from grounding.settings import DataSource


class Example(NamedTuple):
    """One sample, encoded.

    Attributes:
        encoded: input_ids, token_type_ids and labels, each a list of T ints.
        pixels: float32[3, S, S], or None for text only.
        task: as the sample says.
    """

    encoded: Encoded
    pixels: Tensor | None
    task: str


class SampleDataset(torch.utils.data.Dataset[Example]):
    """Any iterable of Samples, encoded when asked for. A pure function of the index: nothing random."""

    def __init__(self, samples: Iterable[Sample], image_root: Path, processor: CogVLMProcessor) -> None:
        self.samples: Sequence[Sample] = tuple(samples)
        self.image_root, self.processor = Path(image_root), processor

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Example:
        sample = self.samples[index]
        pixels = None
        if sample.image is not None:
            pixels = self.processor.preprocess_image(open_image(self.image_root, sample))
        return Example(encode_sample(sample, self.processor), pixels, sample.task)


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
