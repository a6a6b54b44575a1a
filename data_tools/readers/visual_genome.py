"""Visual Genome's region_descriptions.json -> records with phrases. Knows no prompt; nothing is said to be absent.

A region is a phrase with x, y, width and height in pixels. Images are VG_100K/ID.jpg or VG_100K_2/ID.jpg; an
image_data.json beside the file says which, by `url`, and how large they are (https://homes.cs.washington.edu/~ranjay/
visualgenome/api.html).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from data_tools.entries import box_fault, clean_name, four_numbers, is_id, stated_size, text_of
from data_tools.readers.documents import load_entries, read_bytes
from data_tools.readers.image_files import first_there
from data_tools.records import Finding, Phrase, Record, Source, Tally

REGIONS, IMAGES = "region_descriptions.json", "image_data.json"
FOLDERS = ("VG_100K", "VG_100K_2", "")


class Regions(msgspec.Struct, frozen=True):
    """An entry of region_descriptions.json; values are judged later."""

    id: Any = None
    regions: Any = None


class ImageData(msgspec.Struct, frozen=True):
    """An entry of image_data.json."""

    image_id: Any = None
    url: Any = None
    width: Any = None
    height: Any = None


def open_visual_genome(source: Path, images: Path | None, options: Mapping[str, str]) -> list[Source]:
    """The reader behind `--format visual_genome`: region_descriptions.json, or its folder. Raises InputError."""
    path = source / REGIONS if source.is_dir() else source
    contents = {path: read_bytes(path)}
    beside = path.parent / IMAGES
    if beside.is_file():
        contents[beside] = read_bytes(beside)
    entries = load_entries(contents[path], Regions, path)
    known = load_entries(contents[beside], ImageData, beside) if beside in contents else []
    findings: list[Finding] = []
    root = images or path.parent
    records = list(
        _records(entries, {e.image_id: e for e in known if e and is_id(e.image_id)}, root, path.name, findings)
    )
    return [
        Source(
            records=records,
            tally=Tally.of(findings),
            image_root=root,
            inputs={str(file): hashlib.sha256(content).hexdigest() for file, content in contents.items()},
            classes=frozenset(),
            absence="none",
        )
    ]


def _records(
    entries: Sequence[Regions | None],
    known: Mapping[Any, ImageData],
    root: Path,
    file: str,
    findings: list[Finding],
) -> Iterator[Record]:
    for index, entry in enumerate(entries):
        place = f"{file}: [{index}]"
        if entry is None or not isinstance(entry.regions, list):
            findings.append(Finding("malformed_image", place))
            continue
        regions = [region if isinstance(region, dict) else {} for region in entry.regions]
        number = entry.id if entry.id is not None else next((region.get("image_id") for region in regions), None)
        data = known.get(number) if is_id(number) else None
        name = _name(number, data, root)
        if name is None:
            findings.append(Finding("bad_file_name", place, repr(number)))
            findings += [Finding("image_refused", place, str(region.get("phrase"))) for region in regions]
            continue
        phrases = [_phrase(region, f"{place}.regions[{nth}]", findings) for nth, region in enumerate(regions)]
        yield Record(
            name=name,
            size_wh=stated_size(data.width, data.height) if data else None,
            phrases=tuple(phrase for phrase in phrases if phrase is not None),
            place=f"{file}: image {number}",
        )


def _name(number: object, data: ImageData | None, root: Path) -> str | None:
    """The image's path: the folder and file that its url ends with, or the first that is there of the two folders."""
    if data is not None and isinstance(data.url, str):
        stated = clean_name(str(PurePosixPath(*PurePosixPath(data.url).parts[-2:])))
        if stated is not None:
            return first_there(root, [stated, PurePosixPath(stated).name])
    plain = clean_name(f"{number}.jpg") if is_id(number) else None
    return None if plain is None else first_there(root, [str(PurePosixPath(folder) / plain) for folder in FOLDERS])


def _phrase(region: Mapping[str, Any], place: str, findings: list[Finding]) -> Phrase | None:
    """The phrase of a region, or None and a finding."""
    text = text_of(region.get("phrase"))
    numbers = four_numbers([region.get(key) for key in ("x", "y", "width", "height")])
    if text is None:
        findings.append(Finding("empty_phrase", place, repr(region.get("phrase"))))
        return None
    fault: str | None = "malformed_box"
    if numbers is not None:
        x, y, width, height = numbers
        xyxy = (x, y, x + width, y + height)
        fault = box_fault(xyxy)
        if fault is None:
            return Phrase(text=text, boxes_px=(xyxy,), place=place)
    findings += [Finding(fault or "malformed_box", place, text), Finding("phrase_incomplete", place, text)]
    return None
