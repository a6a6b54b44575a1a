"""What converting a plain COCO file costs at the least, and what it costs by pycocotools and a loop.

The floor reads the file whole, or in slices, with less memory. All write the very lines that `grounding convert
--negatives 0 --lang en --no-check-images` writes for a file in which nothing is wrong: boxes inside their images, an id
for each entry, no two images of one name. They judge nothing, count nothing and write no manifest. Knows the wordings
and the rule of the splits, nothing else of `data_tools`.

    python -m benchmarks.converting_floor floor FILE.json OUT
    python -m benchmarks.converting_floor slices FILE.json OUT
    python -m benchmarks.converting_floor pycocotools FILE.json OUT
"""

from __future__ import annotations

import gc
import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from grounding.text import load_wordings, not_found_clauses

NOT_FOUND = "No matching object was found."
ENDS = [end for clause in not_found_clauses("en") for end in (clause.replace("{not_found}", NOT_FOUND), "")]
WAYS = list(product(load_wordings("phrase_to_boxes", "en"), ENDS))
SPLITS = ("train", "val", "test")
SLICE = 16 << 20  # bytes
TOGETHER = 16_384  # classes of images that are written together, where memory is to be spared


class Image(msgspec.Struct, gc=False):
    """An entry of `images`."""

    id: int
    file_name: str
    width: int
    height: int


class Box(msgspec.Struct, gc=False):
    """An entry of `annotations`; its polygon is skipped."""

    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    iscrowd: int


class Category(msgspec.Struct, gc=False):
    """An entry of `categories`."""

    id: int
    name: str


class Document(msgspec.Struct, gc=False):
    """The file."""

    images: list[Image]
    annotations: list[Box]
    categories: list[Category]


class First(msgspec.Struct, gc=False):
    """The file before its annotations."""

    images: list[Image]


class Last(msgspec.Struct, gc=False):
    """The file behind its annotations."""

    categories: list[Category]


class Line(msgspec.Struct, gc=False):
    """A line of the dataset."""

    id: str
    image: str
    width: int
    height: int
    prompt: str
    label: str
    phrase: str
    category: str
    boxes: list[list[float]]
    categories: None
    ignore: list[list[float]]
    task: str
    lang: str


def split_of(image: str) -> str:
    """Train, val or test at 0.8, 0.1, 0.1 with seed 0."""
    place = int.from_bytes(hashlib.sha256(f"0\0{image}".encode()).digest()[:8], "big") / 2**64 * (0.8 + 0.1 + 0.1)
    return "train" if place < 0.8 else "val" if place < 0.8 + 0.1 else "test"


def ask(image: str, phrase: str) -> tuple[str, str]:
    """(prompt, answer around its boxes): a function of the image and the phrase."""
    drawn = int.from_bytes(hashlib.sha256(f"0|{image}|{phrase}".encode()).digest(), "big")
    return filled(drawn % len(WAYS), phrase)


@cache
def filled(way: int, phrase: str) -> tuple[str, str]:
    """(prompt, answer around its boxes) in one of the ways."""
    wording, clause = WAYS[way]
    return wording.prompt.replace("{phrase}", phrase) + clause, wording.answer.replace("{phrase}", phrase)


NUMBERS, LAST_NUMBERS = (np.array([f"{cell:03d}{mark}" for cell in range(1000)], dtype="S4") for mark in ",;")


def labels_of(cells: NDArray[np.int64], starts: NDArray[np.int64]) -> list[str]:
    """The text of each run of boxes; cells int64[N, 4] in the order of writing."""
    numbers = NUMBERS[cells]
    numbers[:, 3] = LAST_NUMBERS[cells[:, 3]]
    text = numbers.tobytes().decode("ascii")
    ends = np.append(starts[1:], len(cells))
    return [f"[[{text[16 * a : 16 * b - 1]}]]" for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]


Columns = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
"""Of each box the number of its image, that of its class, whether it is a crowd, and x, y, width, height."""


class Known(NamedTuple):
    """Images by name and classes by name, and the number of each by its id."""

    images: list[Image]
    classes: list[str]
    place: dict[int, int]
    order: dict[int, int]


