"""Draws scenes of coloured shapes and writes them as a COCO file or a Pascal VOC folder, with exact boxes.

Knows nothing of prompts, grids or models: it stands for the annotation tool that a user comes from.

    python -m grounding.pocket.scenes runs/scenes/coco --format coco --scenes 400 --seed 0
"""

from __future__ import annotations

import json
import math
import random
import xml.etree.ElementTree as ElementTree  # writes only; what is read from outside goes through defusedxml
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from grounding.pocket.drawing import (
    TEXTURES,
    Box,
    Colour,
    Outline,
    Pixels,
    background,
    lay_over,
    mask_of,
    regular,
    shade_of,
    star,
    tight_box,
    to_image,
)

COLOURS: dict[str, Colour] = {
    "red": (205, 35, 35),
    "orange": (245, 130, 20),
    "yellow": (240, 215, 30),
    "green": (35, 140, 55),
    "blue": (35, 70, 205),
    "purple": (140, 45, 165),
    "black": (20, 20, 24),
    "white": (248, 248, 248),
}
_HEART: Outline = (
    tuple(
        (
            16 * math.sin(t) ** 3,
            -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)),
        )
        for t in np.linspace(0, 2 * math.pi, 48, endpoint=False).tolist()
    ),
)
_CROSS: Outline = (((1, 0), (2, 0), (2, 1), (3, 1), (3, 2), (2, 2), (2, 3), (1, 3), (1, 2), (0, 2), (0, 1), (1, 1)),)
SHAPES: dict[str, Outline] = {
    "circle": (regular(48),),
    "ring": (regular(48), regular(48, radius=0.55)),
    "square": (regular(4, turn=0.5),),
    "triangle": (regular(3),),
    "diamond": (regular(4),),
    "star": (star(5, inner=0.42),),
    "cross": _CROSS,
    "heart": _HEART,
}
CATEGORIES = tuple(sorted(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES))
LEAST_VISIBLE = 0.8
"""The part of every object that others leave uncovered."""
TWINS = 0.15
"""How often an object is of the class of the one before it."""


class Drawn(NamedTuple):
    """One object of a scene: its class and the tight box of what is seen of it, in pixels (integers, x1 and y1
    exclusive)."""

    category: str
    xyxy_px: Box


class Scene(NamedTuple):
    """A picture and everything that is in it."""

    image: Image.Image
    objects: tuple[Drawn, ...]


def draw_scene(rng: random.Random, *, size_wh: tuple[int, int], objects: tuple[int, int] = (1, 3)) -> Scene:
    """One scene of `objects` (fewest, most) shapes, each in front of those before it, on a muted background.

    A shape for which no place is found where enough of all is seen is left out of the picture and of the truth alike;
    the first is always there.
    """
    picture = background(rng, size_wh)
    categories: list[str] = []
    seen: list[NDArray[np.bool_]] = []
    areas: list[int] = []
    for _ in range(rng.randint(*objects)):
        twin = categories and rng.random() < TWINS
        category = categories[-1] if twin else rng.choice(CATEGORIES)
        colour, shape = category.split(" ")
        mask = _placed(rng, SHAPES[shape], size_wh, seen, areas)
        if mask is None:
            break
        covered = mask >= 0.5
        seen = [*(other & ~covered for other in seen), covered]
        areas.append(int(covered.sum()))
        categories.append(category)
        tones = (np.array(COLOURS[colour], dtype=np.float32), shade_of(COLOURS[colour]))
        picture = lay_over(picture, TEXTURES[rng.choice(list(TEXTURES))](rng, size_wh, tones), mask)
    drawn = tuple(Drawn(category, tight_box(part)) for category, part in zip(categories, seen, strict=True))
    return Scene(to_image(picture), drawn)


def draw_scenes(
    count: int, *, seed: int, size_wh: tuple[int, int] = (112, 112), objects: tuple[int, int] = (1, 3)
) -> list[Scene]:
    """`count` scenes, each a function of (seed, its number) alone: more scenes do not change the first ones."""
    return [draw_scene(random.Random(f"{seed}/{index}"), size_wh=size_wh, objects=objects) for index in range(count)]


def write_coco(
    folder: Path, scenes: Sequence[Scene], *, categories: Sequence[str] = CATEGORIES, suffix: str = ".png"
) -> Path:
    """Writes `folder/images/*` and `folder/instances.json`; returns the path of the JSON file."""
    ids = {category: number for number, category in enumerate(categories, start=1)}
    names = _save_images(folder / "images", scenes, suffix)
    annotations = [
        {
            "image_id": image_id,
            "category_id": ids[drawn.category],
            "bbox": _xywh(drawn.xyxy_px),
            "area": _area(drawn.xyxy_px),
            "iscrowd": 0,
        }
        for image_id, scene in enumerate(scenes, start=1)
        for drawn in scene.objects
    ]
    document = {
        "images": [
            {"id": image_id, "file_name": name, "width": scene.image.width, "height": scene.image.height}
            for image_id, (name, scene) in enumerate(zip(names, scenes, strict=True), start=1)
        ],
        "annotations": [{"id": number, **annotation} for number, annotation in enumerate(annotations, start=1)],
        "categories": [{"id": number, "name": category} for category, number in ids.items()],
    }
    path = folder / "instances.json"
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return path


