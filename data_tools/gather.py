"""Sources -> one set of records below one image root: one record an image, one name a class. Reads no file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import cache
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from msgspec.structs import replace

from data_tools.entries import phrase_of
from data_tools.readers.voc_lists import SPLITS
from data_tools.records import Absence, Annotation, Finding, Record, Source, Tally, classes_in_any, fallen


class Gathered(NamedTuple):
    """Records sorted by name, one for an image, with names relative to `image_root`."""

    records: list[Record]
    tally: Tally
    image_root: Path
    kinds: Mapping[str, str] = {}


def gather(sources: Sequence[Source], absence: Absence | None) -> Gathered:
    """Puts sources together. `absence`, where given, overrides what each source says of itself."""
    root = Path(os.path.commonpath([source.image_root.resolve() for source in sources]))
    findings: list[Finding] = []
    drawn = {phrase_of(name) for source in sources for name in classes_in_any(source.records)}
    records = [record for source in sources for record in _rooted(source, root, absence, drawn)]
    records = _merge_images(records, findings)
    records = _merge_classes(records, findings)
    tally = sum((source.tally for source in sources), Tally()) + Tally.of(findings)
    kinds = {category: kind for source in sources for category, kind in source.kinds.items()}
    return Gathered(records, tally, root, kinds)


_NO_CLASS: frozenset[str] = frozenset()


def _rooted(source: Source, root: Path, absence: Absence | None, drawn: Set[str]) -> Iterable[Record]:
    """The records of a source with names below the common root, their split, and the classes looked for.

    Of a source's classes only those count that someone annotated somewhere: a list of a million names costs nothing.
    """
    classes = frozenset(name for name in source.classes if phrase_of(name) in drawn)
    below = source.image_root.resolve().relative_to(root).as_posix()
    prefix = "" if below == "." else f"{below}/"
    mode = absence or source.absence
    for record in source.records:
        looked_for = classes if mode == "exhaustive" else record.negatives if mode == "listed" else _NO_CLASS
        yield replace(
            record,
            name=_below(prefix, record.name),
            split=source.split or record.split,
            looked_for=looked_for,
            absence=mode,
        )


def _below(prefix: str, name: str) -> str:
    return prefix + name if "/" not in name else str(PurePosixPath(prefix + name))


def _merge_images(records: Sequence[Record], findings: list[Finding]) -> list[Record]:
    """One record for each name, sorted by name. Records of one image with two sizes stated are refused."""
    if len({record.name for record in records}) == len(records):
        return sorted(records, key=attrgetter("name"))
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.name, []).append(record)
    merged = []
    for name in sorted(groups):
        group = groups[name]
        sizes = {record.size_wh for record in group if record.size_wh is not None}
        findings += [Finding("repeated_image", record.place, name) for record in group[1:]]
        if len(sizes) > 1:
            findings.append(Finding("size_disagrees", group[0].place, f"{name} is stated as {sorted(sizes)}"))
            findings += [finding for record in group for finding in fallen(record)]
        else:
            merged.append(group[0] if len(group) == 1 else _merged(group, findings))
    return merged


def _merged(group: Sequence[Record], findings: list[Finding]) -> Record:
    """One record out of several of one image: all of their different annotations, and the strictest of their words."""
    splits = sorted({record.split for record in group if record.split is not None}, key=SPLITS.index)
    if len(set(splits) - {"trainval"}) > 1 or set(splits) == {"test", "trainval"}:
        findings.append(Finding("in_several_lists", group[0].place, f"{group[0].name}: {', '.join(splits)}"))
    kept: list[Annotation] = []
    seen: set[tuple[object, ...]] = set()
    for record in group:
        # Doubles inside one record stay; a second record often repeats the whole of the first.
        fresh = [a for a in record.annotations if _content(a) not in seen]
        findings += [
            Finding("repeated_annotation", a.place, a.category) for a in record.annotations if _content(a) in seen
        ]
        kept += fresh
        seen |= {_content(a) for a in fresh}
    return replace(
        group[0],
        size_wh=next((record.size_wh for record in group if record.size_wh is not None), None),
        annotations=tuple(kept),
        phrases=tuple(phrase for record in group for phrase in record.phrases),
        samples=tuple(sample for record in group for sample in record.samples),
        refused=frozenset().union(*(record.refused for record in group)),
        doubtful=any(record.doubtful for record in group),
        looked_for=frozenset().union(*(record.looked_for for record in group)),
        absence=_absence(group),
        not_exhaustive=frozenset().union(*(record.not_exhaustive for record in group)),
        split=splits[0] if splits else None,
    )


_LEAST_KNOWN: tuple[Absence, ...] = ("none", "listed", "exhaustive")


def _absence(group: Sequence[Record]) -> Absence:
    """The weakest word of those who annotated classes: phrases or ready samples beside them take nothing from it."""
    of_classes = [record for record in group if record.annotations or not (record.phrases or record.samples)]
    return min((record.absence for record in of_classes or group), key=_LEAST_KNOWN.index)


def _content(annotation: Annotation) -> tuple[object, ...]:
    return annotation.xyxy_px, annotation.category, annotation.ignore


def _merge_classes(records: Sequence[Record], findings: list[Finding]) -> list[Record]:
    """Classes whose phrase is the same (red_car, red car) become one: the first of their names in sorted order."""
    looked_for = {record.looked_for for record in records}  # few sets, shared by many records
    names = sorted(classes_in_any(records).union(*looked_for))
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(phrase_of(name), name)
    renamed = {name: first[phrase_of(name)] for name in names if first[phrase_of(name)] != name}
    if not renamed:
        return list(records)

    @cache
    def names_of(categories: frozenset[str]) -> frozenset[str]:
        return frozenset(renamed.get(category, category) for category in categories)

    return [_rename(record, renamed, names_of, findings) for record in records]


def _rename(
    record: Record,
    renamed: dict[str, str],
    names_of: Callable[[frozenset[str]], frozenset[str]],
    findings: list[Finding],
) -> Record:
    findings += [
        Finding("same_phrase_class", a.place, f"{a.category} -> {renamed[a.category]}")
        for a in record.annotations
        if a.category in renamed
    ]
    return replace(
        record,
        annotations=tuple(replace(a, category=renamed.get(a.category, a.category)) for a in record.annotations),
        phrases=tuple(replace(p, category=renamed.get(p.category or "", p.category)) for p in record.phrases),
        refused=names_of(record.refused),
        looked_for=names_of(record.looked_for),
        not_exhaustive=names_of(record.not_exhaustive),
    )
