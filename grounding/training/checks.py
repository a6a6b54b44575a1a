"""Looks at all data before the first step: can this model be trained on it? Refuses with a list, drops nothing.

Knows samples, the processor and the box text; it does not know losses or settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from grounding.errors import InputError, ManyErrors
from grounding.models.cogvlm import CogVLMProcessor
from grounding.samples import Dataset, Sample, open_image, resolve_image
from grounding.text import read_boxes, to_grid
from grounding.training.dataset import encode_sample

IMAGE_READERS = 4


@dataclass(frozen=True)
class TokenStatistics:
    """Lengths in tokens over all samples looked at.

    Attributes:
        samples: how many; of these `text_only` have no image.
        label_mean, label_max: of labels with their end token.
        longest: the longest whole sequence, image block included.
        above_budget: sequences of more than `pack_tokens` tokens.
    """

    samples: int
    text_only: int
    label_mean: float
    label_max: int
    longest: int
    above_budget: int


def check_data(
    datasets: Iterable[Dataset],
    processor: CogVLMProcessor,
    *,
    max_label_tokens: int,
    max_positions: int,
    decode_images: bool,
    pack_tokens: int | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> TokenStatistics:
    """See that every sample can be trained as it is.

    Args:
        max_label_tokens: longest label allowed, its end token included.
        max_positions: positions of the model; an image takes three of them, however many patches it has.
        pack_tokens: most tokens of a row that prompts share; None where none do.
        decode_images: decode every image; otherwise only see that its file is there, below the root.
        progress: is told the number of samples done since the last call.

    Raises:
        ManyErrors: every sample that cannot be trained, with the reason.
        InputError: not one sample fits into `pack_tokens`.
    """
    problems: list[str] = []
    lengths: list[tuple[int, int]] = []
    text_only = 0
    for dataset in datasets:
        problems += _history_problems(dataset, processor)
        with ThreadPoolExecutor(IMAGE_READERS) as readers:
            images = readers.map(lambda sample, at=dataset: _image_problem(at, sample, decode_images), _images(dataset))
            for sample in dataset.samples:
                where = f"{dataset.path}, sample {sample.id!r}: "
                problems += [where + problem for problem in _label_problems(sample, dataset.not_found)]
                if sample.history and not processor.supports_history:
                    continue
                label, whole, found = _tokens(sample, processor, max_label_tokens, max_positions)
                lengths.append((label, whole))
                text_only += sample.image is None
                problems += [where + problem for problem in found]
                progress(1)
            problems += [f"{dataset.path}, {problem}" for problem in images if problem]
    if problems:
        raise ManyErrors(
            "These samples cannot be trained",
            problems,
            fix="Nothing was trained or cut; mend the data or the settings.",
        )
    labels, wholes = (np.array(column) for column in zip(*lengths, strict=True))
    above = int((wholes > pack_tokens).sum()) if pack_tokens is not None else 0
    if above == len(wholes):
        raise InputError(
            f"no sample fits into {pack_tokens:,} tokens: the shortest takes {wholes.min():,}, of them "
            f"{processor.image_token_count:,} for an image",
            where="training.pack_tokens",
            fix=f"Set it to {wholes.max():,} or more, better several prompts more, or training.pack=false.",
        )
    return TokenStatistics(len(lengths), text_only, float(labels.mean()), int(labels.max()), int(wholes.max()), above)


def _history_problems(dataset: Dataset, processor: CogVLMProcessor) -> Iterator[str]:
    count = sum(bool(sample.history) for sample in dataset.samples)
    if count and not processor.supports_history:
        yield (
            f"{dataset.path}: {count} samples have earlier turns, for which the template "
            f"{processor.template_version!r} has no place; data.flatten_history=true writes them into the prompt"
        )


def _tokens(
    sample: Sample, processor: CogVLMProcessor, max_label_tokens: int, max_positions: int
) -> tuple[int, int, list[str]]:
    """Tokens of the label, of the whole sequence, and what is wrong with either."""
    encoded = encode_sample(sample, processor)
    assert encoded.labels is not None
    label = [token for token in encoded.labels if token != -100]
    whole = len(encoded.input_ids)
    problems = []
    if len(label) > max_label_tokens:
        problems.append(f"its label has {len(label)} tokens, data.max_label_tokens allows {max_label_tokens}")
    # begin, image block (all patches share one position), text: see the model's position ids.
    positions = whole - (processor.image_token_count - 3 if sample.image is not None else 0)
    if positions > max_positions:
        problems.append(f"its prompt and label take {positions} positions, the model has {max_positions}")
    if processor.tokenizer.unk_token_id in label:
        problems.append(f"its label {sample.label!r} has characters that the tokenizer cannot write")
    return len(label), whole, problems


def _label_problems(sample: Sample, not_found: dict[str, str]) -> Iterator[str]:
    """Where a sample asks for boxes: the label, read back, must be its boxes, or the not-found sentence for none."""
    if sample.boxes is None:
        return
    reading = read_boxes(sample.label, not_found)
    if not sample.boxes:
        if not reading.not_found:
            yield f"`boxes` is empty, but its label {sample.label!r} is none of the not-found sentences {not_found}"
        return
    if reading.not_found:
        yield f"it has {len(sample.boxes)} boxes, but its label says that nothing was found"
    elif reading.refusals:
        reasons = ", ".join(dict.fromkeys(refusal.reason for refusal in reading.refusals))
        yield f"its label {sample.label!r} cannot be read ({reasons})"
    elif sample.width and sample.height:
        cells, _ = to_grid(sample.boxes, (sample.width, sample.height))
        if sorted(map(tuple, cells)) != sorted(map(tuple, reading.xyxy_grid)):
            yield f"its label {sample.label!r} does not say its `boxes`, which are {cells.tolist()} on the grid"


def _images(dataset: Dataset) -> Sequence[Sample]:
    """One sample for each image in each frame and size that is claimed for it."""
    frames = {(one.image, one.upright, one.width, one.height): one for one in dataset.samples if one.image is not None}
    return list(frames.values())


def _image_problem(dataset: Dataset, sample: Sample, decode: bool) -> str | None:
    try:
        if decode:
            open_image(dataset.image_root, sample)
        else:
            assert sample.image is not None
            resolve_image(dataset.image_root, sample.image, where=f"sample {sample.id!r}")
    except InputError as error:
        return str(error)
    return None
