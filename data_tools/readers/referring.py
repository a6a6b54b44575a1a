"""Referring expressions -> records with phrases: the COCO-style JSON of MDETR for RefCOCO, RefCOCO+ and RefCOCOg.

Each entry of `images` is one caption; the same picture stands there once for each (mdetr, scripts/fine-tuning/
refexp_coco_format.py). In the referring sets the whole caption means the one annotated object. In the other sets of
that form (flickr, mixed) an annotation's `tokens_positive` are the spans of the caption that mean its box, and boxes of
the same spans belong together. Knows no prompt; nothing is said to be absent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from data_tools.entries import box_fault, class_name, clean_name, four_numbers, is_id, stated_size, text_of
from data_tools.readers.documents import NOT_STRICT, convert_entries, load_patiently, read_bytes
from data_tools.readers.image_files import guess_image_root
from data_tools.records import XYXY, Finding, Phrase, Record, Source, Tally
from grounding.errors import InputError

WHOLE = ("refcoco", "refclef", "gref", "clevr")  # how the names of sets begin whose caption as a whole means its boxes
NO_CLASS = "object"  # the one category of the sets that have none
SPLITS = (("train", "train"), ("minival", "val"), ("val", "val"), ("test", "test"))


class Caption(msgspec.Struct, frozen=True):
    """An entry of `images`; values are judged later."""

    id: Any = None
    file_name: Any = None
    width: Any = None
    height: Any = None
    caption: Any = None
    dataset_name: Any = None


class Referent(msgspec.Struct, frozen=True):
    """An entry of `annotations`."""

    image_id: Any = None
    category_id: Any = None
    bbox: Any = None
    tokens_positive: Any = None


class Category(msgspec.Struct, frozen=True):
    """An entry of `categories`."""

    id: Any = None
    name: Any = None


class Document(msgspec.Struct, frozen=True):
    """The file; None stands for an entry that is no JSON object."""

    images: list[Caption | None]
    annotations: list[Referent | None]
    categories: list[Category | None] = []


def open_referring(source: Path, images: Path | None, options: Mapping[str, str]) -> list[Source]:
    """The reader behind `--format referring`: a JSON file, or a folder with such files. Raises InputError."""
    files = [source] if source.is_file() else sorted(source.glob("finetune_*.json"))
    if not files:
        raise InputError("a JSON file is needed, or a folder with finetune_*.json files", where=str(source))
    return [_open_file(path, images) for path in files]


def _open_file(path: Path, images: Path | None) -> Source:
    content = read_bytes(path)
    findings: list[Finding] = []
    word = path.stem.split("_")[-1]
    split = next((split for start, split in SPLITS if word.startswith(start)), None)
    records = list(_records(_decode(content, path), path.name, findings))
    return Source(
        records=records,
        tally=Tally.of(findings),
        image_root=images or guess_image_root(path, [record.name for record in records]),
        inputs={str(path): hashlib.sha256(content).hexdigest()},
        classes=frozenset(),
        absence="none",
        split=split,
        taken={} if split is None else {"split": _say_split(word, split)},
    )


def _say_split(word: str, split: str) -> str:
    """What is done with the split that a file's name ends with: testA and testB are two, and become one."""
    said = f"{split}, by the name of the file (..._{word})"
    apart = f"; to measure it by itself, convert it alone: grounding convert {split}=FILE --out DIR"
    return said + (apart if word != split else "")


def _decode(content: bytes, path: Path) -> Document:
    try:
        return msgspec.json.decode(content, type=Document)
    except NOT_STRICT:
        document = load_patiently(content, path)
    lists = [document.get(key) if isinstance(document, dict) else None for key in ("images", "annotations")]
    if not isinstance(document, dict) or not all(isinstance(entries, list) for entries in lists):
        raise InputError("the lists images and annotations are needed", where=str(path))
    categories = document.get("categories")
    return Document(
        convert_entries(document["images"], Caption),
        convert_entries(document["annotations"], Referent),
        convert_entries(categories if isinstance(categories, list) else [], Category),
    )


