"""COCO instances JSON -> records and a tally. Knows no prompt; looks for image files by name and reads none.

Boxes are [x, y, width, height] in pixels from the left upper corner. `segmentation` is read where a `bbox` is missing.
The keys `neg_category_ids` and `not_exhaustive_category_ids` of LVIS are obeyed where they stand: then only named
negatives count as absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import replace

from data_tools.annotations import Rows, categories_of
from data_tools.entries import class_name, is_id, stated_size, text_of
from data_tools.readers.box_form import choose_form
from data_tools.readers.coco_boxes import Images, judge, stated
from data_tools.readers.coco_entries import CocoCategory, CocoImage
from data_tools.readers.coco_file import CocoFile, find_instances, load_coco
from data_tools.readers.image_files import PROBED, coco_names, first_there, guess_image_root
from data_tools.records import Annotation, Finding, Record, Source, Tally


def open_coco(source: Path, images: Path | None, options: Mapping[str, str]) -> list[Source]:
    """The reader behind `--format coco`: an instances JSON, or a folder that holds such files. Raises InputError."""
    form = options.get("box_form", "auto")
    return [_open_file(path, images, split, form) for path, split in find_instances(source)]


def read_coco(path: Path) -> tuple[tuple[Record, ...], Tally]:
    """Records in the order of the file, and what was refused. Raises InputError where the file is no instances JSON."""
    source = _open_file(path, None, None, "auto")
    return tuple(source.records), source.tally


def _open_file(path: Path, images: Path | None, split: str | None, box_form: str) -> Source:
    document = load_coco(path)
    names = [coco_names(image.file_name, image.coco_url) for image in document.images[:PROBED] if image]
    root = images or guess_image_root(path, [name for one in names for name in one])
    read = read_document(document, path, root, box_form)
    return Source(
        records=read.records,
        tally=read.tally,
        image_root=root,
        inputs={str(path): document.digest},
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


def read_document(document: CocoFile, path: Path, image_root: Path, box_form: str = "auto") -> Read:
    """The records of a decoded document.

    Args:
        document: from `load_coco`.
        path: of its file, for places.
        image_root: where files are looked for under the names that an image may have.
        box_form: one of `box_form.FORMS`.
    """
    file = path.name
    findings: list[Finding] = []
    classes = _classes(document.categories)
    images = _images(document.images, file, image_root, findings)
    form, why = choose_form(stated(document.annotations, images), "xywh", box_form)
    boxes = judge(document.annotations, images, classes, file, form, findings)
    listed = any(
        image is not None and (image.neg_category_ids is not None or image.not_exhaustive_category_ids is not None)
        for image in document.images
    )
    starts = boxes.starts.tolist()
    records = []
    for number, (image, name) in enumerate(images.values()):
        if name is not None:
            start, stop = starts[number], starts[number + 1]
            rows = Rows(boxes.columns, start, stop) if start < stop else ()
            record = _record(image, name, rows, boxes.refused.get(number), file, classes, findings)
            records.append(replace(record, doubtful=True) if number in boxes.doubtful else record)
    taken = {"box form": f"{form}: {why}"} if why else {}
    if listed:
        taken["named negatives"] = "the file has neg_category_ids or not_exhaustive_category_ids, as LVIS does"
    return Read(tuple(records), Tally.of(findings), frozenset(classes.values()), listed, taken)


_NONE: frozenset[str] = frozenset()


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


def _images(entries: Sequence[CocoImage | None], file: str, image_root: Path, findings: list[Finding]) -> Images:
    images: Images = {}
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


def _record(
    image: CocoImage,
    name: str,
    rows: Sequence[Annotation],
    refused: Set[str] | None,
    file: str,
    classes: Mapping[Any, str],
    findings: list[Finding],
) -> Record:
    place = f"{file}: image id {image.id}"
    plain = image.neg_category_ids is None and image.not_exhaustive_category_ids is None
    negatives, in_part = _NONE, _NONE
    if not plain:
        negatives = frozenset(_named(image.neg_category_ids, classes, place, findings))
        present = {*categories_of(rows), *(refused or ())}
        findings += [Finding("negative_contradicted", place, category) for category in sorted(negatives & present)]
        negatives -= present
        in_part = frozenset(_named(image.not_exhaustive_category_ids, classes, place, findings))
    return Record(
        name=name,
        size_wh=stated_size(image.width, image.height),
        annotations=rows,
        place=place,
        refused=frozenset(refused) if refused else _NONE,
        negatives=negatives,
        not_exhaustive=in_part,
    )


def _named(ids: object, classes: Mapping[Any, str], place: str, findings: list[Finding]) -> Iterator[str]:
    """Names of the class ids in a list; unknown ones are counted."""
    for number in ids if isinstance(ids, list) else []:
        if is_id(number) and number in classes:
            yield classes[number]
        else:
            findings.append(Finding("unknown_named_class", place, repr(number)))
