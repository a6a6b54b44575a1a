"""Anything that datumaro imports (CVAT, DOTA, LabelMe's XML, ...) -> records and a tally: `--format datumaro:NAME`.

Needs the optional extra `grounding[datumaro]`. A box is datumaro's own extent of a bbox, a rotated bbox, a polygon, a
mask or an ellipse; every other kind of annotation has none, and is refused with its class. Knows none of the formats.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from data_tools.entries import box_fault, class_name, clean_name, four_numbers, stated_size
from data_tools.records import XYXY, Absence, Annotation, Finding, Ignore, Record, Source, Tally
from grounding.errors import InputError

WITH_BOX = ("bbox", "rotated_bbox", "polygon", "mask", "ellipse")
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test", "trainval": "trainval"}
IGNORED: tuple[tuple[str, Ignore], ...] = (("is_crowd", "crowd"), ("difficult", "difficult"))
NOT_EXHAUSTIVE = ("open_images",)  # whose annotators did not look for every class in every image


def open_datumaro(source: Path, images: Path | None, options: Mapping[str, str], *, form: str) -> list[Source]:
    """The reader behind `--format datumaro:FORM`. Raises InputError where datumaro is missing, or cannot read it."""
    try:
        from datumaro.components.dataset import Dataset
        from datumaro.components.errors import DatumaroError
    except ImportError as error:
        raise InputError(
            f"datumaro cannot be imported: {error}",
            where=f"--format datumaro:{form}",
            fix="Install it: pip install 'grounding[datumaro]'",
        ) from error
    if not source.exists():
        raise InputError("no such file or folder", where=str(source))
    root = (images or (source if source.is_dir() else source.parent)).resolve()
    findings: list[Finding] = []
    try:
        dataset = Dataset.import_from(str(source), form)
        names = _names(dataset.categories())
        records = list(_records(dataset, names, root, findings))
    except (DatumaroError, OSError, ValueError, KeyError, TypeError, AttributeError, SyntaxError) as error:
        problem = f"datumaro cannot read this as {form!r}: {type(error).__name__}: {error}"
        raise InputError(problem, where=str(source), fix="`datum --help` lists its formats.") from error
    absence: Absence = "none" if form in NOT_EXHAUSTIVE else "exhaustive"
    return [
        Source(
            records=records,
            tally=Tally.of(findings),
            image_root=root,
            inputs={str(source): _digest(source)},
            classes=frozenset(name for name in names if name is not None),
            absence=absence,
        )
    ]


def _names(categories: Mapping[Any, Any]) -> list[str | None]:
    """Class names by label number; None for one that says nothing."""
    labels = next((found for kind, found in categories.items() if kind.name == "label"), None)
    return [class_name(item.name) for item in labels.items] if labels is not None else []


def _records(dataset: Any, names: list[str | None], root: Path, findings: list[Finding]) -> Iterator[Record]:
    for item in dataset:
        place = f"{item.subset}/{item.id}"
        path = getattr(item.media, "path", None)
        name = _name(path, root)
        if name is None:
            findings.append(
                Finding("bad_file_name" if path else "missing_image", place, f"{path!r} is not below {root}")
            )
            findings += [Finding("image_refused", place, annotation.type.name) for annotation in item.annotations]
            continue
        kept: list[Annotation] = []
        refused: set[str] = set()
        doubtful = False
        for index, annotation in enumerate(item.annotations):
            at = f"{place}: {annotation.type.name} {index}"
            label = getattr(annotation, "label", None)
            category = names[label] if isinstance(label, int) and 0 <= label < len(names) else None
            box, fault = _corners(annotation)
            if category is None:
                findings.append(Finding("unknown_category", at, f"label {label!r}"))
                doubtful = True
            elif box is None:
                findings.append(Finding(fault, at, category))
                refused.add(category)
            else:
                ignore = next((kind for key, kind in IGNORED if annotation.attributes.get(key)), None)
                findings += [Finding(ignore, at, category)] if ignore else []
                kept.append(Annotation(xyxy_px=box, category=category, place=at, ignore=ignore))
        yield Record(
            name=name,
            size_wh=stated_size(*reversed(item.media.size)) if item.media.has_size else None,
            annotations=tuple(kept),
            place=place,
            refused=frozenset(refused),
            doubtful=doubtful,
            split=SPLITS.get(item.subset),
        )


def _name(path: object, root: Path) -> str | None:
    """The path of an image below the root, or None."""
    if not isinstance(path, str) or not path:
        return None
    whole = Path(path).absolute()
    return clean_name(whole.relative_to(root).as_posix()) if whole.is_relative_to(root) else None


def _corners(annotation: Any) -> tuple[XYXY | None, str]:
    """(xyxy_px, "") or (None, reason to refuse it)."""
    if annotation.type.name not in WITH_BOX:
        return None, "missing_box"
    numbers = four_numbers([float(number) for number in annotation.get_bbox()])
    if numbers is None:
        return None, "malformed_box"
    x, y, width, height = numbers
    xyxy = (x, y, x + width, y + height)
    fault = box_fault(xyxy)
    return (None, fault) if fault else (xyxy, "")


def _digest(source: Path) -> str:
    """A hash of the names and sizes of all files: which of them datumaro reads is not known here."""
    files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
    listed = "".join(f"{path.relative_to(source.parent).as_posix()}\0{path.stat().st_size}\0" for path in files)
    return hashlib.sha256(listed.encode("utf-8", "surrogateescape")).hexdigest()
