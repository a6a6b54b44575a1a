"""YOLO folder with a data.yaml -> records and a tally. Knows no prompt; of image files it reads the header.

A label file names one object a line, in fractions of the image's sides: `class cx cy w h`, or the corners of an
oriented box or polygon `class x0 y0 x1 y1 x2 y2 ...`, of which the envelope is taken; with `kpt_shape` in data.yaml
the first four numbers are the box and keypoints follow. The label file of images/a/b.jpg is labels/a/b.txt; an image
without one holds no object. Fractions are of the image as EXIF turns it, which is how YOLO trainers load it.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import shapely

from data_tools.entries import box_fault
from data_tools.readers.image_files import SUFFIXES, header_of, relative_name
from data_tools.readers.yolo_yaml import DataYaml, Part, load_data_yaml
from data_tools.records import XYXY, Annotation, Finding, Record, Source, Tally

LEAST_CORNERS = 3
PIXELS = 2.0  # no value of a box that touches the image and is at most twice as large reaches it
_WHOLE = re.compile(r"(\d+)\.0*", re.ASCII)  # a class number written by a program that knows floats only
BOX = 4  # numbers of a box, or of a box before its keypoints


class Row(NamedTuple):
    """A line of a label file: its class number (1.0 is 1), and a box in fractions of the sides or what is wrong."""

    number: str
    fractions: XYXY | None
    fault: str | None


def open_yolo(source: Path, images: Path | None, options: Mapping[str, str]) -> list[Source]:
    """The reader behind `--format yolo`: a data.yaml, or a folder that holds one. Raises InputError."""
    data = load_data_yaml(source, images)
    digest = hashlib.sha256(data.content)
    findings = list(data.findings)
    frame = options.get("frame", "")
    records = [record for part in data.parts for record in _part(part, data, frame, digest, findings)]
    return [
        Source(
            records=records,
            tally=Tally.of(findings),
            image_root=data.root,
            inputs={str(data.path): digest.hexdigest()},
            classes=frozenset(data.names.values()),
            taken={
                "data.yaml": data.told,
                "splits": f"official, by data.yaml: {', '.join(p.split for p in data.parts)}",
            },
        )
    ]


def _part(part: Part, data: DataYaml, frame: str, digest: hashlib._Hash, findings: list[Finding]) -> Iterator[Record]:
    """The records of one split; label files without an image are counted."""
    listed = _listed(part, data.root, findings)
    read: set[Path] = set()
    for name in listed:
        labels = data.root / label_name(name)
        read.add(labels)
        content = labels.read_bytes() if labels.is_file() else b""
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
        record = _record(name, content, part.split, data, frame, findings)
        if record is not None:
            yield record
    for folder in part.folders:
        for path in sorted(set((data.root / label_name(f"{folder}/x")).parent.rglob("*.txt")) - read):
            if path.name == "classes.txt":
                continue
            place = path.relative_to(data.root).as_posix()
            rows = enumerate(path.read_bytes().splitlines(), start=1)
            findings.append(Finding("missing_image", place, "a label file without an image"))
            findings += [Finding("image_refused", f"{place}:{number}") for number, row in rows if row.strip()]


def _listed(part: Part, root: Path, findings: list[Finding]) -> list[str]:
    """Names of the images of a part: all files of its folders, and the lines of its lists."""
    names = [
        path.relative_to(root).as_posix()
        for folder in part.folders
        for path in sorted((root / folder).rglob("*"))
        if path.suffix in SUFFIXES and path.is_file()
    ]
    for place, line in part.lines:
        name = relative_name(line, root)
        if name is None:
            findings.append(Finding("bad_file_name", place, line))
        else:
            names.append(name)
    return names


def label_name(image: str) -> str:
    """The path of an image's label file: the last folder `images` becomes `labels`, the suffix .txt."""
    parts = list(PurePosixPath(image).with_suffix(".txt").parts)
    places = [index for index, part in enumerate(parts[:-1]) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    return str(PurePosixPath(*parts))


def _record(
    name: str, content: bytes, split: str, data: DataYaml, frame: str, findings: list[Finding]
) -> Record | None:
    """The record of an image, or None where it is refused."""
    place = label_name(name)
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        findings.append(Finding("unreadable_labels", place, str(error)))
        return None
    header = header_of(data.root, name, frame)
    rows = [(number, parse_row(line, data.keypoints)) for number, line in enumerate(lines, start=1) if line.strip()]
    if header.size_wh is None:
        findings.append(Finding(header.fault or "missing_image", place, header.found))
        findings += [Finding("image_refused", f"{place}:{number}", row.number) for number, row in rows]
        return None
    annotations: list[Annotation] = []
    refused: set[str] = set()
    doubtful = False
    for number, row in rows:
        category = data.names.get(row.number)
        at = f"{place}:{number}"
        if category is None:
            reason = "unknown_category" if row.number.isdecimal() else "malformed_row"
            findings.append(Finding(reason, at, lines[number - 1][:80]))
            doubtful = True
        elif row.fractions is None or row.fault is not None:
            findings.append(Finding(row.fault or "malformed_row", at, f"{category}, {lines[number - 1][:80]}"))
            refused.add(category)
        else:
            annotations.append(
                Annotation(xyxy_px=_in_pixels(row.fractions, header.size_wh), category=category, place=at)
            )
    return Record(
        name=name,
        size_wh=header.size_wh,
        annotations=tuple(annotations),
        place=place,
        refused=frozenset(refused),
        doubtful=doubtful,
        split=split,
    )


def parse_row(line: str, keypoints: bool = False) -> Row:
    """One line of a label file; never raises. `keypoints`: numbers behind the first four are no corners."""
    stated, *texts = line.split()
    whole = _WHOLE.fullmatch(stated)
    number = whole[1] if whole else stated
    try:
        values = [float(text) for text in texts]
    except ValueError:
        return Row(number, None, "malformed_row")
    if keypoints:
        values = values[:BOX]
    if any(not math.isfinite(value) for value in values):
        return Row(number, None, "not_finite")
    if len(values) == BOX:
        x, y, width, height = values
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    elif len(values) >= 2 * LEAST_CORNERS and len(values) % 2 == 0:
        corners = shapely.multipoints(list(zip(values[::2], values[1::2], strict=True)))
        box = corners.bounds  # the envelope
    else:
        return Row(number, None, "malformed_row")
    if max(values) >= PIXELS:
        return Row(number, None, "looks_like_pixels")
    return Row(number, box, box_fault(box))


def _in_pixels(fractions: Sequence[float], size_wh: tuple[int, int]) -> XYXY:
    x0, y0, x1, y1 = fractions
    width, height = size_wh
    return x0 * width, y0 * height, x1 * width, y1 * height
