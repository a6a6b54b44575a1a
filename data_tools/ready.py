"""Samples that a source holds already (conversations): put into the frame of their image as it was checked.

Their prompts, labels and boxes go through unchanged. Also keeps the ids of a dataset apart. Knows no wording.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from data_tools.records import Finding, Record, Tally
from grounding.samples import Sample


def ready_samples(records: Iterable[Record]) -> tuple[list[Sample], Tally]:
    """The samples of checked records, each with the name, size and frame of its image."""
    samples: list[Sample] = []
    findings: list[Finding] = []
    for record in records:
        for sample in record.samples:
            assert record.size_wh is not None  # settled by the check of the images
            width, height = record.size_wh
            upright = record.upright
            samples.append(replace(sample, image=record.name, width=width, height=height, upright=upright))
            if sample.boxes is None:
                findings.append(Finding("asks_no_box", record.place, sample.id))
    return samples, Tally.of(findings)


def unique_ids(splits: Mapping[str, Sequence[Sample]]) -> dict[str, list[Sample]]:
    """The same samples; of several with one id, the later ones get `#2`, `#3` and so on behind it."""
    taken = {sample.id for samples in splits.values() for sample in samples}
    seen: dict[str, int] = {}
    return {split: [_renamed(sample, seen, taken) for sample in samples] for split, samples in splits.items()}


def _renamed(sample: Sample, seen: dict[str, int], taken: set[str]) -> Sample:
    number = seen[sample.id] = seen.get(sample.id, 0) + 1
    if number == 1:
        return sample
    while f"{sample.id}#{number}" in taken:
        number += 1
    seen[sample.id] = number
    return replace(sample, id=f"{sample.id}#{number}")
