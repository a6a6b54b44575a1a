"""Open Images CSV files -> records and a tally. Knows no prompt; of image files it reads the header.

Box files have the columns ImageID, LabelName, XMin, XMax, YMin, YMax (fractions of the sides) and IsGroupOf; files of
verified image labels have ImageID, LabelName and Confidence, 0 for "verified absent" and 1 for "verified present"
(https://storage.googleapis.com/openimages/web/download_v7.html). Absence is listed: verified labels and nothing else.
A class verified as present without a box is neither asked for nor absent. Where the folder has the class hierarchy, no
kind of a class verified as absent is there either, and a class of which a kind is there (a vehicle, where a car is) is
neither asked for nor absent: its own boxes are not all that it has. Files are known by their columns.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from data_tools.entries import box_fault, clean_name
from data_tools.readers.documents import read_bytes
from data_tools.readers.image_files import first_there, header_of
from data_tools.readers.openimages_classes import Classes, read_classes, text_in
from data_tools.records import XYXY, Annotation, Finding, Record, Source, Tally
from grounding.errors import InputError

CORNERS = ("XMin", "YMin", "XMax", "YMax")
BOX_COLUMNS = frozenset({"ImageID", "LabelName", *CORNERS})
LABEL_COLUMNS = frozenset({"ImageID", "LabelName", "Confidence"})
SPLITS = (("train", "train"), ("validation", "val"), ("test", "test"))
FOLDERS = ("", "train", "validation", "test", "images", "data", "train/data", "validation/data", "test/data")


class Files(NamedTuple):
    """The CSV files of a folder by what they are."""

    boxes: tuple[Path, ...]
    labels: tuple[Path, ...]
    descriptions: tuple[Path, ...]


class Row(NamedTuple):
    """A line of a CSV file by column, and where it stands."""

    place: str
    values: Mapping[str, str]


class Image:
    """What the files say of one image, while they are gone through."""

    def __init__(self) -> None:
        self.boxes: list[Row] = []
        self.absent: set[str] = set()
        self.present: set[str] = set()


def open_openimages(source: Path, images: Path | None, options: Mapping[str, str]) -> list[Source]:
    """The reader behind `--format openimages`: a folder with the CSV files, or a box file in it. Raises InputError."""
    folder = source if source.is_dir() else source.parent
    files = find_csv(folder)
    boxes = files.boxes if source.is_dir() else (source,)
    if not boxes or not files.descriptions:
        what = (
            "box file (ImageID, LabelName, XMin, ...)"
            if not boxes
            else "class-descriptions file (LabelName,DisplayName)"
        )
        raise InputError(f"there is no {what} among its CSV files", where=str(source))
    classes = read_classes(files.descriptions, folder)
    return [_open_file(path, _same_split(path, files.labels), classes, images or folder, options) for path in boxes]


def find_csv(folder: Path) -> Files:
    """The CSV files in a folder and below it that Open Images has. Raises InputError where there is no such folder."""
    if not folder.is_dir():
        raise InputError("no such folder", where=str(folder))
    columns = {path: frozenset(_head(path)) for path in sorted(folder.rglob("*.csv"))}
    return Files(
        boxes=tuple(path for path, found in columns.items() if found >= BOX_COLUMNS),
        labels=tuple(path for path, found in columns.items() if found >= LABEL_COLUMNS and not found & set(CORNERS)),
        descriptions=tuple(path for path in columns if "class-descriptions" in path.name or path.name == "classes.csv"),
    )


def split_of(path: Path) -> str | None:
    """The official split that the path of a file names, nearest part first, or None."""
    for part in reversed(path.parts[-3:]):
        for word, split in SPLITS:
            if word in part:
                return split
    return None


def _head(path: Path) -> list[str]:
    with path.open("rb") as file:
        return [name.strip() for name in file.readline().decode("utf-8-sig", errors="replace").split(",")]


def _same_split(path: Path, files: Sequence[Path]) -> list[Path]:
    return [other for other in files if split_of(other) == split_of(path)]


def _rows(content: bytes, path: Path) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text_in(content, path), newline=""))
    head = [name.strip() for name in next(reader, [])]
    for row in reader:
        if row:
            yield Row(f"{path.name}:{reader.line_num}", dict(zip(head, row, strict=False)))


def _open_file(
    path: Path,
    labels: Sequence[Path],
    classes: Classes,
    root: Path,
    options: Mapping[str, str],
) -> Source:
    contents = {**classes.files, **{file: read_bytes(file) for file in (path, *labels)}}
    findings: list[Finding] = []
    images: dict[str, Image] = {}
    for row in _rows(contents[path], path):
        images.setdefault(row.values.get("ImageID", ""), Image()).boxes.append(row)
    for file in labels:
        for row in _rows(contents[file], file):
            _take_label(row, images, classes.names, findings)
    read = [_record(number, image, classes, root, path, options, findings) for number, image in images.items()]
    return Source(
        records=[record for record in read if record is not None],
        tally=Tally.of(findings),
        image_root=root,
        inputs={str(file): hashlib.sha256(content).hexdigest() for file, content in contents.items()},
        classes=frozenset(classes.names.values()),
        absence="listed",
        split=split_of(path),
        taken={
            "verified labels": ", ".join(file.name for file in labels) or "none, so no class is known to be absent",
            "class hierarchy": classes.hierarchy.name
            if classes.hierarchy
            else "none, so no class is a kind of another",
        },
    )


def _take_label(row: Row, images: dict[str, Image], names: Mapping[str, str], findings: list[Finding]) -> None:
    """Notes a verified label. One between 0 and 1 is a machine's guess, which says nothing."""
    label = row.values.get("LabelName", "")
    confidence = _number(row.values.get("Confidence"))
    if confidence not in (0.0, 1.0):
        return
    if label not in names:
        findings.append(Finding("unknown_named_class", row.place, label))
        return
    image = images.setdefault(row.values.get("ImageID", ""), Image())
    (image.present if confidence else image.absent).add(names[label])


