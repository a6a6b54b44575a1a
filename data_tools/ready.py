"""Samples that a source holds already (conversations): put into the frame of their image as it was checked.

Their prompts, labels and boxes go through unchanged, or not at all. Also keeps the ids of a dataset apart. Knows no
wording, no shares of tasks and no caps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from itertools import repeat

import numpy as np
from msgspec.structs import replace

from data_tools.records import Finding, Record, Tally
from data_tools.stats import label_tokens
from grounding.samples import Sample


def ready_samples(records: Iterable[Record], max_tokens: int | None = None) -> tuple[list[Sample], Tally]:
    """The samples of checked records, each with the name, size and frame of its image.

    Refused is one with a label of more than `max_tokens`, as `stats.label_tokens` counts them.
    """
    samples: list[Sample] = []
    findings: list[Finding] = []
    for record in records:
        for sample in record.samples:
            if max_tokens is not None and label_tokens(sample) > max_tokens:
                findings.append(Finding("answer_too_long", record.place, sample.id))
                continue
            assert record.size_wh is not None  # settled by the check of the images
            width, height = record.size_wh
            upright = record.upright
            samples.append(replace(sample, image=record.name, width=width, height=height, upright=upright))
            if sample.boxes is None:
                findings.append(Finding("asks_no_box", record.place, sample.id))
    return samples, Tally.of(findings)


class UniqueIds:
    """Keeps the ids of a dataset apart: of several samples with one id, the later ones get `#2`, `#3` and so on behind.

    Args:
        ids: of all samples to come, and of others that may not come; no id that is given anew is one of them.
    """

    def __init__(self, ids: Callable[[], Iterable[str]]) -> None:
        hashes = np.fromiter(map(hash, ids()), dtype=np.int64)
        self._taken = None if len(np.unique(hashes)) == len(hashes) else set(ids())
        self._seen: dict[str, int] = {}

    def apart(self, samples: Iterable[Sample]) -> Iterable[Sample]:
        """The samples as they come, each under an id of its own."""
        return samples if self._taken is None else map(self._apart, samples, repeat(self._taken))

    def _apart(self, sample: Sample, taken: Set[str]) -> Sample:
        number = self._seen[sample.id] = self._seen.get(sample.id, 0) + 1
        if number == 1:
            return sample
        while f"{sample.id}#{number}" in taken:
            number += 1
        self._seen[sample.id] = number
        return replace(sample, id=f"{sample.id}#{number}")
