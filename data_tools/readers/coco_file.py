"""The document behind a COCO instances JSON, decoded, and where a folder keeps such files. Judges no entry.

Every value is left as it stands, for the reader to judge: one wrong value costs one entry.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from data_tools.readers.documents import NOT_STRICT, convert_entries, load_patiently, read_bytes
from grounding.errors import InputError


class CocoImage(msgspec.Struct, frozen=True):
    """An entry of `images`; every value is judged later, so that one wrong value costs one entry."""

    id: Any = None
    file_name: Any = None
    coco_url: Any = None
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


class CocoMask(msgspec.Struct, frozen=True):
    """An entry of `annotations` once more, where boxes are missing: what is left out else, for speed."""

    bbox: Any = None
    segmentation: Any = None


class CocoMasks(msgspec.Struct, frozen=True):
    """The document once more, for its segmentations."""

    annotations: list[CocoMask | None]


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
    return decode_coco(read_bytes(path), path)


def decode_coco(content: bytes, path: Path) -> CocoFile:
    try:
        return _FAST.decode(content)
    except NOT_STRICT:
        document = _load_patiently(content, path)
    return CocoFile(
        convert_entries(document["images"], CocoImage),
        convert_entries(document["annotations"], CocoAnnotation),
        convert_entries(document["categories"], CocoCategory),
    )


_FAST = msgspec.json.Decoder(CocoFile)


def _load_patiently(content: bytes, path: Path) -> dict[str, Any]:
    document = load_patiently(content, path)
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
    return document


def masks_of(document: CocoFile, content: bytes, path: Path) -> dict[int, object]:
    """Index -> segmentation of the annotations without `bbox`; a file that has all its boxes is not read again."""
    if all(entry is None or entry.bbox is not None for entry in document.annotations):
        return {}
    try:
        entries = msgspec.json.decode(content, type=CocoMasks).annotations
    except NOT_STRICT:
        entries = convert_entries(_load_patiently(content, path)["annotations"], CocoMask)
    return {
        index: entry.segmentation
        for index, entry in enumerate(entries)
        if entry is not None and entry.bbox is None and entry.segmentation is not None
    }
