"""LabelMe's JSON, a file an image -> records and a tally. Knows no prompt; looks for image files by name, reads none.

The box of a shape is the extent of its points: of a rectangle, a polygon (what a shape without `shape_type` is) or an
oriented rectangle, which X-AnyLabeling calls rotation. A circle is its centre and a point of its edge; the corners of
a mask are its first and its last pixel. Points and lines have no box. Shapes of one label and one `group_id` are parts
of one object, as in LabelMe's own exports (https://github.com/wkentaro/labelme). `imagePath` starts from the folder of
the JSON; `imageData`, the picture once more in base64, is passed over.
"""

from __future__ import annotations

import hashlib
import math
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import msgspec
import numpy as np

from data_tools.entries import box_fault, class_name, clean_name, four_numbers, is_id, stated_size, text_of
from data_tools.readers.documents import convert_entries, entry_of, read_bytes
from data_tools.readers.image_files import FilesThere
from data_tools.records import XYXY, Annotation, Finding, Record, Source, Tally, classes_in_any
from grounding.errors import InputError
from grounding.geometry import envelope

LEAST_POINTS = {"rectangle": 2, "polygon": 3, "oriented_rectangle": 4, "rotation": 4, "circle": 2, "mask": 2}


class File(msgspec.Struct, frozen=True):
    """What counts of a file; values are judged later."""

    shapes: Any = None
    imagePath: Any = None
    imageWidth: Any = None
    imageHeight: Any = None


class Shape(msgspec.Struct, frozen=True):
    """What counts of an entry of `shapes`; `difficult` is X-AnyLabeling's."""

    label: Any = None
    points: Any = None
    shape_type: Any = None
    group_id: Any = None
    flags: Any = None
    difficult: Any = None


class Part(NamedTuple):
    """A shape, judged: `group` is equal for the parts of one object; without a box there is a fault."""

    category: str
    group: object
    box: XYXY | None
    fault: str | None
    difficult: bool
    place: str


def open_labelme(source: Path, images: Path | None, options: Mapping[str, str]) -> list[Source]:
    """The reader behind `--format labelme`: a JSON file, or a folder with such at any depth. Raises InputError."""
    folder = source if source.is_dir() else source.parent
    paths = sorted(source.rglob("*.json")) if source.is_dir() else [source]
    if not paths:
        raise InputError("there is no JSON file in it", where=str(source), fix="LabelMe writes one for each image.")
    root = images or folder
    there = FilesThere(root)
    digest = hashlib.sha256()
    findings: list[Finding] = []
    records = []
    for path in paths:
        content = read_bytes(path)
        place = path.relative_to(folder).as_posix()
        digest.update(f"{place}\0{len(content)}\0".encode())
        digest.update(content)
        file = entry_of(content, File)
        if file is None or not isinstance(file.shapes, list):
            findings.append(Finding("unreadable_json", place))
            continue
        name = _image_name(file.imagePath, place, there, moved=images is not None)
        parts = [_part(shape, f"{place}: shapes[{n}]") for n, shape in enumerate(convert_entries(file.shapes, Shape))]
        if record := _record(file, name, parts, place, findings):
            records.append(record)
    return [
        Source(
            records=records,
            tally=Tally.of(findings),
            image_root=root,
            inputs={str(source): digest.hexdigest()},
            classes=frozenset(classes_in_any(records)),
        )
    ]


def _image_name(stated: object, place: str, there: FilesThere, *, moved: bool) -> str | None:
    """The path of an image below the root; None where none can be told.

    What is stated counts as it stands, if it lies below the root. Where it does not, or --images names another folder
    (`moved`), the longest end of it that is a file does: LabelMe may have run elsewhere, or written the JSON apart.
    """
    text = text_of(stated)
    if text is None:
        return None
    path = posixpath.normpath(PurePosixPath(place).parent / text.replace("\\", "/"))
    name = clean_name(path)
    if name is not None and not moved:
        return name
    parts = [part for part in PurePosixPath(path).parts if part not in ("..", "/")]
    ends = filter(None, (clean_name("/".join(parts[start:])) for start in range(len(parts))))
    return next((end for end in ends if _is_there(end, there)), name)


