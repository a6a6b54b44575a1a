"""ODVG JSON Lines -> records: the form that Open-GroundingDino and MMDetection train from. Knows no prompt.

A line is an image with `detection` (instances with bbox and class), or `grounding` (a caption, and regions with phrase
and bbox), or both; boxes are corners in pixels, and a region may have several. Classes are the instances' `category`,
else the number `label` in a label_map.json beside the file. Where every line is a detection, classes that are not
annotated are absent; where any is not, nothing is known to be.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from data_tools.entries import box_fault, class_name, clean_name, four_numbers, stated_size, text_of
from data_tools.readers.documents import lines_of, load_patiently, read_bytes
from data_tools.readers.image_files import guess_image_root
from data_tools.records import XYXY, Annotation, Finding, Phrase, Record, Source, Tally


class Line(msgspec.Struct, frozen=True):
    """One line; values are judged later."""

    filename: Any = None
    width: Any = None
    height: Any = None
    detection: Any = None
    grounding: Any = None


def open_odvg(source: Path, images: Path | None, options: Mapping[str, str]) -> list[Source]:
    """The reader behind `--format odvg`: a JSON Lines file. Raises InputError where it cannot be read."""
    contents = {source: read_bytes(source)}
    labels: dict[str, str] = {}
    for path in sorted(source.parent.glob("*label_map*.json")):
        contents[path] = read_bytes(path)
        found = load_patiently(contents[path], path)
        labels |= {key: name for key, value in _dict(found).items() if (name := class_name(value))}
    findings: list[Finding] = []
    lines = list(lines_of(contents[source], Line))
    records = list(_records(lines, labels, source.name, findings))
    grounded = any(line is None or line.grounding is not None for _, line in lines)
    drawn = {annotation.category for record in records for annotation in record.annotations}
    return [
        Source(
            records=records,
            tally=Tally.of(findings),
            image_root=images or guess_image_root(source, [record.name for record in records]),
            inputs={str(path): hashlib.sha256(content).hexdigest() for path, content in contents.items()},
            classes=frozenset(drawn.union(labels.values())),
            absence="none" if grounded else "exhaustive",
        )
    ]


def _records(
    lines: list[tuple[int, Line | None]], labels: Mapping[str, str], file: str, findings: list[Finding]
) -> Iterator[Record]:
    for number, line in lines:
        place = f"{file}:{number}"
        name = clean_name(line.filename) if line is not None else None
        if line is None or name is None:
            reason = "malformed_line" if line is None or text_of(line.filename) is None else "bad_file_name"
            findings.append(Finding(reason, place, "" if line is None else repr(line.filename)))
            continue
        instances = _list(_dict(line.detection).get("instances"))
        annotations: list[Annotation] = []
        refused: set[str] = set()
        doubtful = False
        for index, instance in enumerate(instances):
            at = f"{place}: instances[{index}]"
            category = class_name(_dict(instance).get("category")) or labels.get(str(_dict(instance).get("label")))
            if category is None:
                findings.append(Finding("unknown_category", at, f"label {_dict(instance).get('label')!r}"))
                doubtful = True
                continue
            box, fault = _corners(_dict(instance).get("bbox"))
            if box is None:
                findings.append(Finding(fault, at, category))
                refused.add(category)
            else:
                annotations.append(Annotation(xyxy_px=box, category=category, place=at))
        yield Record(
            name=name,
            size_wh=stated_size(line.width, line.height),
            annotations=tuple(annotations),
            phrases=tuple(_phrases(_list(_dict(line.grounding).get("regions")), place, findings)),
            place=place,
            refused=frozenset(refused),
            doubtful=doubtful,
        )


def _phrases(regions: list[Any], place: str, findings: list[Finding]) -> Iterator[Phrase]:
    """The phrases of a caption, each with all of its boxes: regions of the same words are put together.

    `tokens_positive` tells two mentions of the same words apart.
    """
    groups: dict[tuple[str, str], list[tuple[str, object]]] = {}
    for index, region in enumerate(regions):
        at = f"{place}: regions[{index}]"
        words = text_of(_dict(region).get("phrase"))
        if words is None:
            findings.append(Finding("empty_phrase", at, repr(_dict(region).get("phrase"))))
            continue
        bbox = _dict(region).get("bbox")
        stated = bbox if isinstance(bbox, list) and bbox and isinstance(bbox[0], list) else [bbox]
        mention = json.dumps(_dict(region).get("tokens_positive"))
        groups.setdefault((words, mention), []).extend((at, box) for box in stated)
    for (words, _), members in groups.items():
        boxes = []
        for at, bbox in members:
            box, fault = _corners(bbox)
            if box is None:
                findings.append(Finding(fault, at, words))
            else:
                boxes.append(box)
        if len(boxes) < len(members):
            findings.append(Finding("phrase_incomplete", members[0][0], words))
        else:
            yield Phrase(text=words, boxes_px=tuple(boxes), place=members[0][0])


def _corners(bbox: object) -> tuple[XYXY | None, str]:
    """(xyxy_px, "") or (None, reason to refuse it)."""
    box = four_numbers(bbox)
    if box is None:
        return None, "missing_box" if bbox is None else "malformed_box"
    fault = box_fault(box)
    return (None, fault) if fault else (box, "")


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
