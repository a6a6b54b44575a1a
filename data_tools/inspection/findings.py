"""What is worth a word about samples, classes and boxes. Knows columns, numbers and a manifest; opens no image."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from data_tools.inspection.measures import SMALL
from data_tools.inspection.opening import Opened
from data_tools.inspection.remarks import Level, Remark, remark, share
from data_tools.inspection.table import DOUBLE, Ints, Table
from data_tools.inspection.unlabelled import unlabelled_findings
from data_tools.reasons import REASONS, unit_of
from data_tools.stats import BUDGET, NO_CLASS
from grounding.page.words import Words, say
from grounding.samples import LANGUAGES

TRAIN = "train"
FEW_BOXES = 10  # of a class in train
FEW_SAMPLES = 30  # of a split that is measured on
FEW_ABSENT = 0.05  # share of the rarer answer, found or not found
MANY_ABSENT = 0.6
ONE_ANSWER = 20  # samples of a class from which it is told that nearly all have one answer
UNEVEN = 50  # boxes of the most frequent class for one of the rarest
MANY_SMALL = 0.02  # share of the boxes
WHOLE = 0.95  # of the image, from which a box says little
LONG = 8  # the longer side over the shorter, from which a box is told
CROWDED = 60  # boxes of an answer that a model may give unless told otherwise
REFUSED = 0.02  # share of the annotations

Numbers = Mapping[str, Any]


def data_findings(opened: Opened, table: Table, numbers: Numbers, words: Words) -> Iterator[Remark]:
    """Everything that can be told without looking at an image."""
    yield from _splits(opened, table, numbers)
    yield from _classes(table, numbers)
    yield from _class_names(numbers["classes"])
    yield from unlabelled_findings(table, words)
    yield from _absence(table, numbers, words)
    yield from _boxes(table)
    yield from _doubles(table)
    yield from _labels(table)
    yield from _refusals(opened)


def empty_splits(opened: Opened) -> Iterator[Remark]:
    """Splits without a sample: nothing is trained on, or nothing measured."""
    for name in opened.empty:
        yield Remark("empty_split", "fault" if name == TRAIN else "warning", 1, (name,), {"split": name})


def _splits(opened: Opened, table: Table, numbers: Numbers) -> Iterator[Remark]:
    yield from empty_splits(opened)
    for name in table.splits:
        if name != TRAIN and (n := numbers["splits"][name]["samples"]) < FEW_SAMPLES and len(table.splits) > 1:
            yield Remark("small_split", "note", n, values={"split": name})


def _classes(table: Table, numbers: Numbers) -> Iterator[Remark]:
    classes: Numbers = {name: entry for name, entry in numbers["classes"].items() if name != NO_CLASS}
    if TRAIN in table.splits:
        trained = {name: entry["boxes"][TRAIN] for name, entry in classes.items() if sum(entry["boxes"].values())}
        unseen = [name for name, n in trained.items() if not n]
        if unseen:
            yield remark("class_not_in_train", "warning", unseen)
        few = [f"{name} ({n})" for name, n in trained.items() if 0 < n < FEW_BOXES]
        if few:
            yield remark("class_rare", "warning", few, few=FEW_BOXES)
        for split in (name for name in table.splits if name != TRAIN):
            unmeasured = [
                name for name, entry in classes.items() if entry["boxes"][TRAIN] and not entry["boxes"][split]
            ]
            if unmeasured:
                yield remark("class_not_measured", "note", unmeasured, split=split)
    boxes = {name: sum(entry["boxes"].values()) for name, entry in classes.items() if sum(entry["boxes"].values())}
    if boxes and max(boxes.values()) >= UNEVEN * min(boxes.values()):
        most, least = (pick(boxes, key=lambda name: boxes[name]) for pick in (max, min))
        told = {"most": most, "boxes": boxes[most], "least": least, "few": boxes[least]}
        yield Remark("classes_uneven", "note", len(boxes), values=told)


def _class_names(classes: Iterable[str]) -> Iterator[Remark]:
    """Names that a reader would take for the same: they differ in case, blanks, marks or a plural s."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        kept = "".join(letter for letter in unicodedata.normalize("NFKC", name).casefold() if letter.isalnum())
        alike[kept].append(name)
    for kept in [kept for kept in alike if f"{kept}s" in alike and kept]:
        alike[kept] += alike.pop(f"{kept}s")
    variants = [" = ".join(sorted(names)) for kept, names in alike.items() if len(names) > 1 and kept]
    if variants:
        yield remark("class_name_variants", "warning", variants)


