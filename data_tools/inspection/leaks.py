"""Images that are in two splits: by name, by bytes, by group. What a model saw in training measures nothing.

Knows pictures, what reading them told, and splits; does not know boxes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_tools.inspection.pictures import Look
from data_tools.inspection.table import NONE, Picture, Table
from grounding.errors import InputError


class Files(NamedTuple):
    """Image files, each once.

    Attributes:
        pictures: the first picture of each file.
        looks: what reading it told; empty where images were not read.
        splits: places of the splits that have samples about it.
    """

    pictures: Sequence[Picture]
    looks: Sequence[Look]
    splits: Sequence[frozenset[int]]


def files_of(table: Table, looks: Sequence[Look]) -> Files:
    """The files behind a table's pictures, in order."""
    first: dict[Path, int] = {}
    splits: dict[Path, set[int]] = defaultdict(set)
    shown = table.picture != NONE
    for picture, split in np.unique(np.column_stack([table.picture[shown], table.split[shown]]), axis=0).tolist():
        path = table.pictures[picture].path
        first.setdefault(path, picture)
        splits[path].add(split)
    places = list(first.values())
    return Files(
        [table.pictures[place] for place in places],
        [looks[place] for place in places] if looks else [],
        [frozenset(splits[path]) for path in first],
    )


def check_groups(pattern: re.Pattern[str] | None, pictures: Sequence[Picture]) -> None:
    """Raises InputError where an expression matches no image, so that it says nothing about groups."""
    if pattern is not None and pictures and not any(pattern.search(picture.name) for picture in pictures):
        problem = f"{pattern.pattern!r} matches none of the {len(pictures)} images"
        fix = f"It is searched in names such as {pictures[0].name!r}."
        raise InputError(problem, where="--group-by", fix=fix)


def in_several_splits(files: Files) -> list[int]:
    """Places of files that samples of two splits or more are about."""
    return [place for place, splits in enumerate(files.splits) if len(splits) > 1]


def same_bytes(files: Files) -> list[list[int]]:
    """Places of different files with the same bytes, in groups of two or more."""
    return _shared(files, lambda place: files.looks[place].digest) if files.looks else []


def torn_groups(files: Files, pattern: re.Pattern[str]) -> list[list[int]]:
    """Places of files of one group, by what `pattern` captures of the name, that are in several splits."""

    def group(place: int) -> object:
        match = pattern.search(files.pictures[place].name)
        return match.groups() if match else None

    return [members for members in _shared(files, group) if across(files, members)]


def one_of_each_split(files: Files, members: Sequence[int]) -> list[int]:
    """The first of some files in each of their splits, so that a few of many show where the group lies."""
    first: dict[int, int] = {}
    for place in members:
        for split in files.splits[place]:
            first.setdefault(split, place)
    return list(dict.fromkeys(first[split] for split in sorted(first)))


def across(files: Files, members: Iterable[int]) -> bool:
    """Whether files are in more than one split."""
    return len(frozenset[int]().union(*(files.splits[place] for place in members))) > 1


def _shared(files: Files, key: Callable[[int], object]) -> list[list[int]]:
    groups: dict[object, list[int]] = defaultdict(list)
    for place in range(len(files.pictures)):
        groups[key(place)].append(place)
    return [members for shared, members in groups.items() if shared and len(members) > 1]


def copies(files: Files, most: int) -> list[tuple[int, int]]:
    """Pairs of different files with the same bytes, those in two splits first."""
    pairs = [(members[0], other) for members in same_bytes(files) for other in members[1:]]
    return sorted(pairs, key=lambda pair: not across(files, pair))[:most]