def write_voc(folder: Path, scenes: Sequence[Scene], *, val_share: float = 0.2, suffix: str = ".png") -> Path:
    """Writes a Pascal VOC folder (JPEGImages, Annotations, ImageSets/Main) with 1-based corners; returns the folder."""
    names = _save_images(folder / "JPEGImages", scenes, suffix)
    (folder / "Annotations").mkdir(parents=True, exist_ok=True)
    for name, scene in zip(names, scenes, strict=True):
        tree = ElementTree.ElementTree(_voc_element(name, scene))
        ElementTree.indent(tree)
        tree.write(folder / "Annotations" / f"{Path(name).stem}.xml", encoding="utf-8")
    lists = folder / "ImageSets" / "Main"
    lists.mkdir(parents=True, exist_ok=True)
    stems = [Path(name).stem for name in names]
    train = len(stems) - round(len(stems) * val_share)
    for split, members in (("train", stems[:train]), ("val", stems[train:])):
        (lists / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in members), encoding="utf-8")
    return folder


def _placed(
    rng: random.Random,
    outline: Outline,
    size_wh: tuple[int, int],
    seen: Sequence[NDArray[np.bool_]],
    areas: Sequence[int],
) -> Pixels | None:
    """The mask of a shape somewhere in the picture, or None where 50 tries cover too much of what is there already.

    Args:
        seen: bool[H, W], what is seen of each object so far.
        areas: how many pixels each of them has in all.
    """
    width, height = size_wh
    shorter = min(size_wh)
    for _ in range(50):
        long = rng.randint(max(8, shorter // 5), max(9, shorter // 2))
        short = max(7, round(long * rng.uniform(0.75, 1)))
        box_wh = (long, short) if rng.random() < 0.5 else (short, long)
        x0, y0 = rng.randint(1, width - box_wh[0] - 1), rng.randint(1, height - box_wh[1] - 1)
        mask = np.zeros((height, width), dtype=np.float32)
        mask[y0 : y0 + box_wh[1], x0 : x0 + box_wh[0]] = mask_of(outline, box_wh)
        left = [int((other & (mask < 0.5)).sum()) for other in seen]
        if all(part >= LEAST_VISIBLE * area for part, area in zip(left, areas, strict=True)):
            return mask
    return None


def _save_images(folder: Path, scenes: Sequence[Scene], suffix: str) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"scene_{index:05d}{suffix}" for index in range(len(scenes))]
    for name, scene in zip(names, scenes, strict=True):
        scene.image.save(folder / name)
    return names


def _xywh(xyxy_px: Box) -> list[int]:
    x0, y0, x1, y1 = xyxy_px
    return [x0, y0, x1 - x0, y1 - y0]


def _area(xyxy_px: Box) -> int:
    _, _, width, height = _xywh(xyxy_px)
    return width * height


def _voc_element(name: str, scene: Scene) -> ElementTree.Element:
    """The XML of one picture. VOC counts pixels from 1 and includes the last: xmin = x0 + 1, xmax = x1."""
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "filename").text = name
    size = ElementTree.SubElement(root, "size")
    for tag, value in (("width", scene.image.width), ("height", scene.image.height), ("depth", 3)):
        ElementTree.SubElement(size, tag).text = str(value)
    for drawn in scene.objects:
        x0, y0, x1, y1 = drawn.xyxy_px
        element = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(element, "name").text = drawn.category
        ElementTree.SubElement(element, "difficult").text = "0"
        box = ElementTree.SubElement(element, "bndbox")
        for tag, value in (("xmin", x0 + 1), ("ymin", y0 + 1), ("xmax", x1), ("ymax", y1)):
            ElementTree.SubElement(box, tag).text = str(value)
    return root


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--format", "form", type=click.Choice(["coco", "voc"]), default="coco", show_default=True)
@click.option("--scenes", "count", type=click.IntRange(1), default=100, show_default=True, help="How many pictures.")
@click.option(
    "--objects", type=(int, int), default=(1, 3), show_default=True, help="Fewest and most shapes in a picture."
)
@click.option("--side", type=click.IntRange(32), default=112, show_default=True, help="Width and height in pixels.")
@click.option("--seed", type=int, default=0, show_default=True)
def command(folder: Path, form: str, count: int, objects: tuple[int, int], side: int, seed: int) -> None:
    """Draw scenes of coloured shapes into FOLDER, annotated as COCO or Pascal VOC."""
    scenes = draw_scenes(count, seed=seed, size_wh=(side, side), objects=objects)
    written = write_coco(folder, scenes) if form == "coco" else write_voc(folder, scenes)
    click.echo(
        f"{written}: {count} scenes, {sum(len(scene.objects) for scene in scenes)} shapes of {len(CATEGORIES)} classes"
    )


if __name__ == "__main__":
    command()