def _is_there(name: str, there: FilesThere) -> bool:
    stem, dot, suffix = name.rpartition(".")
    return dot + suffix in there.suffixes(stem)


def _part(shape: Shape | None, place: str) -> Part:
    shape = shape or Shape()
    box, fault = _box(shape)
    flags = shape.flags if isinstance(shape.flags, dict) else {}
    difficult = shape.difficult is True or flags.get("difficult") is True
    category = class_name(shape.label) or ""
    group = shape.group_id if is_id(shape.group_id) else place
    return Part(category, group, box, fault, difficult, place)


def _box(shape: Shape) -> tuple[XYXY | None, str | None]:
    """(xyxy_px, None) or (None, reason to refuse it)."""
    kind = "polygon" if shape.shape_type is None else shape.shape_type
    if not isinstance(kind, str) or kind not in LEAST_POINTS:
        return None, "missing_box"
    points = _points(shape.points)
    if points is None or len(points) < LEAST_POINTS[kind]:
        return None, "malformed_box"
    (x0, y0), (x1, y1) = np.min(points, axis=0).tolist(), np.max(points, axis=0).tolist()
    if kind == "circle":
        x, y = points[0]
        radius = math.dist(points[0], points[1])
        x0, y0, x1, y1 = x - radius, y - radius, x + radius, y + radius
    elif kind == "mask":
        x1, y1 = x1 + 1, y1 + 1
    fault = box_fault((x0, y0, x1, y1))
    return (None, fault) if fault else ((x0, y0, x1, y1), None)


def _points(value: object) -> list[tuple[float, float]] | None:
    """The value as points, NaN and infinity included; None where it is no list of pairs of numbers."""
    pairs = value if isinstance(value, list) else [None]
    boxes = [four_numbers([*pair, *pair]) if isinstance(pair, list) else None for pair in pairs]  # without extent
    points = [box[:2] for box in boxes if box is not None]
    return points if len(points) == len(boxes) else None


def _record(file: File, name: str | None, parts: Sequence[Part], place: str, findings: list[Finding]) -> Record | None:
    """The record of a file, or None where its image is refused; findings are added to the list."""
    nameless = next((part.place for part in parts if not part.category), None)
    if name is None or nameless:
        found = (nameless or "") if name else repr(file.imagePath)[:80]
        findings.append(Finding("nameless_object" if name else "bad_file_name", place, found))
        findings += [Finding("image_refused", part.place, part.category) for part in parts]
        return None
    objects: dict[tuple[str, object], list[Part]] = {}
    for part in parts:
        objects.setdefault((part.category, part.group), []).append(part)
    whole = [_together(some, findings) for some in objects.values()]
    return Record(
        name=name,
        size_wh=stated_size(file.imageWidth, file.imageHeight),
        annotations=tuple(annotation for annotation in whole if annotation is not None),
        place=place,
        refused=frozenset(part.category for part in parts if part.fault),
    )


def _together(parts: Sequence[Part], findings: list[Finding]) -> Annotation | None:
    """The object that some shapes are, or None where one of them was refused: its extent is not known then."""
    first = parts[0]
    if any(part.fault for part in parts):
        findings += [Finding(part.fault or "class_refused", part.place, part.category) for part in parts]
        return None
    x0, y0, x1, y1 = envelope([part.box for part in parts if part.box is not None]).tolist()
    findings += [Finding("part_of_group", part.place, part.category) for part in parts[1:]]
    difficult = any(part.difficult for part in parts)
    findings += [Finding("difficult", first.place, first.category)] if difficult else []
    return Annotation(
        xyxy_px=(x0, y0, x1, y1),
        category=first.category,
        place=first.place,
        ignore="difficult" if difficult else None,
    )
