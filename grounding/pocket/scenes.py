"""Draws scenes of coloured shapes and writes them as a COCO file or a Pascal VOC folder, with exact boxes.

Knows nothing of prompts, grids or models: it stands for the annotation tool that a user comes from.

    python -m grounding.pocket.scenes runs/scenes/coco --format coco --scenes 400 --seed 0
"""

from __future__ import annotations

import json
import random
import xml.etree.ElementTree as ElementTree  # writes only; what is read from outside goes through defusedxml
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click
from PIL import Image, ImageDraw

COLOURS = {"red": (214, 45, 40), "green": (44, 160, 60), "blue": (40, 80, 220), "yellow": (235, 200, 30)}
SHAPES = ("circle", "square", "triangle")
CATEGORIES = tuple(sorted(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES))
SUPERSAMPLING = 4  # drawn this many times larger, then shrunk: smooth edges


class Drawn(NamedTuple):
    """One object of a scene: its class and its tight box in pixels (integers, x1 and y1 exclusive)."""

    category: str
    xyxy_px: tuple[int, int, int, int]


class Scene(NamedTuple):
    """A picture and everything that is in it."""

    image: Image.Image
    objects: tuple[Drawn, ...]


def draw_scene(rng: random.Random, *, size_wh: tuple[int, int], objects: tuple[int, int] = (1, 3)) -> Scene:
    """One scene of `objects` (fewest, most) shapes that do not overlap, on a plain light background.

    A shape that finds no free place after a number of tries is left out of the picture and of the truth alike.
    """
    width, height = size_wh
    background = tuple(rng.randint(215, 250) for _ in range(3))
    canvas = Image.new("RGB", (width * SUPERSAMPLING, height * SUPERSAMPLING), background)
    pen = ImageDraw.Draw(canvas)
    drawn: list[Drawn] = []
    for _ in range(rng.randint(*objects)):
        place = _free_place(rng, size_wh, drawn)
        if place is None:
            break
        category = rng.choice(CATEGORIES)
        _draw_shape(pen, category, place)
        drawn.append(Drawn(category, place))
    return Scene(canvas.resize((width, height), Image.Resampling.BOX), tuple(drawn))


def draw_scenes(
    count: int, *, seed: int, size_wh: tuple[int, int] = (112, 112), objects: tuple[int, int] = (1, 3)
) -> list[Scene]:
    """`count` scenes, each a function of (seed, its number) alone: more scenes do not change the first ones."""
    return [draw_scene(random.Random(f"{seed}/{index}"), size_wh=size_wh, objects=objects) for index in range(count)]


def write_coco(folder: Path, scenes: Sequence[Scene]) -> Path:
    """Writes `folder/images/*.png` and `folder/instances.json`; returns the path of the JSON file."""
    ids = {category: number for number, category in enumerate(CATEGORIES, start=1)}
    names = _save_images(folder / "images", scenes)
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


def write_voc(folder: Path, scenes: Sequence[Scene], *, val_share: float = 0.2) -> Path:
    """Writes a Pascal VOC folder (JPEGImages, Annotations, ImageSets/Main) with 1-based corners; returns the folder."""
    names = _save_images(folder / "JPEGImages", scenes)
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


def _free_place(
    rng: random.Random, size_wh: tuple[int, int], drawn: Sequence[Drawn]
) -> tuple[int, int, int, int] | None:
    """A box that touches none of those drawn already, or None after 50 tries."""
    width, height = size_wh
    shorter = min(size_wh)
    for _ in range(50):
        side = rng.randint(max(8, shorter // 5), max(9, shorter // 2))
        x0, y0 = rng.randint(1, width - side - 1), rng.randint(1, height - side - 1)
        place = (x0, y0, x0 + side, y0 + side)
        if not any(_touch(place, other.xyxy_px) for other in drawn):
            return place
    return None


def _touch(a: tuple[int, int, int, int], b: tuple[int, int, int, int], margin: int = 2) -> bool:
    """Whether two boxes come nearer than `margin` pixels to each other."""
    return a[0] < b[2] + margin and b[0] < a[2] + margin and a[1] < b[3] + margin and b[1] < a[3] + margin


def _draw_shape(pen: ImageDraw.ImageDraw, category: str, xyxy_px: tuple[int, int, int, int]) -> None:
    """Fills the shape so that it touches all four sides of its box."""
    colour, shape = category.split(" ")
    x0, y0, x1, y1 = (SUPERSAMPLING * edge for edge in xyxy_px)
    inside = (x0, y0, x1 - 1, y1 - 1)  # Pillow's corners are inclusive
    if shape == "circle":
        pen.ellipse(inside, fill=COLOURS[colour])
    elif shape == "square":
        pen.rectangle(inside, fill=COLOURS[colour])
    else:
        pen.polygon([((x0 + x1) // 2, y0), (x1 - 1, y1 - 1), (x0, y1 - 1)], fill=COLOURS[colour])


def _save_images(folder: Path, scenes: Sequence[Scene]) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"scene_{index:05d}.png" for index in range(len(scenes))]
    for name, scene in zip(names, scenes, strict=True):
        scene.image.save(folder / name)
    return names


def _xywh(xyxy_px: tuple[int, int, int, int]) -> list[int]:
    x0, y0, x1, y1 = xyxy_px
    return [x0, y0, x1 - x0, y1 - y0]


def _area(xyxy_px: tuple[int, int, int, int]) -> int:
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
