"""What is counted of a dataset: by split, by class, and how boxes are spread over size, shape, place and number.

Knows columns of numbers; does not know what is worth a word, nor any page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_tools.inspection.table import ASKS_NO_BOX, NONE, Floats, Table
from data_tools.stats import BUDGET
from grounding.samples import LANGUAGES, TASKS

SMALL = 5  # cells of the shorter side below which the grid itself costs a perfect answer a fifth of its IoU
PLACES = 10  # rows and columns of the map of places
SIDES = (1, 2, 5, 10, 20, 50, 100, 200, 500)  # cells of the shorter side
SHAPES = (1 / 8, 1 / 4, 1 / 2, 4 / 5, 5 / 4, 2, 4, 8)  # width to height, in pixels
NUMBERS = (1, 2, 3, 6, 11, 21, 61)  # boxes of a sample
TOKENS = (17, 33, 65, 129, 257, 513, BUDGET + 1)  # of a label


def measure(table: Table) -> dict[str, Any]:
    """JSON-ready numbers: `splits`, `classes` and `boxes`."""
    return {"splits": _splits(table), "classes": _classes(table), "boxes": _boxes(table)}


def _splits(table: Table) -> dict[str, dict[str, Any]]:
    """For each split what it holds; `boxes` are objects, each counted once however many prompts ask for it."""
    numbers = {}
    for place, name in enumerate(table.splits):
        inside, objects = table.split == place, table.object_split == place
        tokens, count = table.tokens[inside], table.count[inside]
        pictures = table.picture[inside]
        numbers[name] = {
            "samples": int(inside.sum()),
            "images": len(np.unique(pictures[pictures != NONE])),
            "found": int((count > 0).sum()),
            "not_found": int((count == 0).sum()),
            "asks_no_box": int((count == ASKS_NO_BOX).sum()),
            "boxes_in_answers": int(count[count > 0].sum()),
            "boxes": int(objects.sum()),
            "label_tokens": {
                "mean": float(tokens.mean()),
                "max": int(tokens.max()),
                "over_budget": int((tokens > BUDGET).sum()),
            },
            "grid_ceiling": _mean(table.object_ceiling[objects]),
            "tasks": _words(table.task[inside].tolist(), TASKS),
            "languages": _words(table.lang[inside].tolist(), LANGUAGES),
        }
    return numbers


def _words(numbers: Sequence[int], words: Sequence[str]) -> dict[str, int]:
    counts = Counter(numbers)
    return {word: counts[number] for number, word in enumerate(words) if counts[number]}


def _classes(table: Table) -> dict[str, dict[str, Any]]:
    """For each class that boxes are of or that is asked for, by number of boxes, most first; counts are by split."""
    shape = (len(table.classes), len(table.splits))

    def by_split(category: NDArray[np.int64], split: NDArray[np.int64], mask: NDArray[np.bool_]) -> list[list[int]]:
        flat = np.bincount(category[mask] * shape[1] + split[mask], minlength=shape[0] * shape[1])
        return flat.reshape(shape).tolist()

    own = table.category != NONE
    found = by_split(table.category, table.split, own & (table.count > 0))
    not_found = by_split(table.category, table.split, own & (table.count == 0))
    boxes = by_split(table.object_class, table.object_split, np.ones(len(table.object), dtype=bool))
    order = np.argsort(table.object_class, kind="stable")
    edges = np.searchsorted(table.object_class[order], np.arange(shape[0] + 1))
    numbers: dict[str, dict[str, Any]] = {}
    for place, name in enumerate(table.classes):
        members = order[edges[place] : edges[place + 1]]
        if not (len(members) or sum(found[place]) or sum(not_found[place])):
            continue  # only in samples that ask for no box
        cells = table.object_cells[members]
        numbers[name] = {
            "boxes": dict(zip(table.splits, boxes[place], strict=True)),
            "found": dict(zip(table.splits, found[place], strict=True)),
            "not_found": dict(zip(table.splits, not_found[place], strict=True)),
            "cells_median": float(np.median(cells)) if len(cells) else None,
            "small": int((cells < SMALL).sum()),
            "grid_ceiling": _mean(table.object_ceiling[members]),
        }
    return dict(sorted(numbers.items(), key=lambda item: (-sum(item[1]["boxes"].values()), item[0])))


def _boxes(table: Table) -> dict[str, Any]:
    """How objects are spread over the length of their shorter side, shape and place; samples over boxes and tokens."""
    px = table.box[table.object]
    ratio = (px[:, 2] - px[:, 0]) / (px[:, 3] - px[:, 1])
    centre = (table.object_part[:, :2] + table.object_part[:, 2:]) / 2
    column, row = np.clip((centre * PLACES).astype(np.int64), 0, PLACES - 1).T
    places = np.bincount(row * PLACES + column, minlength=PLACES**2).reshape(PLACES, PLACES)
    return {
        "n": len(table.object),
        "small": int((table.object_cells < SMALL).sum()),
        "grid_ceiling": _mean(table.object_ceiling),
        "shorter_side_cells": _spread(table.object_cells, SIDES),
        "width_to_height": _spread(ratio, SHAPES),
        "places": places.tolist(),
        "of_a_sample": _spread(table.count[table.count != ASKS_NO_BOX], NUMBERS),
        "label_tokens": _spread(table.tokens, TOKENS),
    }


def _spread(values: NDArray[np.generic], edges: Sequence[float]) -> dict[str, list[Any]]:
    """Number of values below the first edge, from each edge to the next, and from the last on."""
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    return {"edges": list(edges), "counts": counts.tolist()}


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None
