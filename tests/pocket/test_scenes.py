"""Scenes: the same by seed, every box tight around what is seen, covered only lightly; both files say the same."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from grounding.pocket.drawing import background, tight_box, to_image
from grounding.pocket.scenes import CATEGORIES, Scene, draw_scene, draw_scenes, write_coco, write_voc

SIZE = (112, 112)


def test_a_scene_is_a_function_of_its_generator_and_number() -> None:
    few, many = draw_scenes(3, seed=5), draw_scenes(6, seed=5)
    for one, other in zip(few, many, strict=False):
        assert one.objects == other.objects
        assert one.image.tobytes() == other.image.tobytes()
    assert draw_scenes(1, seed=6)[0].image.tobytes() != few[0].image.tobytes()


@pytest.mark.parametrize("seed", range(12))
def test_the_box_is_tight_around_the_pixels_that_changed(seed: int) -> None:
    """A scene draws its background first: drawn alone from the same generator, it shows what one object changed."""
    scene = draw_scene(random.Random(seed), size_wh=SIZE, objects=(1, 1))
    empty = to_image(background(random.Random(seed), SIZE))
    change = np.abs(np.asarray(scene.image).astype(int) - np.asarray(empty)).max(axis=-1)
    (drawn,) = scene.objects
    x0, y0, x1, y1 = drawn.xyxy_px
    # Pixels that the edge covers by less than a half may change outside the box, but only by a pixel.
    reach = tight_box(change > 0)
    assert x0 - 1 <= reach[0] <= x0 + 1 and y0 - 1 <= reach[1] <= y0 + 1
    assert x1 - 1 <= reach[2] <= x1 + 1 and y1 - 1 <= reach[3] <= y1 + 1


@pytest.mark.parametrize("size_wh", [(112, 112), (224, 160), (40, 30)])
def test_objects_lie_in_the_picture_and_are_of_known_classes(size_wh: tuple[int, int]) -> None:
    for scene in draw_scenes(20, seed=1, size_wh=size_wh, objects=(1, 5)):
        assert scene.image.size == size_wh
        assert 1 <= len(scene.objects) <= 5
        for drawn in scene.objects:
            x0, y0, x1, y1 = drawn.xyxy_px
            assert 0 <= x0 < x1 <= size_wh[0] and 0 <= y0 < y1 <= size_wh[1]
            assert drawn.category in CATEGORIES


def test_some_scenes_show_a_class_twice_and_some_things_overlap() -> None:
    scenes = draw_scenes(60, seed=2, objects=(3, 4))
    assert any(len({drawn.category for drawn in scene.objects}) < len(scene.objects) for scene in scenes)
    assert any(_overlap(scene) for scene in scenes)


def _overlap(scene: Scene) -> bool:
    boxes = [drawn.xyxy_px for drawn in scene.objects]
    pairs = [(a, b) for number, a in enumerate(boxes) for b in boxes[:number]]
    return any(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for a, b in pairs)


def test_coco_and_voc_say_the_same(tmp_path: Path) -> None:
    scenes = draw_scenes(4, seed=3)
    document = json.loads(write_coco(tmp_path / "coco", scenes).read_text(encoding="utf-8"))
    names = {one["id"]: one["name"] for one in document["categories"]}
    for number, scene in enumerate(scenes, start=1):
        found = [one for one in document["annotations"] if one["image_id"] == number]
        assert [names[one["category_id"]] for one in found] == [drawn.category for drawn in scene.objects]
        for one, drawn in zip(found, scene.objects, strict=True):
            x, y, width, height = one["bbox"]
            assert (x, y, x + width, y + height) == drawn.xyxy_px
    write_voc(tmp_path / "voc", scenes)
    text = (tmp_path / "voc/Annotations/scene_00000.xml").read_text(encoding="utf-8")
    assert text.count("<object>") == len(scenes[0].objects)
    assert f"<xmin>{scenes[0].objects[0].xyxy_px[0] + 1}</xmin>" in text
