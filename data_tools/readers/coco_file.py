"""The document behind a COCO instances JSON, decoded, and where a folder keeps such files. Judges no entry.

Every value is left as it stands, for the reader to judge: one wrong value costs one entry.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from data_tools.readers.coco_entries import (
    CocoAnnotation,
    CocoCategory,
    CocoImage,
    Entries,
    EntryColumns,
    decode_categories,
    decode_images,
)
from data_tools.readers.documents import convert_entries, load_patiently, read_bytes
from data_tools.readers.json_slices import NotSliced, digest_of, read_slices
from grounding.errors import InputError


class CocoFile(NamedTuple):
    """The document; None stands for an image or category that is no JSON object."""

    images: list[CocoImage | None]
    annotations: Entries
    categories: list[CocoCategory | None]
    digest: str


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
    """The document: in slices where it is sound JSON of the usual build, else whole.

    Raises InputError naming file, line and what is allowed.
    """
    digest = digest_of(path)
    images: list[CocoImage | None] = []
    categories: list[CocoCategory | None] = []
    entries = EntryColumns(path)
    decoders = {"images": decode_images, "annotations": entries.decode, "categories": decode_categories}
    try:
        for piece in read_slices(path, decoders):
            if piece.key == "annotations":
                entries.add(piece)
            else:
                (images if piece.key == "images" else categories).extend(piece.elements)
    except NotSliced:
        document = _load_patiently(read_bytes(path), path)
        images = convert_entries(document["images"], CocoImage)
        categories = convert_entries(document["categories"], CocoCategory)
        entries = EntryColumns(path)
        entries.add_whole(convert_entries(document["annotations"], CocoAnnotation))
    return CocoFile(images, entries.finish(), categories, digest)


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