def _absence(table: Table, numbers: Numbers, words: Words) -> Iterator[Remark]:
    found, absent = int((table.count > 0).sum()), int((table.count == 0).sum())
    asked = found + absent
    if not asked:
        return
    classes = numbers["classes"]
    if not absent and len(classes) == 1:
        yield Remark("no_absence", "warning", 0)
        return
    told = {"share": share(absent, asked), "asked": asked}
    if absent < FEW_ABSENT * asked:
        yield Remark("little_absence", "warning", absent, values=told)
    elif absent > MANY_ABSENT * asked:
        yield Remark("much_absence", "warning", absent, values=told)
    yield from _one_answer(classes, words)


def _one_answer(classes: Numbers, words: Words) -> Iterator[Remark]:
    """Classes that are nearly always there, or nearly never, where there are several to tell apart."""
    leaning = []
    for name, entry in classes.items():
        found, absent = (sum(entry[key].values()) for key in ("found", "not_found"))
        if len(classes) > 1 and found + absent >= ONE_ANSWER and min(found, absent) < FEW_ABSENT * (found + absent):
            most = words["examples"]["found" if found > absent else "not_found"]
            told = {"name": name, "found": most, "n": max(found, absent), "all": found + absent}
            leaning.append(say(words, "examples", "answer", **told))
    if leaning:
        yield remark("class_one_answer", "note", leaning)


def _boxes(table: Table) -> Iterator[Remark]:
    total = len(table.object)
    small = np.flatnonzero(table.object_cells < SMALL)
    if len(small):
        ceiling = table.object_ceiling[small].mean()
        told = {"share": share(len(small), total), "cells": SMALL, "ceiling": ceiling}
        level: Level = "warning" if len(small) >= MANY_SMALL * total else "note"
        yield Remark("small_boxes", level, len(small), _commonest(table, small), told)
    sides = table.object_part[:, 2:] - table.object_part[:, :2]
    whole = np.flatnonzero(sides.prod(axis=1) >= WHOLE)
    if len(whole):
        told = {"share": f"{WHOLE:.0%}"}
        yield Remark("whole_image_boxes", "note", len(whole), _commonest(table, whole), told)
    px = table.box[table.object]
    width, height = px[:, 2] - px[:, 0], px[:, 3] - px[:, 1]
    long = np.flatnonzero(np.maximum(width, height) >= LONG * np.minimum(width, height))
    if len(long):
        yield Remark("long_boxes", "note", len(long), _commonest(table, long), {"times": LONG})
    over = [table.pictures[at].name for at in np.unique(table.picture[table.count > CROWDED]).tolist()]
    if over:
        yield remark("crowded", "note", over, n=int((table.count > CROWDED).sum()), boxes=CROWDED)


def _commonest(table: Table, objects: Ints) -> tuple[str, ...]:
    """The classes that most of some objects are of, each with its number."""
    classes, numbers = np.unique(table.object_class[objects], return_counts=True)
    order = np.argsort(-numbers, kind="stable")[:5]
    return tuple(f"{table.classes[classes[at]]} ({numbers[at]:,})" for at in order)


def _doubles(table: Table) -> Iterator[Remark]:
    names = [table.pictures[at].name for at in np.unique(table.picture[table.doubled]).tolist()]
    if names:
        yield remark("double_boxes", "warning", names, iou=DOUBLE)


def _labels(table: Table) -> Iterator[Remark]:
    over = int((table.tokens > BUDGET).sum())
    if over:
        told = {"budget": BUDGET, "longest": int(table.tokens.max())}
        yield Remark("long_labels", "warning", over, values=told)
    if len(np.unique(table.lang)) > 1:
        rare = [(int((table.lang == at).sum()), lang) for at, lang in enumerate(LANGUAGES) if (table.lang == at).any()]
        n, lang = min(rare)
        if n < FEW_ABSENT * len(table.lang):
            yield Remark("rare_language", "note", n, values={"share": share(n, len(table.lang)), "lang": lang})


def _refusals(opened: Opened) -> Iterator[Remark]:
    """What convert left out, where that is much of what was annotated; not what may be counted in several tiles."""
    if opened.conversion is None:
        return
    in_tiles = bool(opened.conversion.settings.get("tiles"))
    refused = {
        reason: n
        for reason, n in opened.conversion.refusals.items()
        if reason in REASONS and unit_of(reason, in_tiles=in_tiles) in ("annotation", "image")
    }
    kept = sum(split.get("boxes", 0) for split in opened.conversion.counts.get("splits", {}).values())
    total = sum(refused.values())
    if total > REFUSED * (kept + total):
        most = sorted(refused.items(), key=lambda item: -item[1])
        yield Remark("refused", "warning", total, tuple(f"{reason} ({n:,})" for reason, n in most[:5]))
