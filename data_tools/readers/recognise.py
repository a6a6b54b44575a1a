"""How each format is told from the others: what a SOURCE must hold for it. Reads no annotation.

A recogniser says in words what it saw, or None. They are made so that one of them speaks for any one file; a folder may
well hold two formats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from data_tools.readers.conversations import SPLITS
from data_tools.readers.look import DOCUMENTS, Look
from data_tools.readers.openimages import find_csv
from data_tools.readers.visual_genome import REGIONS
from data_tools.readers.yolo_yaml import find_data_yaml, label_files
from grounding.errors import InputError
from grounding.samples.conversations import is_cogvlm_folder

Recogniser = Callable[[Look], "str | None"]
COCO_KEYS = {"images", "annotations", "categories"}
LABELME_KEYS = {"shapes", "imagePath"}
LVIS_KEYS = ("neg_category_ids", "not_exhaustive_category_ids")


def coco(look: Look) -> str | None:
    """A document with the lists of COCO instances, whose images carry neither captions nor the keys of LVIS."""
    return _coco_like(look, "images, annotations and categories", lambda image: _kind(image) == "coco")


def lvis(look: Look) -> str | None:
    """The same, with named negatives."""
    return _coco_like(look, f"images with {LVIS_KEYS[0]}", lambda image: _kind(image) == "lvis")


def referring(look: Look) -> str | None:
    """The same, with a caption for each image."""
    return _coco_like(look, "images with a caption each, and annotations", lambda image: _kind(image) == "referring")


def voc(look: Look) -> str | None:
    """A folder with XML files whose root is <annotation>."""
    for folder in ("Annotations", "annotations", "."):
        for path in look.below(f"{folder}/*.xml") or look.below(f"{folder}/*/*.xml"):
            with path.open("rb") as file:
                if b"<annotation" in file.read(4096):
                    return f"{path.relative_to(look.path)} is an <annotation>"
            break
    return None


def yolo(look: Look) -> str | None:
    """A data.yaml with class names, or label files without one, which the reader says what to do about."""
    try:
        path = find_data_yaml(look.path)
    except InputError:
        return None
    if path is not None:
        return f"{path.name} has the names of classes"
    rows = label_files(look.path) if look.is_folder and (look.path / "labels").is_dir() else []
    return f"{rows[0].relative_to(look.path)} has rows of YOLO labels" if rows else None


def labelme(look: Look) -> str | None:
    """A document with shapes and imagePath; in a folder without JSON of its own, one of a folder in it."""
    for each in look.documents or map(Look, look.below("*/*.json")[:DOCUMENTS]):
        if each.document.keys() >= LABELME_KEYS:
            return f"{each.path.name} has shapes and imagePath"
    return None


def openimages(look: Look) -> str | None:
    """CSV files with the columns of Open Images."""
    if not look.is_folder:
        return None
    boxes = find_csv(look.path).boxes
    return f"{boxes[0].relative_to(look.path)} has the columns of Open Images boxes" if boxes else None


def visual_genome(look: Look) -> str | None:
    """A list of images with regions, or a folder with a file of the published name."""
    if look.is_folder:
        return f"there is a {REGIONS}" if look.below(REGIONS) else None
    return "a list whose entries have `regions`" if "regions" in _dict(look.document.get("")) else None


def odvg(look: Look) -> str | None:
    """Lines with a file name and a detection or a grounding."""
    return _lines(look, lambda line: "filename" in line and bool({"detection", "grounding"} & line.keys()),
                  "lines with filename, and detection or grounding")  # fmt: skip


def swift(look: Look) -> str | None:
    """Lines with messages."""
    return _lines(look, lambda line: isinstance(line.get("messages"), list), "lines with messages")


def conversations(look: Look) -> str | None:
    """CogVLM's folders, or lines of this project's own."""
    if look.is_folder and is_cogvlm_folder(look.path) and _has_conversation(look.path):
        return "there are images/ and labels/ with conversations"
    for file in [look, *map(Look, look.below("*.jsonl"))]:
        line = file.lines
        if (file is look or file.path.stem in SPLITS) and (
            "conversations" in line or {"prompt", "label"} <= line.keys()
        ):
            return f"{file.path.name} has lines with conversations, or prompt and label"
    return None


def _coco_like(look: Look, seen: str, fits: Callable[[Mapping[str, Any]], bool]) -> str | None:
    for each in look.documents:
        if each.document.keys() >= COCO_KEYS and fits(_dict(each.document["images"])):
            return f"{each.path.name} has {seen}"
    return None


def _kind(image: Mapping[str, Any]) -> str:
    if "caption" in image:
        return "referring"
    return "lvis" if any(key in image for key in LVIS_KEYS) else "coco"


def _lines(look: Look, fits: Callable[[Mapping[str, Any]], bool], seen: str) -> str | None:
    return f"it has {seen}" if fits(look.lines) else None


def _has_conversation(folder: Path) -> bool:
    path = next(iter(sorted(folder.glob("labels*/**/*.json"))), None)
    return path is not None and "conversations" in Look(path).document


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
