"""Small annotation sets for the tests of `data_tools`: COCO documents, VOC files, pictures, records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from data_tools.records import Annotation, Ignore, Record

SIZE = (40, 30)


def image(folder: Path, name: str, size_wh: tuple[int, int] = SIZE, *, orientation: int = 1, colour: int = 0) -> Path:
    """A picture of one colour; another `colour` makes other bytes."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation != 1:
        exif[0x0112] = orientation
    Image.new("RGB", size_wh, (colour % 256, colour // 256, 90)).save(path, exif=exif)
    return path


def coco_image(number: Any, name: Any = None, size_wh: tuple[Any, Any] = SIZE, **more: Any) -> dict[str, Any]:
    return {"id": number, "file_name": name or f"{number}.png", "width": size_wh[0], "height": size_wh[1], **more}


def coco_box(image_id: Any, category_id: Any, bbox: Any, **more: Any) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": category_id, "bbox": bbox, **more}


def coco_file(
    folder: Path,
    images: Sequence[Any],
    annotations: Sequence[Any],
    names: Sequence[str] = ("cat", "dog"),
    *,
    name: str = "instances.json",
    draw: bool = False,
) -> Path:
    """Writes a COCO file with categories 1, 2, ... and, if asked, its pictures beside it, each of another colour."""
    folder.mkdir(parents=True, exist_ok=True)
    if draw:
        for colour, entry in enumerate(images):
            image(folder, entry["file_name"], (entry["width"], entry["height"]), colour=colour)
    categories = [{"id": number, "name": category} for number, category in enumerate(names, start=1)]
    path = folder / name
    path.write_text(
        json.dumps({"images": list(images), "annotations": list(annotations), "categories": categories}),
        encoding="utf-8",
    )
    return path


def voc_object(name: str, *corners: Any, difficult: Any = 0) -> str:
    tags = "".join(
        f"<{tag}>{value}</{tag}>" for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    )
    return f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>{tags}</bndbox></object>"


def voc_xml(objects: Iterable[str], *, filename: str | None = None, size_wh: tuple[Any, Any] | None = SIZE) -> str:
    named = f"<filename>{filename}</filename><path>/home/somebody/elsewhere/x.png</path>" if filename else ""
    size = f"<size><width>{size_wh[0]}</width><height>{size_wh[1]}</height></size>" if size_wh else ""
    return f"<annotation>{named}{size}{''.join(objects)}</annotation>"


def voc_folder(folder: Path, files: dict[str, str], lists: dict[str, Sequence[str]] | None = None) -> Path:
    """A VOC folder with one XML for each stem and a picture of the same name."""
    (folder / "Annotations").mkdir(parents=True, exist_ok=True)
    for colour, (stem, content) in enumerate(files.items()):
        (folder / "Annotations" / f"{stem}.xml").write_text(content, encoding="utf-8")
        image(folder / "JPEGImages", f"{stem}.png", colour=colour)
    for split, stems in (lists or {}).items():
        path = folder / "ImageSets" / "Main" / f"{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{stem}\n" for stem in stems), encoding="utf-8")
    return folder


def box(category: str, *xyxy: float, ignore: Ignore | None = None) -> Annotation:
    x0, y0, x1, y1 = xyxy or (1.0, 1.0, 9.0, 9.0)
    return Annotation(xyxy_px=(x0, y0, x1, y1), category=category, place="here", ignore=ignore)


def record(name: str, *annotations: Annotation, **more: Any) -> Record:
    return Record(**{"name": name, "size_wh": SIZE, "annotations": annotations, "place": name, **more})


def text_file(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def json_file(folder: Path, name: str, document: Any) -> Path:
    """A JSON document; NaN and Infinity are written as Python writes them."""
    return text_file(folder, name, json.dumps(document))


def jsonl_file(folder: Path, name: str, lines: Iterable[Any]) -> Path:
    return text_file(folder, name, "".join(f"{json.dumps(line)}\n" for line in lines))


def csv_file(folder: Path, name: str, rows: Iterable[Sequence[Any]]) -> Path:
    return text_file(folder, name, "".join(",".join(map(str, row)) + "\n" for row in rows))
