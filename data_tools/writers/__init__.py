"""The styles that samples are written in: one small file each, and the table of their names.

Knows suffixes and the marks that a style keeps for itself; does not know what stands in a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from data_tools.records import Finding
from data_tools.writers import llama_factory, swift
from data_tools.writers.parquet import write_parquet
from grounding.closest import did_you_mean
from grounding.errors import InputError
from grounding.samples import Sample, write_samples


class Style(NamedTuple):
    """How samples become one file.

    Attributes:
        suffix: of the file.
        write: writes it; goes through the samples once.
        reserved: marks that no text of a sample may hold.
        reads_back: whether the samples can be read from the file again as they are.
    """

    suffix: str
    write: Callable[[Path, Iterable[Sample]], None]
    reserved: tuple[str, ...] = ()
    reads_back: bool = False


STYLES: dict[str, Style] = {
    "pairs": Style(".jsonl", write_samples, reads_back=True),
    "conversations": Style(".jsonl", partial(write_samples, style="conversations"), reads_back=True),
    "swift": Style(".jsonl", swift.write_swift, swift.RESERVED),
    "llama-factory": Style(".jsonl", llama_factory.write_llama_factory, llama_factory.RESERVED),
    "parquet": Style(".parquet", write_parquet),
}


def style_named(name: str) -> Style:
    """The style of this name. Raises InputError where there is none."""
    if name not in STYLES:
        problem = f"there is no style {name!r}; there are {', '.join(STYLES)}"
        raise InputError(problem, where="--style", fix=did_you_mean(name, STYLES))
    return STYLES[name]


def writable(samples: Iterable[Sample], style: Style, findings: list[Finding]) -> Iterator[Sample]:
    """The samples that a style can say; one whose words hold a mark that the style reads anew becomes a finding."""
    return _without_marks(samples, style, findings) if style.reserved else iter(samples)


def _without_marks(samples: Iterable[Sample], style: Style, findings: list[Finding]) -> Iterator[Sample]:
    for sample in samples:
        mark = _mark_in(sample, style.reserved)
        if mark is None:
            yield sample
        else:
            findings.append(Finding("mark_in_words", sample.id, mark))


def _mark_in(sample: Sample, reserved: Sequence[str]) -> str | None:
    """The first of these marks that stands in a text of the sample."""
    texts = [sample.prompt, sample.label, *(text for turn in sample.history for text in turn)]
    return next((mark for mark in reserved if any(mark in text for text in texts)), None)
