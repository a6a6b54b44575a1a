"""What is worth a word about samples, classes and boxes. Knows columns, numbers and a manifest; opens no image."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from data_tools.inspection.measures import SMALL
from data_tools.inspection.opening import Opened
from data_tools.inspection.remarks import Level, Remark, counted, remark, share
from data_tools.inspection.table import DOUBLE, Ints, Table
from data_tools.reasons import REASONS
from data_tools.stats import BUDGET, NO_CLASS
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


def data_findings(opened: Opened, table: Table, numbers: Numbers) -> Iterator[Remark]:
    """Everything that can be told without looking at an image."""
    yield from _splits(opened, table, numbers)
    yield from _classes(table, numbers)
    yield from _class_names(numbers["classes"])
    yield from _absence(table, numbers)
    yield from _boxes(table)
    yield from _doubles(table)
    yield from _labels(table)
    yield from _refusals(opened)


def _splits(opened: Opened, table: Table, numbers: Numbers) -> Iterator[Remark]:
    for name in opened.empty:
        yield Remark("empty_split", "fault" if name == TRAIN else "warning", f"{name} has no sample.", 1, (name,))
    for name in table.splits:
        if name != TRAIN and (n := numbers["splits"][name]["samples"]) < FEW_SAMPLES and len(table.splits) > 1:
            text = f"{name} has {counted(n, 'sample')} only: what is measured on it will have wide intervals."
            yield Remark("small_split", "note", text, n)


def _classes(table: Table, numbers: Numbers) -> Iterator[Remark]:
    classes: Numbers = {name: entry for name, entry in numbers["classes"].items() if name != NO_CLASS}
    if TRAIN in table.splits:
        trained = {name: entry["boxes"][TRAIN] for name, entry in classes.items() if sum(entry["boxes"].values())}
        unseen = [name for name, n in trained.items() if not n]
        if unseen:
            text = f"{counted(len(unseen), 'class', 'classes')} without a box in train, but with some in another split"
            yield remark("class_not_in_train", "warning", f"{text}: what is never shown is not learned.", unseen)
        few = [f"{name} ({n})" for name, n in trained.items() if 0 < n < FEW_BOXES]
        if few:
            text = f"{counted(len(few), 'class', 'classes')} with fewer than {FEW_BOXES} boxes in train."
            yield remark("class_rare", "warning", f"{text} More images of them help more than anything else.", few)
        for split in (name for name in table.splits if name != TRAIN):
            unmeasured = [
                name for name, entry in classes.items() if entry["boxes"][TRAIN] and not entry["boxes"][split]
            ]
            if unmeasured:
                text = f"{counted(len(unmeasured), 'class', 'classes')} of train without a box in {split}"
                yield remark("class_not_measured", "note", f"{text}: nothing is measured of them there.", unmeasured)
    boxes = {name: sum(entry["boxes"].values()) for name, entry in classes.items() if sum(entry["boxes"].values())}
    if boxes and max(boxes.values()) >= UNEVEN * min(boxes.values()):
        most, least = (pick(boxes, key=lambda name: boxes[name]) for pick in (max, min))
        text = f"{most} has {counted(boxes[most], 'box', 'boxes')}, {least} {boxes[least]:,}"
        yield Remark("classes_uneven", "note", f"{text}. `convert --balance` thins frequent classes.", len(boxes))


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
        text = f"{counted(len(variants), 'class')} under several spellings" if len(variants) == 1 else (
            f"{len(variants):,} classes under several spellings each"
        )  # fmt: skip
        yield remark("class_name_variants", "warning", f"{text}: objects of the one are called absent for the other.",
                     variants)  # fmt: skip


def _absence(table: Table, numbers: Numbers) -> Iterator[Remark]:
    found, absent = int((table.count > 0).sum()), int((table.count == 0).sum())
    asked = found + absent
    if not asked:
        return
    classes = numbers["classes"]
    if not absent and len(classes) == 1:
        text = "One class, and no image without it: the model learns to find it everywhere. Add images without it."
        yield Remark("no_absence", "warning", text, 0)
        return
    text = f"{share(absent, asked)} of the {asked:,} samples that ask for boxes are not found"
    if absent < FEW_ABSENT * asked:
        text += ": little to learn absence from."
        yield Remark("little_absence", "warning", text, absent)
    elif absent > MANY_ABSENT * asked:
        text += ": the model may learn to deny what is there."
        yield Remark("much_absence", "warning", text, absent)
    yield from _one_answer(classes)


def _one_answer(classes: Numbers) -> Iterator[Remark]:
    """Classes that are nearly always there, or nearly never, where there are several to tell apart."""
    leaning = []
    for name, entry in classes.items():
        found, absent = (sum(entry[key].values()) for key in ("found", "not_found"))
        if len(classes) > 1 and found + absent >= ONE_ANSWER and min(found, absent) < FEW_ABSENT * (found + absent):
            most = "found" if found > absent else "not found"
            leaning.append(f"{name} ({most} in {max(found, absent)} of {found + absent})")
    if leaning:
        text = f"{counted(len(leaning), 'class has', 'classes have')} nearly one answer only: the name alone tells it."
        yield remark("class_one_answer", "note", text, leaning)


def _boxes(table: Table) -> Iterator[Remark]:
    total = len(table.object)
    small = np.flatnonzero(table.object_cells < SMALL)
    if len(small):
        ceiling = table.object_ceiling[small].mean()
        text = (
            f"{counted(len(small), 'box', 'boxes')} ({share(len(small), total)}) under {SMALL} cells of the grid on "
            f"the shorter side: there a perfect answer reaches an IoU of {ceiling:.2f} on average. "
            "`convert --tiles` cuts images so that they become larger."
        )
        level: Level = "warning" if len(small) >= MANY_SMALL * total else "note"
        yield Remark("small_boxes", level, text, len(small), _commonest(table, small))
    sides = table.object_part[:, 2:] - table.object_part[:, :2]
    whole = np.flatnonzero(sides.prod(axis=1) >= WHOLE)
    if len(whole):
        text = f"{counted(len(whole), 'box', 'boxes')} over {WHOLE:.0%} of the image: is that an object?"
        yield Remark("whole_image_boxes", "note", text, len(whole), _commonest(table, whole))
    px = table.box[table.object]
    width, height = px[:, 2] - px[:, 0], px[:, 3] - px[:, 1]
    long = np.flatnonzero(np.maximum(width, height) >= LONG * np.minimum(width, height))
    if len(long):
        text = f"{counted(len(long), 'box', 'boxes')} at least {LONG} times as long as wide, or as wide as high."
        yield Remark("long_boxes", "note", text, len(long), _commonest(table, long))
    over = [table.pictures[at].name for at in np.unique(table.picture[table.count > CROWDED]).tolist()]
    if over:
        text = (
            f"{counted(int((table.count > CROWDED).sum()), 'sample')} with more than {CROWDED} boxes: `benchmark` and "
        )
        yield remark("crowded", "note", f"{text}`predict` need a larger --max-boxes for them.", over)


def _commonest(table: Table, objects: Ints) -> tuple[str, ...]:
    """The classes that most of some objects are of, each with its number."""
    classes, numbers = np.unique(table.object_class[objects], return_counts=True)
    order = np.argsort(-numbers, kind="stable")[:5]
    return tuple(f"{table.classes[classes[at]]} ({numbers[at]:,})" for at in order)


def _doubles(table: Table) -> Iterator[Remark]:
    names = [table.pictures[at].name for at in np.unique(table.picture[table.doubled]).tolist()]
    if names:
        text = f"{counted(len(names), 'image')} with two boxes of a class on each other (IoU {DOUBLE} or more)"
        yield remark("double_boxes", "warning", f"{text}: one object marked twice?", names)


def _labels(table: Table) -> Iterator[Remark]:
    over = int((table.tokens > BUDGET).sum())
    if over:
        text = (
            f"{counted(over, 'label')} of more than {BUDGET:,} tokens (estimated), the longest {table.tokens.max():,}: "
            "`finetune` refuses them. Raise data.max_label_tokens, or `convert --max-answer-tokens`, --tiles."
        )
        yield Remark("long_labels", "warning", text, over)
    if len(np.unique(table.lang)) > 1:
        rare = [(int((table.lang == at).sum()), lang) for at, lang in enumerate(LANGUAGES) if (table.lang == at).any()]
        n, lang = min(rare)
        if n < FEW_ABSENT * len(table.lang):
            yield Remark("rare_language", "note", f"{share(n, len(table.lang))} of the samples are {lang}.", n)


def _refusals(opened: Opened) -> Iterator[Remark]:
    """What convert left out, where that is much of what was annotated."""
    if opened.conversion is None:
        return
    refused = {
        reason: n
        for reason, n in opened.conversion.refusals.items()
        if reason in REASONS and REASONS[reason].unit in ("annotation", "image")
    }
    kept = sum(split.get("boxes", 0) for split in opened.conversion.counts.get("splits", {}).values())
    total = sum(refused.values())
    if total > REFUSED * (kept + total):
        most = sorted(refused.items(), key=lambda item: -item[1])
        text = f"{counted(total, 'annotation or image', 'annotations and images')} refused when the data was converted."
        yield Remark("refused", "warning", text, total, tuple(f"{reason} ({n:,})" for reason, n in most[:5]))
