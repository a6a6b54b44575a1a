"""COCO instances JSON -> records and a tally. Knows no prompt, and reads no image.

Boxes are [x, y, width, height] in pixels from the left upper corner. `segmentation` is not read: an annotation without
`bbox` is refused. The keys `neg_category_ids` and `not_exhaustive_category_ids` of LVIS are obeyed where they stand:
then only named negatives count as absent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from data_tools.entries import box_fault, class_name, clean_name, four_numbers, stated_size, text_of
from data_tools.records import Annotation, Finding, Record, Source, Tally
from grounding.errors import InputError

PROBED = 20  # file names tried when the image folder is guessed


class CocoImage(msgspec.Struct, frozen=True):
    """An entry of `images`; every value is judged later, so that one wrong value costs one entry."""

    id: Any = None
    file_name: Any = None
    width: Any = None
    height: Any = None
    neg_category_ids: Any = None
    not_exhaustive_category_ids: Any = None


class CocoAnnotation(msgspec.Struct, frozen=True):
    """An entry of `annotations`."""

    id: Any = None
    image_id: Any = None
    category_id: Any = None
    bbox: Any = None
    iscrowd: Any = None


class CocoCategory(msgspec.Struct, frozen=True):
    """An entry of `categories`."""

    id: Any = None
    name: Any = None
    supercategory: Any = None


class CocoFile(msgspec.Struct, frozen=True):
    """The document; None stands for an entry that is no JSON object."""

    images: list[CocoImage | None]
    annotations: list[CocoAnnotation | None]
    categories: list[CocoCategory | None]


def open_coco(source: Path, images: Path | None, options: Mapping[str, str]) -> list[Source]:
    """The reader behind `--format coco`: an instances JSON, or a folder that holds such files. Raises InputError."""
    return [_open_file(path, images, split) for path, split in find_instances(source)]


def read_coco(path: Path) -> tuple[tuple[Record, ...], Tally]:
    """Records in the order of the file, and what was refused. Raises InputError where the file is no instances JSON."""
    records, tally, _, _ = _records(load_coco(path), path.name)
    return records, tally


def find_instances(source: Path) -> list[tuple[Path, str | None]]:
    """(annotation file, its official split or None) behind a SOURCE. Raises InputError where a folder is not clear.

    A folder may hold one JSON, or COCO's own instances_train*.json and instances_val*.json, in itself or in
    `annotations/`, or train/, valid/ and test/ with one `_annotations.coco.json` each.
    """
    if not source.exists():
        raise InputError("no such file or folder", where=str(source))
    if not source.is_dir():
        return [(source, None)]
    nested = [(source / name / "_annotations.coco.json", split) for name, split in _NESTED]
    found: list[tuple[Path, str | None]] = [(path, split) for path, split in nested if path.is_file()]
    if found:
        return found
    candidates = sorted(source.glob("*.json")) + sorted(source.glob("annotations/*.json"))
    if len(candidates) == 1:
        return [(candidates[0], None)]
    named: list[tuple[Path, str | None]] = [
        (path, split)
        for split in ("train", "val", "test")
        for path in candidates
        if path.name.startswith(f"instances_{split}")
    ]
    if named:
        return named
    listed = ", ".join(str(path.relative_to(source)) for path in candidates[:10]) or "none"
    raise InputError(
        f"a COCO folder needs one instances JSON, or instances_train*.json and instances_val*.json; found: {listed}",
        where=str(source),
        fix="Name the file, or several as train=FILE val=FILE test=FILE.",
    )


_NESTED = (("train", "train"), ("valid", "val"), ("val", "val"), ("test", "test"))


def load_coco(path: Path) -> CocoFile:
    """The decoded document. Raises InputError naming file, line and what is allowed."""
    return _decode(_read_bytes(path), path)


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error


def _decode(content: bytes, path: Path) -> CocoFile:
    try:
        return _FAST.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Slower; it takes the NaN that Python writes and JSON does not have, judges entry by entry, and knows lines.
        return _decode_patiently(content, path)


_FAST = msgspec.json.Decoder(CocoFile)


def _decode_patiently(content: bytes, path: Path) -> CocoFile:
    try:
        document = json.loads(content)
    except json.JSONDecodeError as error:
        raise InputError(
            f"is no JSON: {error.msg} (column {error.colno})",
            where=f"{path}:{error.lineno}",
            fix="Write the file anew.",
        ) from error
    except RecursionError as error:
        raise InputError("is nested too deeply to be an annotation file", where=str(path)) from error
    except ValueError as error:  # not UTF-8, or a number of thousands of digits
        raise InputError(f"is no JSON: {error}", where=str(path)) from error
    if not isinstance(document, dict):
        raise InputError(
            f"a COCO file is an object with images, annotations and categories; found a {type(document).__name__}",
            where=str(path),
        )
    wrong = [key for key in ("images", "annotations", "categories") if not isinstance(document.get(key), list)]
    if wrong:
        raise InputError(
            f"a COCO instances file has the lists images, annotations and categories; here is no {', '.join(wrong)}",
            where=str(path),
        )
    return CocoFile(
        [_convert(entry, CocoImage) for entry in document["images"]],
        [_convert(entry, CocoAnnotation) for entry in document["annotations"]],
        [_convert(entry, CocoCategory) for entry in document["categories"]],
    )


Entry = TypeVar("Entry", bound=msgspec.Struct)


def _convert(entry: object, kind: type[Entry]) -> Entry | None:
    return msgspec.convert(entry, kind) if isinstance(entry, dict) else None


def _open_file(path: Path, images: Path | None, split: str | None) -> Source:
    content = _read_bytes(path)
    document = _decode(content, path)
    records, tally, classes, listed = _records(document, path.name)
    taken = {}
    if listed:
        taken["named negatives"] = "the file has neg_category_ids or not_exhaustive_category_ids, as LVIS does"
    return Source(
        records=records,
        tally=tally,
        image_root=images or guess_image_root(path, [record.name for record in records]),
        inputs={str(path): hashlib.sha256(content).hexdigest()},
        classes=classes,
        absence="listed" if listed else "exhaustive",
        split=split,
        kinds=_kinds(document.categories, classes),
        taken=taken,
    )


def guess_image_root(path: Path, names: Sequence[str]) -> Path:
    """The folder near an annotation file that has most of the first few images; the file's own where none has any."""
    here, above = path.parent, path.parent.parent
    subset = path.stem.removeprefix("instances_")
    places = [here, here / "images", above / "images", above, here / subset, above / subset, above / "images" / subset]
    found = [sum((place / name).is_file() for name in names[:PROBED]) for place in places]
    return places[found.index(max(found))]


