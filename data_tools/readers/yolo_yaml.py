"""The data.yaml of a YOLO folder: class names, and which images are in which split. Knows no label and no image file.

`path`, `train`, `val` and `test` are often written on another machine. A folder is looked for where they say, then
below the folder of the data.yaml; what was taken is told.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import yaml

from data_tools.entries import class_name, clean_name
from data_tools.readers.documents import read_bytes
from data_tools.records import Finding
from grounding.errors import InputError

SPLITS = (("train", "train"), ("val", "val"), ("valid", "val"), ("test", "test"))
PROBED = 20  # label files looked at for the numbers of classes
_ROW = re.compile(r"\s*\d+(?:\s+-?[\d.]+(?:[eE][-+]?\d+)?){4,}\s*")
FIX = "Write `path: .`, `train: images/train`, `val: images/val` and `names: {0: cat, 1: dog}`."


class Part(NamedTuple):
    """One split: folders below the root, and (place, line) of the lists of images that it names."""

    split: str
    folders: tuple[str, ...]
    lines: tuple[tuple[str, str], ...]


class DataYaml(NamedTuple):
    """A data.yaml: `names` by class number, `keypoints` where `kpt_shape` is stated, `findings` about itself."""

    path: Path
    content: bytes
    root: Path
    names: Mapping[str, str]
    keypoints: bool
    parts: tuple[Part, ...]
    told: str
    findings: tuple[Finding, ...]


def find_data_yaml(source: Path) -> Path | None:
    """The file itself, or the one YAML file with `names` in a folder; None where there is none."""
    if source.is_file():
        return source if source.suffix in (".yaml", ".yml") else None
    candidates = [path for pattern in ("*.yaml", "*.yml") for path in sorted(source.glob(pattern))]
    named = [path for path in candidates if isinstance(_load(path), dict) and "names" in _load(path)]
    return named[0] if len(named) == 1 else next((path for path in named if path.stem == "data"), None)


def load_data_yaml(source: Path, images: Path | None) -> DataYaml:
    """The data.yaml behind a SOURCE. `images`, where given, stands in the place of its `path`. Raises InputError."""
    path = find_data_yaml(source)
    if path is None:
        raise InputError(
            "a YOLO folder has one data.yaml with `names`; there is none", where=str(source), fix=_yaml_for(source)
        )
    document = _load(path)
    if not isinstance(document, dict) or not isinstance(document.get("names"), dict | list):
        raise InputError("`names` must list the classes", where=str(path), fix=FIX)
    bases = [images] if images else _bases(path, document)
    found = {split: list(_places(document[key], bases)) for key, split in SPLITS if document.get(key)}
    missing = [f"{split}: {where}" for split, places in found.items() for where, there in places if there is None]
    there = {split: [place for _, place in places if place is not None] for split, places in found.items()}
    if not any(there.values()):
        raise InputError(
            f"no folder or list of images is there: {', '.join(missing) or 'no train, val or test is named'}",
            where=str(path),
            fix=FIX,
        )
    root = _common([place for places in there.values() for place in places])
    parts = tuple(_part(split, places, root) for split, places in there.items() if places)
    told = f"{path}, images below {root}" + (f"; not there: {', '.join(missing)}" if missing else "")
    names = _names(document["names"])
    findings = (
        *(Finding("missing_split", str(path), split) for split in missing),
        *_doubts(names, len(document["names"]), document.get("nc"), str(path)),
    )
    return DataYaml(path, read_bytes(path), root, names, "kpt_shape" in document, parts, told, findings)


def _doubts(names: Mapping[str, str], stated: int, number: object, place: str) -> Iterator[Finding]:
    """Names that stand for several numbers, and an `nc` that is not the number of names stated."""
    numbers: dict[str, list[str]] = {}
    for each, name in names.items():
        numbers.setdefault(name, []).append(each)
    for name, same in numbers.items():
        if len(same) > 1:
            yield Finding("class_name_twice", place, f"{name}: {', '.join(same)}")
    if number is not None and number != stated:
        yield Finding("class_number_differs", place, f"nc: {str(number)[:20]}, {stated} names")


def _yaml_for(source: Path) -> str:
    """What to write: a data.yaml for this folder, with the names of its classes.txt, else with the numbers it uses."""
    folder = source if source.is_dir() else source.parent
    listed = next(
        (path for path in (folder / "classes.txt", folder / "labels" / "classes.txt") if path.is_file()), None
    )
    if listed is not None:
        lines = read_bytes(listed).decode("utf-8", errors="replace").splitlines()
        names = {number: line.strip() for number, line in enumerate(lines) if line.strip()}
        why = f"with the names of {listed.relative_to(folder)}"
    else:
        numbers = {line.split()[0] for path in label_files(folder) for line in _label_lines(path)}
        names = {int(number): f"name of {number}" for number in sorted(numbers, key=len) if number.isdecimal()}
        why = "with the names of the classes, which nothing here tells"
    if not names:
        return FIX
    images = "images" if (folder / "images").is_dir() else "."
    text = yaml.safe_dump(
        {"path": ".", "train": images, "names": dict(sorted(names.items()))}, allow_unicode=True, sort_keys=False
    )
    return f"Save this as {folder / 'data.yaml'}, {why}:\n{text}"


def label_files(folder: Path) -> list[Path]:
    """The first few files of a folder that hold rows of YOLO labels."""
    files = [path for place in ("labels", ".") for path in sorted((folder / place).rglob("*.txt"))[: 4 * PROBED]]
    return [path for path in files if _label_lines(path)][:PROBED]


def _label_lines(path: Path) -> list[str]:
    """The rows of a label file; none where its first line is no number followed by four or more."""
    lines = [line for line in read_bytes(path).decode("utf-8", errors="replace").splitlines() if line.strip()]
    return lines if lines and _ROW.fullmatch(lines[0]) else []


def _load(path: Path) -> Any:
    try:
        return yaml.safe_load(read_bytes(path))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"is not YAML: {error}", where=str(path), fix=FIX) from error


def _names(names: dict[Any, Any] | list[Any]) -> dict[str, str]:
    """Number as written in label files -> class name; a name that says nothing is left out, and so are its objects."""
    pairs = names.items() if isinstance(names, dict) else enumerate(names)
    return {str(number): name for number, value in pairs if (name := class_name(str(value)))}


def _bases(path: Path, document: Mapping[str, Any]) -> list[Path]:
    """Folders that the splits may start from: `path` as it stands, below the file's folder, and that folder itself."""
    stated = document.get("path")
    here = path.parent
    return [here / stated, here] if isinstance(stated, str) else [here]  # an absolute `path` replaces the folder


