"""Drawn pictures of small parts on a workbench, with exact boxes, annotated as a shop would: new to pocket.

It stands for a user's own data, usual faults of annotations included (`plant_faults`), so that converting it has
something to say. Knows nothing of prompts, grids or models.

    python -m grounding.pocket.domain runs/parts/coco --format coco --photos 400 --seed 0
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from PIL import Image

from grounding.pocket.drawing import Box, Pixels, lay_over, to_image
from grounding.pocket.parts import PARTS, Part, draw_part
from grounding.pocket.scenes import Drawn, Scene, write_coco, write_voc
from grounding.pocket.surfaces import camera_noise, lay_surface
from grounding.samples import atomic_path

CATEGORIES = tuple(sorted(PARTS))
NAMES = {
    "bolt": {"en": "bolt", "zh": "螺栓"},
    "bracket": {"en": "bracket", "zh": "角铁"},
    "gear": {"en": "gear", "zh": "齿轮"},
    "key": {"en": "key", "zh": "钥匙"},
    "nut": {"en": "nut", "zh": "螺母"},
    "spring": {"en": "spring", "zh": "弹簧"},
}
"""What the parts are called, in the form that `grounding convert --names` reads as YAML."""
PHOTO_WH = (256, 192)
PARTS_A_PHOTO = (1, 1, 2, 2, 3)  # to draw from
LENGTHS = (0.46, 0.68)  # of a part before it is turned, as shares of the photo's height
TWINS = 0.12  # how often a part is of the kind of the one before it
GAP_PX = 3  # between two boxes
TRIES = 60
SHADOW_PX, SHADOW = 3, 0.45  # how far a shadow falls, and what share of the light it takes
FEWEST = 8  # pictures, of which five are faulty
ORIENTATION, TURNED = 0x0112, 6  # EXIF: stored lying, to be seen after a quarter turn clockwise


def draw_scene(rng: random.Random, size_wh: tuple[int, int] = PHOTO_WH) -> Scene:
    """One picture: one to three parts that do not touch, each with its shadow, on some surface.

    A part that finds no free place is left out of the picture and of the truth alike; the first is always there.
    """
    noise = np.random.default_rng(rng.getrandbits(64))
    picture = lay_surface(noise, size_wh)
    drawn: list[Drawn] = []
    for _ in range(rng.choice(PARTS_A_PHOTO)):
        category = drawn[-1].category if drawn and rng.random() < TWINS else rng.choice(CATEGORIES)
        part = draw_part(rng, category, round(rng.uniform(*LENGTHS) * size_wh[1]))
        box = _free_place(rng, part, size_wh, drawn)
        if box is None:
            continue
        picture = _put(picture, part, box)
        drawn.append(Drawn(category, box))
    return Scene(to_image(camera_noise(noise, picture)), tuple(drawn))


def draw_scenes(count: int, *, seed: int) -> list[Scene]:
    """`count` pictures, each a function of (seed, its number) alone."""
    return [draw_scene(random.Random(f"parts/{seed}/{number}")) for number in range(count)]


def _free_place(rng: random.Random, part: Part, size_wh: tuple[int, int], drawn: Sequence[Drawn]) -> Box | None:
    """Where the part touches no other, or None after some tries."""
    height, width = part.mask.shape
    for _ in range(TRIES):
        x0, y0 = rng.randint(1, size_wh[0] - width - 1), rng.randint(1, size_wh[1] - height - 1)
        box = (x0, y0, x0 + width, y0 + height)
        if all(_apart(box, other.xyxy_px) for other in drawn):
            return box
    return None


def _apart(a: Box, b: Box) -> bool:
    return a[2] + GAP_PX <= b[0] or b[2] + GAP_PX <= a[0] or a[3] + GAP_PX <= b[1] or b[3] + GAP_PX <= a[1]


def _put(picture: Pixels, part: Part, box: Box) -> Pixels:
    """The picture with the part at its box, upon its shadow, which falls to the right and down."""
    x0, y0, x1, y1 = box
    height, width = picture.shape[:2]
    shaded, whole = picture.copy(), (slice(y0, y1), slice(x0, x1))
    below = (slice(y0 + SHADOW_PX, y1 + SHADOW_PX), slice(x0 + SHADOW_PX, x1 + SHADOW_PX))
    cast = part.mask[: height - y0 - SHADOW_PX, : width - x0 - SHADOW_PX]
    shaded[below] *= 1 - SHADOW * cast[..., None]
    shaded[whole] = lay_over(shaded[whole], part.picture, part.mask)
    return shaded


def with_faults(scenes: Sequence[Scene]) -> list[Scene]:
    """The scenes, the second with a click for a box (no width) and the third with a box annotated twice."""
    faulty = list(scenes)
    category, (x0, y0, _, y1) = faulty[1].objects[0]
    click_alone = Drawn(category, (x0, y0, x0, y1))
    faulty[1] = faulty[1]._replace(objects=(*faulty[1].objects, click_alone))
    faulty[2] = faulty[2]._replace(objects=(*faulty[2].objects, faulty[2].objects[0]))
    return faulty


def spoil_files(images: Path) -> None:
    """Of the pictures in a folder, by name: the first is gone, the fourth lies on its side as EXIF says, the fifth
    breaks off in the middle."""
    gone, _, _, turned, torn = sorted(images.iterdir())[:5]
    gone.unlink()
    with Image.open(turned) as photo:
        lying = photo.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[ORIENTATION] = TURNED
    lying.save(turned, exif=exif)
    torn.write_bytes(torn.read_bytes()[: torn.stat().st_size // 2])


def write_photos(folder: Path, form: str, count: int, *, seed: int) -> None:
    """Draws pictures and writes them as COCO ("coco") or Pascal VOC ("voc"), the usual faults among them.

    Raises:
        RunError: the folder cannot be written; nothing is left under its name.
    """
    scenes = with_faults(draw_scenes(count, seed=seed))
    with atomic_path(folder) as unfinished:
        if form == "coco":
            write_coco(unfinished, scenes, categories=CATEGORIES, suffix=".jpg")
            spoil_files(unfinished / "images")
        else:
            write_voc(unfinished, scenes, suffix=".jpg")
            spoil_files(unfinished / "JPEGImages")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["coco", "voc"]), default="coco", show_default=True)
@click.option("--photos", "count", type=click.IntRange(FEWEST), default=200, show_default=True, help="How many.")
@click.option("--seed", type=int, default=0, show_default=True)
def command(folder: Path, form: str, count: int, seed: int) -> None:
    """Draw pictures of small parts into FOLDER, which must be new, annotated as COCO or Pascal VOC."""
    if folder.exists():
        raise click.BadParameter(f"{folder} is there already; name a new folder.", param_hint="FOLDER")
    write_photos(folder, form, count, seed=seed)
    click.echo(
        f"{folder}: {count} pictures of {len(CATEGORIES)} kinds of parts; some annotations are faulty on purpose"
    )


if __name__ == "__main__":
    command()