def _records(document: CocoFile, file: str) -> tuple[tuple[Record, ...], Tally, frozenset[str], bool]:
    """The records, the tally, the classes looked for, and whether absence is listed in the file."""
    findings: list[Finding] = []
    classes = _classes(document.categories)
    images = _images(document.images, file, findings)
    boxes = _boxes(document.annotations, images, classes, file, findings)
    listed = any(
        image is not None and (image.neg_category_ids is not None or image.not_exhaustive_category_ids is not None)
        for image in document.images
    )
    records = tuple(
        _record(image, name, boxes.get(image_id, _Boxes()), classes, file, findings)
        for image_id, (image, name) in images.items()
        if name is not None
    )
    return records, Tally.of(findings), frozenset(classes.values()), listed


def _classes(categories: Sequence[CocoCategory | None]) -> dict[Any, str]:
    """Id -> name; an id without a name, or with two different ones, is left out, and so are the annotations of it."""
    names: dict[Any, set[str | None]] = {}
    for category in categories:
        if category is not None and _is_id(category.id):
            names.setdefault(category.id, set()).add(class_name(category.name))
    return {number: name for number, found in names.items() if len(found) == 1 and (name := next(iter(found)))}


def _kinds(categories: Sequence[CocoCategory | None], classes: frozenset[str]) -> dict[str, str]:
    """Class -> its supercategory, where one is named."""
    return {
        name: kind
        for category in categories
        if category is not None and (name := class_name(category.name)) in classes
        if name is not None and (kind := text_of(category.supercategory))
    }


_Images = dict[Any, tuple[CocoImage, "str | None"]]


