"""Which image goes to train, val or test: official lists first, else a hash of (seed, group). Knows no box, no prompt.

A group is the image's path, or what a regular expression captures of it; groups that share a byte-identical image are
one. The hash looks at nothing else, so images added later do not move those that are there. Stratified splits look at
the classes of all images instead (`data_tools.stratify`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import accumulate

import numpy as np
from msgspec.structs import replace

from data_tools.draws import digests_of
from data_tools.records import Finding, Record, Tally
from data_tools.stratify import stratify
from grounding.errors import InputError

SPLITS = ("train", "val", "test")
STRICTEST = ("test", "val", "train", "trainval")  # of several official splits the first has the group


def parse_ratios(text: str) -> tuple[float, float, float]:
    """Shares of train, val and test out of "0.8,0.1,0.1" or "0.9,0.1". Raises InputError."""
    try:
        ratios = [float(part) for part in text.split(",")]
    except ValueError:
        ratios = []
    if len(ratios) not in (2, 3) or not all(ratio >= 0 for ratio in ratios) or abs(sum(ratios) - 1) > 1e-6:
        raise InputError(
            f"{text!r} is no split; two or three shares from 0 to 1 that sum to 1 are needed (train,val[,test])",
            where="--split",
        )
    train, val, test = (*ratios, 0.0)[:3]
    return train, val, test


def assign_splits(
    records: Sequence[Record],
    ratios: tuple[float, float, float],
    group_by: str | None,
    seed: int,
    stratified: bool = False,
) -> tuple[list[Record], Tally]:
    """The records with `split` set to train, val or test. Raises InputError where the expression is no good."""
    findings: list[Finding] = []
    groups = _groups(records, group_pattern(group_by), findings)
    if group_by is not None and records and len(findings) == len(records):
        raise InputError(
            f"{group_by!r} matches none of the {len(records)} images, so it groups nothing",
            where="--group-by",
            fix=f"It is searched in paths such as {records[0].name!r}.",
        )
    official: dict[str, set[str]] = {}
    for record, group in zip(records, groups, strict=True):
        if record.split is not None:
            official.setdefault(group, set()).add(record.split)
    listed = {group: next(name for name in STRICTEST if name in lists) for group, lists in official.items()}
    drawn = _stratified(records, groups, ratios, listed, seed) if stratified else {}
    placed = []
    for record, group, hashed in zip(records, groups, _draw(groups, ratios, seed), strict=True):
        split = record.split or listed.get(group)
        if split == "trainval":
            decided = next((name for name in STRICTEST[1:3] if name in official[group]), None)
            split = decided or drawn.get(group) or _draw([group], (ratios[0], ratios[1], 0.0), seed)[0]
        placed.append(replace(record, split=split or drawn.get(group) or hashed))
    findings += _torn(placed)
    return placed, Tally.of(findings)


def _stratified(
    records: Sequence[Record],
    groups: Sequence[str],
    ratios: tuple[float, float, float],
    listed: Mapping[str, str],
    seed: int,
) -> dict[str, str]:
    """Group -> split for those that no official list has; trainval groups among themselves, over train and val."""
    trainval = {group for group, split in listed.items() if split == "trainval"}
    drawn: dict[str, str] = {}
    for among, shares in ((False, ratios), (True, (ratios[0], ratios[1], 0.0))):
        members = [
            (record, group) for record, group in zip(records, groups, strict=True) if (group in trainval) == among
        ]
        if members and sum(shares):
            fixed = {group: listed[group] for _, group in members if group in listed and not among}
            named = {split: share / sum(shares) for split, share in zip(SPLITS, shares, strict=True)}
            images, theirs = zip(*members, strict=True)
            drawn |= stratify(images, theirs, named, fixed, seed)
    return drawn


def group_pattern(group_by: str | None) -> re.Pattern[str] | None:
    """The regular expression that captures the group of an image's name.

    Raises:
        InputError: it is none, or captures nothing.
    """
    if group_by is None:
        return None
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise InputError(f"{group_by!r} is no regular expression: {error}", where="--group-by") from error
    if not pattern.groups:
        fix = "Put brackets round the part of the name that is the group: '^(patient\\d+)_'."
        raise InputError(f"{group_by!r} captures nothing", where="--group-by", fix=fix)
    return pattern


def _groups(records: Sequence[Record], pattern: re.Pattern[str] | None, findings: list[Finding]) -> list[str]:
    """The group of each record: the least name among all groups that byte-identical images tie together."""
    names = [_group(record, pattern, findings) for record in records]
    if not any(record.digest for record in records):
        return names
    parent = {name: name for name in names}

    def top(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    first: dict[str, str] = {}
    for record, name in zip(records, names, strict=True):
        if record.digest is not None:
            one, other = sorted((top(first.setdefault(record.digest, name)), top(name)))
            parent[other] = one
    return [top(name) for name in names]


def _group(record: Record, pattern: re.Pattern[str] | None, findings: list[Finding]) -> str:
    if pattern is None:
        return record.name
    match = pattern.search(record.name)
    if match is None:
        findings.append(Finding("group_not_matched", record.place, record.name))
        return record.name
    # A group of its own kind: a captured "a.jpg" is not the image a.jpg that did not match.
    return "\0".join(("captured", *(part or "" for part in match.groups())))


def _draw(groups: Sequence[str], ratios: tuple[float, float, float], seed: int) -> list[str]:
    """Train, val or test of each group by where the hash of (seed, group) falls in 0..1."""
    ends = tuple(accumulate(ratios))
    if not ends[-1]:
        return [SPLITS[0]] * len(groups)  # trainval where both shares are 0
    places = digests_of([f"{seed}\0{group}" for group in groups])[:, 0] / 2.0**64 * ends[-1]
    last = ends.index(ends[-1])  # with a share: a place rounded up stays in it
    return [SPLITS[min(split, last)] for split in np.searchsorted(ends, places, side="right").tolist()]


def _torn(records: Sequence[Record]) -> list[Finding]:
    """Byte-identical images that official lists put into different splits."""
    first: dict[str, Record] = {}
    findings = []
    for record in records:
        if record.digest is not None:
            twin = first.setdefault(record.digest, record)
            if twin.split != record.split:
                found = f"{record.name} ({record.split}) = {twin.name} ({twin.split})"
                findings.append(Finding("identical_across_splits", record.place, found))
    return findings


def by_split(records: Sequence[Record]) -> Mapping[str, list[Record]]:
    """Train, val and test, each with its records in given order."""
    return {split: [record for record in records if record.split == split] for split in SPLITS}
