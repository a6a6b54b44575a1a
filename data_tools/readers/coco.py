"""COCO instances JSON -> records and a tally. Knows no prompt; looks for image files by name and reads none.

Boxes are [x, y, width, height] in pixels from the left upper corner. `segmentation` is read where a `bbox` is missing.
The keys `neg_category_ids` and `not_exhaustive_category_ids` of LVIS are obeyed where they stand: then only named
negatives count as absent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from data_tools.entries import box_fault, class_name, four_numbers, is_id, stated_size, text_of
from data_tools.readers.box_form import Stated, choose_form, corners
from data_tools.readers.coco_file import (
    CocoAnnotation,
    CocoCategory,
    CocoFile,
    CocoImage,
    decode_coco,
    find_instances,
    masks_of,
)
from data_tools.readers.documents import read_bytes
from data_tools.readers.image_files import PROBED, coco_names, first_there, guess_image_root
from data_tools.readers.masks import box_of_mask
from data_tools.records import XYXY, Annotation, Finding, Record, Source, Tally


def open_coco(source: Path, images: Path | None, options: Mapping[str, str]) -> list[Source]:
    """The reader behind `--format coco`: an instances JSON, or a folder that holds such files. Raises InputError."""
    form = options.get("box_form", "auto")
    return [_open_file(path, images, split, form) for path, split in find_instances(source)]


def read_coco(path: Path) -> tuple[tuple[Record, ...], Tally]:
    """Records in the order of the file, and what was refused. Raises InputError where the file is no instances JSON."""
    source = _open_file(path, None, None, "auto")
    return tuple(source.records), source.tally


def _open_file(path: Path, images: Path | None, split: str | None, box_form: str) -> Source:
    content = read_bytes(path)
    document = decode_coco(content, path)
    names = [coco_names(image.file_name, image.coco_url) for image in document.images[:PROBED] if image]
    root = images or guess_image_root(path, [name for one in names for name in one])
    read = read_document(document, path, root, box_form, masks_of(document, content, path))
    return Source(
        records=read.records,
        tally=read.tally,
        image_root=root,
        inputs={str(path): hashlib.sha256(content).hexdigest()},
        classes=read.classes,
        absence="listed" if read.listed else "exhaustive",
        split=split,
        kinds=_kinds(document.categories, read.classes),
        taken=read.taken,
    )


class Read(NamedTuple):
    """What a document holds: records, findings, the classes looked for, whether absence is listed, choices made."""

    records: tuple[Record, ...]
    tally: Tally
    classes: frozenset[str]
    listed: bool
    taken: dict[str, str]


class Context(NamedTuple):
    """What every annotation of a document is read with."""

    file: str
    classes: Mapping[Any, str]
    masks: Mapping[int, object]
    form: str


def read_document(
    document: CocoFile, path: Path, image_root: Path, box_form: str = "auto", masks: Mapping[int, object] | None = None
) -> Read:
    """The records of a decoded document.

    Args:
        document: from `load_coco`.
        path: of its file, for places.
        image_root: where files are looked for under the names that an image may have.
        box_form: one of `box_form.FORMS`.
        masks: index of an annotation without `bbox` -> its segmentation.
    """
    findings: list[Finding] = []
    classes = _classes(document.categories)
    images = _images(document.images, path.name, image_root, findings)
    form, why = choose_form(_stated(document.annotations, images), "xywh", box_form)
    context = Context(path.name, classes, masks or {}, form)
    boxes = _boxes(document.annotations, images, context, findings)
    listed = any(
        image is not None and (image.neg_category_ids is not None or image.not_exhaustive_category_ids is not None)
        for image in document.images
    )
    records = tuple(
        _record(image, name, boxes.get(image_id, _Boxes()), context, findings)
        for image_id, (image, name) in images.items()
        if name is not None
    )
    taken = {"box form": f"{form}: {why}"} if why else {}
    if listed:
        taken["named negatives"] = "the file has neg_category_ids or not_exhaustive_category_ids, as LVIS does"
    return Read(records, Tally.of(findings), frozenset(classes.values()), listed, taken)


def _stated(entries: Sequence[CocoAnnotation | None], images: _Images) -> Iterator[Stated]:
    """Four numbers and the size of their image, where both are stated."""
    for entry in entries:
        if entry is None or not is_id(entry.image_id) or entry.image_id not in images:
            continue
        image, numbers = images[entry.image_id][0], four_numbers(entry.bbox)
        size_wh = stated_size(image.width, image.height)
        if numbers is not None and size_wh is not None:
            yield numbers, size_wh


def _classes(categories: Sequence[CocoCategory | None]) -> dict[Any, str]:
    """Id -> name; an id without a name, or with two different ones, is left out, and so are the annotations of it."""
    names: dict[Any, str | None] = {}
    for category in categories:
        if category is not None and is_id(category.id):
            name = class_name(category.name)
            if names.setdefault(category.id, name) != name:
                names[category.id] = None
    return {number: name for number, name in names.items() if name is not None}


def _kinds(categories: Sequence[CocoCategory | None], classes: frozenset[str]) -> dict[str, str]:
    """Class -> its supercategory, where one is named."""
    return {
        name: kind
        for category in categories
        if category is not None and (name := class_name(category.name)) in classes
        if name is not None and (kind := text_of(category.supercategory))
    }


_Images = dict[Any, tuple[CocoImage, "str | None"]]


def _images(entries: Sequence[CocoImage | None], file: str, image_root: Path, findings: list[Finding]) -> _Images:
    """Id -> (entry, path below the root); the path is None where the image is refused, to count its boxes."""
    images: _Images = {}
    for index, image in enumerate(entries):
        place = f"{file}: images[{index}]"
        names = coco_names(image.file_name, image.coco_url) if image is not None else []
        if image is None or not is_id(image.id) or (text_of(image.file_name) is None and not names):
            findings.append(
                Finding("malformed_image", place, "" if image is None else f"file_name {image.file_name!r}")
            )
            if image is not None and is_id(image.id):
                images.setdefault(image.id, (image, None))
            continue
        name = first_there(image_root, names) if names else None
        if name is None:
            findings.append(Finding("bad_file_name", place, repr(image.file_name)))
        elif name != names[0]:
            findings.append(Finding("name_mended", place, f"{names[0]} -> {name}"))
        elif isinstance(image.file_name, str) and "\\" in image.file_name:
            findings.append(Finding("backslash", place, image.file_name))
        if image.id not in images:
            images[image.id] = (image, name)
        elif images[image.id][1] == name:
            findings.append(Finding("repeated_image", place, str(name)))
        else:
            if images[image.id][1] is not None:
                findings.append(Finding("ambiguous_image_id", place, f"id {image.id} is {images[image.id][1]}"))
            if name is not None:
                findings.append(Finding("ambiguous_image_id", place, f"id {image.id} is {name}"))
            images[image.id] = (image, None)
    return images


class _Boxes:
    """The boxes of one image while the annotations are gone through."""

    def __init__(self) -> None:
        self.kept: list[Annotation] = []
        self.refused: set[str] = set()
        self.doubtful = False


def _boxes(
    entries: Sequence[CocoAnnotation | None],
    images: _Images,
    context: Context,
    findings: list[Finding],
) -> dict[Any, _Boxes]:
    """Image id -> its boxes."""
    boxes: dict[Any, _Boxes] = {}
    seen: dict[Any, tuple[Any, ...]] = {}
    for index, entry in enumerate(entries):
        place = f"{context.file}: annotations[{index}]"
        if entry is None:
            findings.append(Finding("malformed_annotation", place))
            continue
        place = f"{place} (id {entry.id})"
        if not is_id(entry.image_id) or entry.image_id not in images:
            findings.append(Finding("unknown_image", place, f"image_id {entry.image_id!r}"))
            continue
        image, name = images[entry.image_id]
        if name is None:
            reason = "image_refused" if not coco_names(image.file_name, image.coco_url) else "ambiguous_image"
            findings.append(Finding(reason, place, f"image_id {entry.image_id!r}"))
            continue
        if is_id(entry.id):
            content = (entry.image_id, entry.category_id, entry.bbox, entry.iscrowd)
            if seen.setdefault(entry.id, content) is not content:
                same = seen[entry.id] == content
                findings.append(Finding("repeated_annotation" if same else "repeated_annotation_id", place, name))
                if same:
                    continue
        mask = context.masks.get(index)
        _sort_in(entry, mask, boxes.setdefault(entry.image_id, _Boxes()), context, place, findings)
    return boxes


def _sort_in(
    entry: CocoAnnotation, mask: object, boxes: _Boxes, context: Context, place: str, findings: list[Finding]
) -> None:
    """Puts one annotation of a known image where it belongs: kept, or refused with its class remembered."""
    category = context.classes.get(entry.category_id) if is_id(entry.category_id) else None
    if category is None:
        findings.append(Finding("unknown_category", place, f"category_id {entry.category_id!r}"))
        boxes.doubtful = True
        return
    fault, xyxy = _corners(entry.bbox, mask, context.form)
    if entry.iscrowd not in (None, 0, 1):
        fault = "malformed_annotation"
    if fault is not None or xyxy is None:
        findings.append(Finding(fault or "malformed_box", place, f"{category}, bbox {entry.bbox!r}"))
        boxes.refused.add(category)
        return
    if entry.bbox is None:
        findings.append(Finding("box_from_mask", place, category))
    if entry.iscrowd:
        findings.append(Finding("crowd", place, category))
    boxes.kept.append(
        Annotation(xyxy_px=xyxy, category=category, place=place, ignore="crowd" if entry.iscrowd else None)
    )


def _corners(bbox: object, mask: object, form: str) -> tuple[str | None, XYXY | None]:
    """(reason to refuse, None) or (None, xyxy_px) of a `bbox`, or of the segmentation where there is none."""
    if bbox is None and mask is None:
        return "missing_box", None
    if bbox is None:
        xyxy = box_of_mask(mask)
        return ("unreadable_mask", None) if xyxy is None else (box_fault(xyxy), xyxy)
    numbers = four_numbers(bbox)
    if numbers is None:
        return "malformed_box", None
    xyxy = corners(numbers, form)
    return box_fault(xyxy), xyxy


def _record(image: CocoImage, name: str, boxes: _Boxes, context: Context, findings: list[Finding]) -> Record:
    place = f"{context.file}: image id {image.id}"
    negatives = frozenset(_named(image.neg_category_ids, context.classes, place, findings))
    present = {annotation.category for annotation in boxes.kept} | boxes.refused
    findings += [Finding("negative_contradicted", place, category) for category in sorted(negatives & present)]
    return Record(
        name=name,
        size_wh=stated_size(image.width, image.height),
        annotations=tuple(boxes.kept),
        place=place,
        refused=frozenset(boxes.refused),
        doubtful=boxes.doubtful,
        negatives=negatives - present,
        not_exhaustive=frozenset(_named(image.not_exhaustive_category_ids, context.classes, place, findings)),
    )


def _named(ids: object, classes: Mapping[Any, str], place: str, findings: list[Finding]) -> Iterator[str]:
    """Names of the class ids in a list; unknown ones are counted."""
    for number in ids if isinstance(ids, list) else []:
        if is_id(number) and number in classes:
            yield classes[number]
        else:
            findings.append(Finding("unknown_named_class", place, repr(number)))