def _images(entries: Sequence[CocoImage | None], file: str, findings: list[Finding]) -> _Images:
    """Id -> (entry, path below the root); the path is None where the image is refused, to count its boxes."""
    images: _Images = {}
    for index, image in enumerate(entries):
        place = f"{file}: images[{index}]"
        if image is None or not _is_id(image.id) or text_of(image.file_name) is None:
            findings.append(
                Finding("malformed_image", place, "" if image is None else f"file_name {image.file_name!r}")
            )
            if image is not None and _is_id(image.id):
                images.setdefault(image.id, (image, None))
            continue
        name = clean_name(image.file_name)
        if name is None:
            findings.append(Finding("bad_file_name", place, repr(image.file_name)))
        elif "\\" in image.file_name:
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
    classes: Mapping[Any, str],
    file: str,
    findings: list[Finding],
) -> dict[Any, _Boxes]:
    """Image id -> its boxes."""
    boxes: dict[Any, _Boxes] = {}
    seen: dict[Any, tuple[Any, ...]] = {}
    for index, entry in enumerate(entries):
        place = f"{file}: annotations[{index}]"
        if entry is None:
            findings.append(Finding("malformed_annotation", place))
            continue
        place = f"{place} (id {entry.id})"
        if not _is_id(entry.image_id) or entry.image_id not in images:
            findings.append(Finding("unknown_image", place, f"image_id {entry.image_id!r}"))
            continue
        image, name = images[entry.image_id]
        if name is None:
            reason = "image_refused" if clean_name(image.file_name) is None else "ambiguous_image"
            findings.append(Finding(reason, place, f"image_id {entry.image_id!r}"))
            continue
        if _is_id(entry.id):
            content = (entry.image_id, entry.category_id, entry.bbox, entry.iscrowd)
            if seen.setdefault(entry.id, content) is not content:
                same = seen[entry.id] == content
                findings.append(Finding("repeated_annotation" if same else "repeated_annotation_id", place, name))
                if same:
                    continue
        _sort_in(entry, boxes.setdefault(entry.image_id, _Boxes()), classes, place, findings)
    return boxes


def _sort_in(
    entry: CocoAnnotation, boxes: _Boxes, classes: Mapping[Any, str], place: str, findings: list[Finding]
) -> None:
    """Puts one annotation of a known image where it belongs: kept, or refused with its class remembered."""
    category = classes.get(entry.category_id) if _is_id(entry.category_id) else None
    if category is None:
        findings.append(Finding("unknown_category", place, f"category_id {entry.category_id!r}"))
        boxes.doubtful = True
        return
    fault, xyxy = _corners(entry.bbox)
    if entry.iscrowd not in (None, 0, 1):
        fault = "malformed_annotation"
    if fault is not None or xyxy is None:
        findings.append(Finding(fault or "malformed_box", place, f"{category}, bbox {entry.bbox!r}"))
        boxes.refused.add(category)
        return
    if entry.iscrowd:
        findings.append(Finding("crowd", place, category))
    boxes.kept.append(
        Annotation(xyxy_px=xyxy, category=category, place=place, ignore="crowd" if entry.iscrowd else None)
    )


def _corners(bbox: object) -> tuple[str | None, tuple[float, float, float, float] | None]:
    """(reason to refuse, None) or (None, xyxy_px) of a `bbox`."""
    if bbox is None:
        return "missing_box", None
    numbers = four_numbers(bbox)
    if numbers is None:
        return "malformed_box", None
    x, y, width, height = numbers
    xyxy = (x, y, x + width, y + height)
    return box_fault(xyxy), xyxy


def _record(
    image: CocoImage, name: str, boxes: _Boxes, classes: Mapping[Any, str], file: str, findings: list[Finding]
) -> Record:
    place = f"{file}: image id {image.id}"
    negatives = frozenset(_named(image.neg_category_ids, classes, place, findings))
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
        not_exhaustive=frozenset(_named(image.not_exhaustive_category_ids, classes, place, findings)),
    )


def _named(ids: object, classes: Mapping[Any, str], place: str, findings: list[Finding]) -> Iterator[str]:
    """Names of the class ids in a list; unknown ones are counted."""
    for number in ids if isinstance(ids, list) else []:
        if _is_id(number) and number in classes:
            yield classes[number]
        else:
            findings.append(Finding("unknown_named_class", place, repr(number)))


def _is_id(value: object) -> bool:
    """Whether a value can be an id: a number or a string, hashable and equal to itself."""
    return isinstance(value, int | float | str) and not isinstance(value, bool) and value == value