def _records(document: Document, file: str, findings: list[Finding]) -> Iterator[Record]:
    """One record for each picture, with the phrases of all of its captions in the order of the file."""
    referents: dict[Any, list[tuple[str, Referent]]] = {}
    for index, referent in enumerate(document.annotations):
        place = f"{file}: annotations[{index}]"
        if referent is None or not is_id(referent.image_id):
            findings.append(Finding("malformed_annotation", place))
        else:
            referents.setdefault(referent.image_id, []).append((place, referent))
    classes = {
        entry.id: name
        for entry in document.categories
        if entry and is_id(entry.id) and (name := class_name(entry.name))
    }
    pictures: dict[str, list[tuple[str, Caption]]] = {}
    for index, caption in enumerate(document.images):
        place = f"{file}: images[{index}]"
        if caption is None or not is_id(caption.id):
            findings.append(Finding("malformed_image", place))
            continue
        name = clean_name(caption.file_name)
        if name is None:
            findings.append(Finding("bad_file_name", place, repr(caption.file_name)))
            fallen = referents.pop(caption.id, [])
            findings += [Finding("image_refused", at) for at, _ in fallen]
        else:
            pictures.setdefault(name, []).append((place, caption))
    for name, captions in pictures.items():
        phrases = tuple(
            phrase
            for place, caption in captions
            for phrase in _phrases(caption, referents.pop(caption.id, []), classes, place, findings)
        )
        sizes = [stated_size(caption.width, caption.height) for _, caption in captions]
        yield Record(name=name, size_wh=next(filter(None, sizes), None), phrases=phrases, place=captions[0][0])
    findings += [Finding("unknown_image", at) for left in referents.values() for at, _ in left]


def _phrases(
    caption: Caption,
    referents: Sequence[tuple[str, Referent]],
    classes: Mapping[Any, str],
    place: str,
    findings: list[Finding],
) -> Iterator[Phrase]:
    """The phrases of a caption, each with all of its boxes."""
    text = text_of(caption.caption)
    if text is None or not isinstance(caption.caption, str):
        findings.append(Finding("empty_phrase", place, repr(caption.caption)))
        return
    if not referents:
        findings.append(Finding("phrase_without_box", place, text))
    whole = str(caption.dataset_name or "").startswith(WHOLE)
    groups: dict[str | None, list[tuple[str, Referent]]] = {}
    for at, referent in referents:
        words = (
            text if whole or referent.tokens_positive is None else _spanned(caption.caption, referent.tokens_positive)
        )
        groups.setdefault(words, []).append((at, referent))
    for words, members in groups.items():
        if words is None:
            findings += [Finding("empty_phrase", at, text) for at, _ in members]
            continue
        boxes = [_corners(at, referent, words, findings) for at, referent in members]
        sound = tuple(box for box in boxes if box is not None)
        if len(sound) < len(boxes):
            findings.append(Finding("phrase_incomplete", place, words))
            continue
        named = {classes.get(each.category_id) if is_id(each.category_id) else None for _, each in members}
        category = named.pop() if len(named) == 1 else None
        yield Phrase(
            text=words, boxes_px=sound, place=members[0][0], category=None if category == NO_CLASS else category
        )


def _spanned(caption: str, spans: object) -> str | None:
    """The parts of a caption that the spans [[start, end], ...] point to, joined by a space; None where they fail."""
    if not isinstance(spans, list):
        return None
    parts = []
    for span in spans:
        if not isinstance(span, list) or len(span) != 2 or not all(type(end) is int for end in span):
            return None
        start, end = span
        if not 0 <= start < end <= len(caption):
            return None
        parts.append(caption[start:end].strip())
    return text_of(" ".join(parts))


def _corners(place: str, referent: Referent, words: str, findings: list[Finding]) -> XYXY | None:
    """xyxy_px of a referent's [x, y, width, height], or None and a finding."""
    numbers = four_numbers(referent.bbox)
    fault: str | None = "missing_box" if referent.bbox is None else "malformed_box"
    xyxy = None
    if numbers is not None:
        x, y, width, height = numbers
        xyxy = (x, y, x + width, y + height)
        fault = box_fault(xyxy)
    if fault is not None:
        findings.append(Finding(fault, place, f"{words}, bbox {referent.bbox!r}"))
        return None
    return xyxy