def _record(
    number: str,
    image: Image,
    classes: Classes,
    root: Path,
    path: Path,
    options: Mapping[str, str],
    findings: list[Finding],
) -> Record | None:
    """The record of an image, or None where it is refused."""
    place = f"{path.name}: ImageID {number}"
    plain = clean_name(f"{number}.jpg") if number else None
    if plain is None:
        findings.append(Finding("bad_file_name", place, number))
        findings += [Finding("image_refused", row.place, number) for row in image.boxes]
        return None
    name = first_there(root, [str(Path(folder) / plain) for folder in FOLDERS])
    header = header_of(root, name, options.get("frame", ""), upright=False)
    if header.size_wh is None:
        findings.append(Finding(header.fault or "missing_image", place, header.found))
        findings += [Finding("image_refused", row.place, number) for row in image.boxes]
        return None
    kept: list[Annotation] = []
    refused: set[str] = set()
    doubtful = False
    for row in image.boxes:
        category = classes.names.get(row.values.get("LabelName", ""))
        fractions, fault = _fractions(row)
        if category is None:
            findings.append(Finding("unknown_category", row.place, row.values.get("LabelName", "")))
            doubtful = True
        elif fractions is None:
            findings.append(Finding(fault, row.place, category))
            refused.add(category)
        else:
            kept.append(_annotation(row, category, fractions, header.size_wh))
    findings += [Finding("group_of", annotation.place, annotation.category) for annotation in kept if annotation.ignore]
    boxed = {annotation.category for annotation in kept} | refused
    kinds = classes.all_above(boxed | image.present)
    here = boxed | kinds
    findings += [Finding("negative_contradicted", place, category) for category in sorted(image.absent & here)]
    findings += [Finding("kind_is_there", place, category) for category in sorted(kinds & boxed)]
    unboxed = image.present - here
    findings += [Finding("verified_without_box", place, category) for category in sorted(unboxed)]
    return Record(
        name=name,
        size_wh=header.size_wh,
        annotations=tuple(kept),
        place=place,
        refused=frozenset(refused),
        doubtful=doubtful,
        negatives=frozenset((image.absent | classes.all_below(image.absent - here)) - here - unboxed),
        not_exhaustive=frozenset(unboxed | kinds),
    )


def _fractions(row: Row) -> tuple[XYXY | None, str]:
    """(corners in fractions of the sides, "") or (None, reason to refuse them)."""
    corners = [_number(row.values.get(corner)) for corner in CORNERS]
    if any(corner is None for corner in corners):
        return None, "malformed_box"
    x0, y0, x1, y1 = (corner for corner in corners if corner is not None)
    fault = box_fault((x0, y0, x1, y1))
    return (None, fault) if fault else ((x0, y0, x1, y1), "")


def _annotation(row: Row, category: str, fractions: XYXY, size_wh: tuple[int, int]) -> Annotation:
    (x0, y0, x1, y1), (width, height) = fractions, size_wh
    return Annotation(
        xyxy_px=(x0 * width, y0 * height, x1 * width, y1 * height),
        category=category,
        place=row.place,
        ignore="crowd" if row.values.get("IsGroupOf") == "1" else None,
    )


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None