def known(images: Sequence[Image], categories: Sequence[Category]) -> Known:
    """What boxes speak of."""
    names = {category.id: category.name for category in categories}
    by_name = sorted(images, key=lambda image: image.file_name)
    place = {image.id: number for number, image in enumerate(by_name)}
    order = {number: rank for rank, number in enumerate(sorted(names, key=names.__getitem__))}
    return Known(by_name, sorted(names.values()), place, order)


def columns(entries: Sequence[Box], about: Known) -> Columns:
    """The boxes in numbers."""
    image = np.fromiter((about.place[entry.image_id] for entry in entries), np.int64, len(entries))
    rank = np.fromiter((about.order[entry.category_id] for entry in entries), np.int64, len(entries))
    crowd = np.fromiter((entry.iscrowd for entry in entries), np.int64, len(entries))
    flat = (number for entry in entries for number in entry.bbox)
    return image, rank, crowd, np.fromiter(flat, np.float64, 4 * len(entries)).reshape(-1, 4)


def floor(path: Path, out: Path) -> None:
    """Typed decoding that skips what is not needed, numpy for all boxes at once, one write for each file."""
    gc.disable()
    document = msgspec.json.decode(path.read_bytes(), type=Document)
    about = known(document.images, document.categories)
    write(about, columns(document.annotations, about), out)


def floor_in_slices(path: Path, out: Path) -> None:
    """The same, the annotations read a slice after the other; lists and marks stand as the generator writes them."""
    gc.disable()
    with path.open("rb") as file:
        file.seek(-SLICE, os.SEEK_END)
        categories = msgspec.json.decode(b"{" + file.read().rpartition(b"], ")[2], type=Last).categories
        file.seek(0)
        head, _, rest = read_until(file, b', "annotations": [')
        about = known(msgspec.json.decode(head + b"}", type=First).images, categories)
        parts = []
        while content := file.read(SLICE):
            text = rest + content
            cut = text.rfind(b"}, {") if len(content) == SLICE else text.rfind(b'], "categories"') - 1
            parts.append(columns(msgspec.json.decode(b"[" + text[: cut + 1] + b"]", type=list[Box]), about))
            rest = text[cut + 3 :]
    image, rank, crowd, xywh = map(np.concatenate, zip(*parts, strict=True))
    del parts
    write(about, (image, rank, crowd, xywh), out, TOGETHER)


def read_until(file: BinaryIO, mark: bytes) -> tuple[bytes, bytes, bytes]:
    """The text before a mark, the mark, and what was read behind it."""
    text = b""
    while mark not in text:
        text += file.read(SLICE)
    return text.partition(mark)


def write(about: Known, boxes: Columns, out: Path, together: int | None = None) -> None:
    """The lines of all splits; so many classes of images at a time, where all at once would take more memory."""
    images, names = about.images, about.order
    image, rank, crowd, xyxy = boxes
    xyxy[:, 2:] += xyxy[:, :2]
    size = np.array([(one.width, one.height) for one in images], dtype=np.float64)[image]
    frame = np.concatenate((size, size), axis=1)
    np.clip(xyxy, 0, frame, out=xyxy)
    cells = np.clip(np.floor(1000 * xyxy / frame + 0.5), 0, 999).astype(np.int64)
    flat_side = cells[:, :2] == cells[:, 2:]
    cells[:, 2:] += flat_side & (cells[:, 2:] < 999)
    cells[:, :2] -= cells[:, :2] == cells[:, 2:]
    key = (image * len(names) + rank) * 2 + crowd
    in_text = cells @ [10**6, 10**9, 1, 10**3]  # by y0, then x0, y1, x1
    by_file, by_text = np.argsort(key, kind="stable"), np.lexsort((in_text, key))
    runs, starts = np.unique(key[by_file], return_index=True)
    ends = np.append(starts[1:], len(key))
    split = [split_of(one.file_name) for one in images]
    lines: dict[str, list[Line]] = {name: [] for name in SPLITS}
    for name in SPLITS:
        (out / f"{name}.jsonl").write_bytes(b"")
    step = together or len(runs)
    for begin in range(0, len(runs), step):
        some = slice(begin, begin + step)
        first, behind = starts[begin], ends[some][-1]
        texts = labels_of(cells[by_text[first:behind]], starts[some] - first)
        corners = xyxy[by_file[first:behind]].tolist()
        places = zip((starts[some] - first).tolist(), (ends[some] - first).tolist(), strict=True)
        add_lines(lines, about, split, runs[some].tolist(), [corners[a:b] for a, b in places], texts)
        for name, held in lines.items():  # the last one may have its crowds in the runs that follow
            kept = held[-1:] if begin + step < len(runs) else []
            with (out / f"{name}.jsonl").open("ab") as file:
                file.write(msgspec.json.Encoder().encode_lines(held[: len(held) - len(kept)]))
            lines[name] = kept