def _places(value: object, bases: list[Path]) -> Iterator[tuple[str, Path | None]]:
    """(as stated, folder or list found) for the one or several places of a split.

    Exports of Roboflow say ../train/images and mean train/images: leading `..` are taken off last of all.
    """
    for stated in value if isinstance(value, list) else [value]:
        text = str(stated)
        parts = PurePosixPath(text).parts
        inside = PurePosixPath(*(part for part in parts if part != ".."))
        candidates = [base / option for option in dict.fromkeys((PurePosixPath(text), inside)) for base in bases]
        yield text, next((place.resolve() for place in candidates if _exists(place)), None)


def _exists(place: Path) -> bool:
    try:
        return place.exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _common(places: list[Path]) -> Path:
    """The folder below which all images lie: above `images`, so that labels are found beside it."""
    return Path(os.path.commonpath([place.parent if place.is_file() else _above_images(place) for place in places]))


def _above_images(place: Path) -> Path:
    index = max((i for i, part in enumerate(place.parts) if part == "images"), default=len(place.parts))
    return Path(*place.parts[:index])


def _part(split: str, places: list[Path], root: Path) -> Part:
    folders = tuple(place.relative_to(root).as_posix() for place in places if place.is_dir())
    lines = tuple(
        (f"{place.name}:{number}", _line(line.strip(), place, root))
        for place in places
        if place.is_file()
        for number, line in enumerate(read_bytes(place).decode("utf-8", errors="replace").splitlines(), start=1)
        if line.strip()
    )
    return Part(split, folders, lines)


def _line(line: str, list_file: Path, root: Path) -> str:
    """An image named in a list, from the root: names in a list start from the folder of the list."""
    if clean_name(line) is None:
        return line  # judged by the reader
    return (list_file.parent / line).relative_to(root).as_posix()
