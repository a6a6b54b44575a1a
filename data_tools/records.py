"""What a reader hands on: images as annotated, and a tally of everything that was refused, mended or worth a word.

All of it is immutable. Knows no file format, no prompt and no grid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from data_tools.annotations import XYXY, Annotation, Ignore, categories_in, categories_of
from data_tools.reasons import REASONS, Outcome
from grounding.samples import Sample

__all__ = [
    "EXAMPLES",
    "XYXY",
    "Absence",
    "Annotation",
    "Finding",
    "Ignore",
    "Phrase",
    "Reader",
    "Record",
    "Source",
    "Tally",
    "classes_in",
    "classes_in_any",
    "fallen",
]

Absence = Literal["exhaustive", "listed", "none"]
EXAMPLES = 10_000  # findings of one reason that a tally remembers


class Phrase(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Words for one or more objects of an image, as an annotator put them; they are no class.

    `boxes_px` are all of its boxes (xyxy, float px, one at least), sound but not yet checked against the image. Two
    phrases of one image may have the same words; each is asked for by itself, as published benchmarks count them.
    """

    text: str
    boxes_px: tuple[XYXY, ...]
    place: str
    category: str | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One image as annotated.

    Args:
        name: path below the image root, with slashes.
        size_wh: (width, height) in px as the annotation states it; after the checks, that of the frame of the boxes.
        annotations: in the order of the file; a tuple, or `Rows` of columns.
        phrases: in the order of the file; they say nothing about classes that are absent.
        samples: prompts with their answers that the source itself holds. They go through as they are; the size and
            frame of their boxes must be that of the record.
        place: where the image stands in the annotations.
        refused: classes of which an annotation here was refused; they are neither absent nor complete.
        doubtful: an annotation of unknown class was refused here, so nothing here is known to be absent.
        negatives: classes that the annotation names as absent here.
        looked_for: classes that are absent here unless annotated. Readers leave it empty: it is set when the sources
            are put together, from the classes of the source (exhaustive) or from `negatives` (listed).
        absence: what the annotations of the image say of what they do not hold; as `looked_for`, readers leave it.
        not_exhaustive: classes of which only some objects are annotated here.
        split: train, val or test by an official list; "trainval" leaves the choice of the two open; None = by hash.
        upright: the boxes are in the frame turned by EXIF.
        digest: hash of the file's bytes, None where images are not read.
    """

    name: str
    size_wh: tuple[int, int] | None
    annotations: Sequence[Annotation] = ()
    phrases: tuple[Phrase, ...] = ()
    samples: tuple[Sample, ...] = ()
    place: str
    refused: frozenset[str] = frozenset()
    doubtful: bool = False
    negatives: frozenset[str] = frozenset()
    looked_for: frozenset[str] = frozenset()
    absence: Absence = "exhaustive"
    not_exhaustive: frozenset[str] = frozenset()
    split: str | None = None
    upright: bool = False
    digest: str | None = None


class Finding(NamedTuple):
    """One thing that was not plainly right: its reason (a key of REASONS), where it stands, and what was found."""

    reason: str
    place: str
    found: str = ""


def classes_in(record: Record) -> set[str]:
    """Classes that are in the image, or may be: annotated, kept or refused, or of a phrase."""
    drawn = set(categories_of(record.annotations))
    if not (record.phrases or record.refused or record.not_exhaustive):
        return drawn  # nearly all of a large set
    named = {phrase.category for phrase in record.phrases if phrase.category is not None}
    return drawn | named | record.refused | record.not_exhaustive


def classes_in_any(records: Sequence[Record]) -> set[str]:
    """Classes that are in one of the images, or may be."""
    drawn = categories_in([record.annotations for record in records])
    more = (record for record in records if record.phrases or record.refused or record.not_exhaustive)
    return drawn.union(*map(classes_in, more))


def fallen(record: Record) -> list[Finding]:
    """What falls with a refused image: each annotation, phrase and sample of it."""
    return [
        *(Finding("image_refused", annotation.place, annotation.category) for annotation in record.annotations),
        *(Finding("image_refused", phrase.place, phrase.text) for phrase in record.phrases),
        *(Finding("image_refused", record.place, sample.id) for sample in record.samples),
    ]


@dataclass(frozen=True)
class Tally:
    """How many findings there are of each reason, with the first `EXAMPLES` of each. Tallies add up with `+`."""

    counts: Mapping[str, int] = field(default_factory=dict)
    examples: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> Tally:
        """Counts findings. Raises ValueError for a reason that the table of reasons does not have."""
        counts: dict[str, int] = {}
        examples: dict[str, list[Finding]] = {}
        for finding in findings:
            if finding.reason not in REASONS:
                raise ValueError(f"{finding.reason!r} is not in data_tools.reasons.REASONS")
            counts[finding.reason] = counts.get(finding.reason, 0) + 1
            if counts[finding.reason] <= EXAMPLES:
                examples.setdefault(finding.reason, []).append(finding)
        return cls(counts, {reason: tuple(some) for reason, some in examples.items()})

    def __add__(self, other: Tally) -> Tally:
        reasons = [*self.counts, *(reason for reason in other.counts if reason not in self.counts)]
        return Tally(
            {reason: self.counts.get(reason, 0) + other.counts.get(reason, 0) for reason in reasons},
            {reason: (self.examples.get(reason, ()) + other.examples.get(reason, ()))[:EXAMPLES] for reason in reasons},
        )

    def having(self, outcome: Outcome) -> dict[str, int]:
        """Counts of the reasons with this outcome, in the order of the table of reasons."""
        return {r: self.counts[r] for r, rule in REASONS.items() if rule.outcome == outcome and r in self.counts}


@dataclass(frozen=True)
class Source:
    """One annotation source as a reader found it.

    Args:
        records: names relative to `image_root`.
        tally: what the reader refused and mended.
        image_root: the folder of the images.
        inputs: path of each annotation file (or folder) -> sha256.
        classes: the classes that its annotators looked for.
        absence: "exhaustive" where everything of `classes` that is not annotated is absent, "listed" where only named
            negatives are known to be, "none" where nothing is.
        split: the split that this source is by its own layout (instances_val2017.json), else None.
        kinds: class -> the kind of thing that it is (COCO's supercategory), where the source names one.
        taken: choices that the reader made by itself, in words, to be printed ({"VOC pixels": "1-based: ..."}).
    """

    records: Sequence[Record]
    tally: Tally
    image_root: Path
    inputs: Mapping[str, str]
    classes: frozenset[str]
    absence: Absence = "exhaustive"
    split: str | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)
    taken: Mapping[str, str] = field(default_factory=dict)


Reader = Callable[[Path, "Path | None", Mapping[str, str]], Sequence[Source]]
"""(source, the folder of --images or None, options) -> one Source for each annotation file. Options: "voc_pixels" is
what --voc-pixels says, "box_form" what --box-form says; "lists" is "no" where SPLIT=SOURCE stands above official lists,
else "yes"; "frame" is what --frame says, "" where it is not given."""