def add_lines(
    lines: dict[str, list[Line]],
    about: Known,
    split: Sequence[str],
    runs: Sequence[int],
    boxes: Sequence[list[list[float]]],
    texts: Sequence[str],
) -> None:
    """A line for each class of an image; the crowds of a class come behind its other boxes."""
    for run, some, text in zip(runs, boxes, texts, strict=True):
        which, is_crowd = divmod(run, 2)
        number, at = divmod(which, len(about.order))
        one, name = about.images[number], about.classes[at]
        own = lines[split[number]]
        if is_crowd:
            if own and (own[-1].image, own[-1].category) == (one.file_name, name):
                own[-1].ignore = some
            continue
        prompt, answer = ask(one.file_name, name)
        label = answer.replace("{boxes}", text)
        own.append(
            Line(
                f"{one.file_name}#{name}", one.file_name, one.width, one.height, prompt, label, name, name,
                some, None, [], "phrase_to_boxes", "en",
            )
        )  # fmt: skip


def by_pycocotools(path: Path, out: Path) -> None:
    """COCO(...) and a loop over images and classes, as such scripts are written."""
    from pycocotools.coco import COCO

    coco = COCO(str(path))
    lines: dict[str, list[bytes]] = {name: [] for name in SPLITS}
    for image in sorted(coco.loadImgs(coco.getImgIds()), key=lambda image: image["file_name"]):
        for line in _lines_of(coco, image):
            lines[split_of(image["file_name"])].append(msgspec.json.encode(line) + b"\n")
    for name, some in lines.items():
        (out / f"{name}.jsonl").write_bytes(b"".join(some))


def _lines_of(coco: object, image: dict[str, object]) -> Iterator[dict[str, object]]:
    name, width, height = str(image["file_name"]), int(str(image["width"])), int(str(image["height"]))
    found: dict[str, list[list[float]]] = {}
    ignored: dict[str, list[list[float]]] = {}
    for entry in coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]])):  # type: ignore[attr-defined]
        x, y, w, h = entry["bbox"]
        box = [max(0.0, x), max(0.0, y), min(float(width), x + w), min(float(height), y + h)]
        category = coco.cats[entry["category_id"]]["name"]  # type: ignore[attr-defined]
        (ignored if entry["iscrowd"] else found).setdefault(category, []).append(box)
    for category, boxes in sorted(found.items()):
        prompt, answer = ask(name, category)
        label = answer.replace("{boxes}", _written(boxes, width, height))
        yield {
            "id": f"{name}#{category}", "image": name, "width": width, "height": height, "prompt": prompt,
            "label": label, "phrase": category, "category": category, "boxes": boxes, "categories": None,
            "ignore": ignored.get(category, []), "task": "phrase_to_boxes", "lang": "en",
        }  # fmt: skip


def _written(boxes: list[list[float]], width: int, height: int) -> str:
    cells = []
    for box in boxes:
        x0, y0, x1, y1 = (
            min(max(int(1000 * value / side + 0.5), 0), 999)
            for value, side in zip(box, (width, height, width, height), strict=True)
        )
        x0, x1 = (x0, x1) if x0 < x1 else (x0, x1 + 1) if x1 < 999 else (x0 - 1, x1)
        y0, y1 = (y0, y1) if y0 < y1 else (y0, y1 + 1) if y1 < 999 else (y0 - 1, y1)
        cells.append((y0, x0, y1, x1))
    return "[[" + ";".join(f"{x0:03d},{y0:03d},{x1:03d},{y1:03d}" for y0, x0, y1, x1 in sorted(cells)) + "]]"


if __name__ == "__main__":
    Path(sys.argv[3]).mkdir(parents=True, exist_ok=True)
    {"floor": floor, "slices": floor_in_slices, "pycocotools": by_pycocotools}[sys.argv[1]](
        Path(sys.argv[2]), Path(sys.argv[3])
    )
