"""Looks at all data before the first step: can this model be trained on it? Refuses with a list, drops nothing.

Knows samples, the processor and the box text; it does not know losses or settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from grounding.errors import InputError, ManyErrors
from grounding.labels import label_problems
from grounding.models.cogvlm import CogVLMProcessor
from grounding.models.cogvlm.cogvlm import NO_LABEL
from grounding.models.cogvlm.processor import Encoded
from grounding.samples import Dataset, ImageNotThere, LinkedOutside, Sample, open_image, resolve_image
from grounding.training.dataset import encode_sample

IMAGE_READERS = 4


class SampleTokens(NamedTuple):
    """Of one sample: tokens of its label with the end, of the whole sequence with the image, and positions."""

    label: int
    whole: int
    positions: int


def sample_tokens(encoded: Encoded) -> SampleTokens:
    """How long an example with a label is. All patches of an image share a position, so that it takes three."""
    image = encoded.prefix_length - 1
    labels = encoded.labels or []
    return SampleTokens(
        sum(label != NO_LABEL for label in labels), len(encoded), len(encoded) - (image - 3 if image else 0)
    )


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
        InputError: not one sample fits into a budget (see `check_budgets`).
        ManyErrors: every sample that cannot be trained, with the reason.
    """
    problems: list[str | InputError] = []
    lengths: list[SampleTokens] = []
    text_only = 0
    for dataset in datasets:
        problems += history_problems(dataset, processor)
        with ThreadPoolExecutor(IMAGE_READERS) as readers:
            images = readers.map(lambda sample, at=dataset: _image_problem(at, sample, decode_images), _images(dataset))
            for sample in dataset.samples:
                where = f"{dataset.path}, sample {sample.id!r}"
                problems += [InputError(said, where=where) for said in label_problems(sample, dataset.not_found)]
                if sample.history and not processor.supports_history:
                    continue
                tokens, found = measure_sample(sample, processor, max_label_tokens, max_positions)
                lengths.append(tokens)
                text_only += sample.image is None
                problems += [InputError(said, where=where) for said in found]
                progress(1)
            problems += [problem for problem in images if problem]
    check_budgets(lengths, max_label_tokens=max_label_tokens, max_positions=max_positions, pack_tokens=pack_tokens)
    if problems:
        raise ManyErrors(
            "These samples cannot be trained",
            problems,
            fix="Nothing was trained or cut; mend the data or the settings.",
        )
    labels, wholes, _ = (np.array(column) for column in zip(*lengths, strict=True))
    above = int((wholes > pack_tokens).sum()) if pack_tokens is not None else 0
    return TokenStatistics(len(lengths), text_only, float(labels.mean()), int(labels.max()), int(wholes.max()), above)


def measure_sample(
    sample: Sample, processor: CogVLMProcessor, max_label_tokens: int, max_positions: int
) -> tuple[SampleTokens, list[str]]:
    """How long a sample is, and what is wrong with that or with its tokens; see `check_data`."""
    encoded = encode_sample(sample, processor)
    tokens = sample_tokens(encoded)
    problems = []
    if tokens.label > max_label_tokens:
        problems.append(f"its label has {tokens.label} tokens, data.max_label_tokens allows {max_label_tokens}")
    if tokens.positions > max_positions:
        problems.append(f"its prompt and label take {tokens.positions} positions, the model has {max_positions}")
    if processor.tokenizer.unk_token_id in (encoded.labels or []):
        problems.append(f"its label {sample.label!r} has characters that the tokenizer cannot write")
    return tokens, problems


def history_problems(dataset: Dataset, processor: CogVLMProcessor) -> Iterator[str]:
    """Where samples have earlier turns and the model's template has no place for any."""
    count = sum(bool(sample.history) for sample in dataset.samples)
    if count and not processor.supports_history:
        yield (
            f"{dataset.path}: {count} samples have earlier turns, for which the template "
            f"{processor.template_version!r} has no place; data.flatten_history=true writes them into the prompt"
        )


def check_budgets(
    lengths: Sequence[SampleTokens], *, max_label_tokens: int, max_positions: int, pack_tokens: int | None
) -> None:
    """See that there is a sample that fits into each budget: otherwise the budget is wrong, and not the samples.

    Raises:
        InputError: there is none; it says what the shortest takes, and what to set.
    """
    if not lengths:
        return
    labels, wholes, positions = zip(*lengths, strict=True)
    if min(labels) > max_label_tokens:
        raise InputError(
            f"no label fits into {max_label_tokens:,} tokens: the shortest takes {min(labels):,}, the longest "
            f"{max(labels):,}, the end included",
            where="data.max_label_tokens",
            fix=f"Set it to {max(labels):,} or more.",
        )
    if min(positions) > max_positions:
        raise InputError(
            f"no sample fits into the model's {max_positions:,} positions: the shortest takes {min(positions):,}, of "
            "which an image takes 3 whatever its size",
            where="max_position_embeddings",
            fix="Shorten prompts and labels, or take a checkpoint with more positions.",
        )
    if pack_tokens is not None and min(wholes) > pack_tokens:
        raise InputError(
            f"no sample fits into {pack_tokens:,} tokens: the shortest takes {min(wholes):,}, the longest "
            f"{max(wholes):,}, the image included",
            where="training.pack_tokens",
            fix=f"Set it to {max(wholes):,} or more, better several prompts more; or leave it out, so that it follows "
            "from the image; or training.pack=false.",
        )


def _images(dataset: Dataset) -> Sequence[Sample]:
    """One sample for each image in each frame and size that is claimed for it."""
    frames = {(one.image, one.upright, one.width, one.height): one for one in dataset.samples if one.image is not None}
    return list(frames.values())


def _image_problem(dataset: Dataset, sample: Sample, decode: bool) -> InputError | None:
    try:
        if decode:
            open_image(dataset.image_root, sample)
        else:
            assert sample.image is not None
            resolve_image(dataset.image_root, sample.image, where=f"sample {sample.id!r}")
    except InputError as error:
        return InputError(error.problem, where=f"{dataset.path}, {error.where}", fix=_fix(error, dataset))
    return None


def _fix(error: InputError, dataset: Dataset) -> str | None:
    """What to do about an image, by what a run's settings take."""
    if isinstance(error, LinkedOutside):
        return "A run follows no links out of the image root: put the images themselves there."
    if isinstance(error, ImageNotThere):
        source = f"{{path: {dataset.path}, images: DIR}}"
        return f"To name the image root: 'data.train=[{source}]', or for validation 'data.val={source}'."
    return error.fix


def distinct(datasets: Iterable[Dataset]) -> list[Dataset]:
    """The datasets, those of the same file and image root once."""
    return list({(data.path.resolve(), data.image_root.resolve()): data for data in datasets}.values())
