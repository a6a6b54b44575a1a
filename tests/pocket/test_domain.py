"""The drawn photographs: their boxes, their independence, and the faults that a conversion is to find in them."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from data_tools.convert import Options, convert
from grounding.pocket.domain import CATEGORIES, NAMES, PHOTO_WH, command, draw_scene, draw_scenes, write_photos
from grounding.pocket.parts import METALS, PARTS, USUAL, draw_part
from grounding.pocket.questions import nouns
from grounding.pocket.scenes import SHAPES
from grounding.pocket.surfaces import SURFACES, lay_surface

COUNT = 12


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for form in ("coco", "voc"):
        write_photos(folder / form, form, COUNT, seed=5)
    return folder


@pytest.mark.parametrize("kind", sorted(PARTS))
def test_a_part_fills_its_picture_to_all_four_sides(kind: str) -> None:
    for number in range(5):
        part = draw_part(random.Random(number), kind, 60)
        seen = part.mask >= 0.5
        assert seen[0].any() and seen[-1].any() and seen[:, 0].any() and seen[:, -1].any()
        assert part.picture.shape == (*part.mask.shape, 3) and 0 <= part.picture.min() <= part.picture.max() <= 255
        assert 40 <= max(part.mask.shape) <= 75, "about the length that was asked for, at any angle"


def test_parts_of_a_kind_look_alike_and_those_of_two_kinds_do_not() -> None:
    def mask(kind: str) -> Image.Image:
        rng = random.Random(0)  # the same angle for all
        return Image.fromarray((255 * draw_part(rng, kind, 80).mask).astype(np.uint8)).resize((32, 32))

    masks = {kind: np.asarray(mask(kind), dtype=float) / 255 for kind in PARTS}
    for one in PARTS:
        for other in set(PARTS) - {one}:
            assert np.abs(masks[one] - masks[other]).mean() > 0.1, f"{one} and {other}"


def test_boxes_lie_in_the_photograph_and_apart() -> None:
    for scene in draw_scenes(30, seed=1):
        assert scene.image.size == PHOTO_WH and scene.objects
        boxes = [drawn.xyxy_px for drawn in scene.objects]
        for number, (x0, y0, x1, y1) in enumerate(boxes):
            assert 0 < x0 < x1 < PHOTO_WH[0] and 0 < y0 < y1 < PHOTO_WH[1]
            for a0, b0, a1, b1 in boxes[:number]:
                assert a1 <= x0 or x1 <= a0 or b1 <= y0 or y1 <= b0


def test_a_box_holds_what_was_put_there_and_the_rest_is_ground() -> None:
    scene = draw_scene(random.Random("one"))
    rng = random.Random("one")
    ground = lay_surface(np.random.default_rng(rng.getrandbits(64)), PHOTO_WH)
    changed = np.abs(np.asarray(scene.image, dtype=float) - np.clip(ground, 0, 255)).mean(axis=2) > 25
    inside = np.zeros_like(changed)
    for drawn in scene.objects:
        x0, y0, x1, y1 = drawn.xyxy_px
        assert changed[y0:y1, x0:x1].mean() > 0.15
        inside[y0 : y1 + 4, x0 : x1 + 4] = True  # its shadow falls beside it
    assert changed[~inside].mean() < 0.001


def test_a_photograph_is_a_function_of_seed_and_number() -> None:
    few, many = draw_scenes(2, seed=3), draw_scenes(4, seed=3)
    for one, other in zip(few, many, strict=False):
        assert one.objects == other.objects and one.image.tobytes() == other.image.tobytes()
    assert draw_scenes(1, seed=4)[0].image.tobytes() != few[0].image.tobytes()


@pytest.mark.parametrize("name", sorted(SURFACES))
def test_surfaces_are_pictures_of_any_size(name: str) -> None:
    for size in (PHOTO_WH, (61, 47)):
        ground = SURFACES[name](np.random.default_rng(0), size)
        assert ground.shape == (size[1], size[0], 3) and np.isfinite(ground).all() and ground.std() > 1


def test_the_domain_is_new_to_the_generalist() -> None:
    english, chinese = ({names[lang] for names in NAMES.values()} for lang in ("en", "zh"))
    assert set(NAMES) == set(CATEGORIES) == set(PARTS)
    assert not english & {name for name, _ in nouns()} and not chinese & {name for _, name in nouns()}
    assert not english & set(SHAPES)


def test_most_parts_of_a_kind_have_its_metal_and_some_another() -> None:
    assert set(USUAL) == set(PARTS) and set(USUAL.values()) == set(METALS), "each its own"
    tones = [draw_part(random.Random(n), "key", 60).picture.mean(axis=(0, 1)) for n in range(60)]
    yellow = sum(bool(red > 1.2 * blue and green > 1.2 * blue) for red, green, blue in tones)
    assert 45 <= yellow < 60, "brass, mostly"


def test_a_conversion_counts_every_fault(written: Path, tmp_path: Path) -> None:
    sources = {"coco": (None, written / "coco" / "instances.json"), "voc": ("test", written / "voc")}
    images = {"coco": written / "coco" / "images", "voc": None}
    found = {
        form: convert([source], tmp_path / form, Options(format=form, images=images[form]))
        for form, source in sources.items()
    }
    for form, conversion in found.items():
        counts = {outcome: dict(conversion.tally.having(outcome)) for outcome in ("refused", "kept")}
        click = {"coco": "zero_area", "voc": "negative_area"}[form]  # xmax lies before the 1-based xmin
        assert counts["refused"].items() >= {click: 1, "missing_image": 1, "unreadable_image": 1}.items()
        assert counts["kept"].items() >= {"duplicate_box": 1, "exif_upright": 1}.items()
        samples = [sample for split in conversion.samples.values() for sample in split]
        assert len({sample.image for sample in samples if sample.upright}) == 1
        assert {(sample.width, sample.height) for sample in samples} == {PHOTO_WH}


def test_the_turned_photograph_is_the_same_when_seen_upright(written: Path) -> None:
    with Image.open(written / "coco" / "images" / "scene_00003.jpg") as stored:
        assert stored.size == PHOTO_WH[::-1] and stored.getexif()[0x0112] == 6
        seen = np.asarray(stored.transpose(Image.Transpose.ROTATE_270), dtype=float)
    drawn = np.asarray(draw_scenes(4, seed=5)[3].image, dtype=float)
    assert np.abs(seen - drawn).mean() < 12, "but for two JPEG losses and noise"


def test_the_command_writes_a_new_folder_only(tmp_path: Path) -> None:
    words = [str(tmp_path / "new"), "--format", "voc", "--photos", "8"]
    assert CliRunner().invoke(command, words).exit_code == 0
    assert len(list((tmp_path / "new" / "Annotations").iterdir())) == 8
    refused = CliRunner().invoke(command, words)
    assert refused.exit_code == 2 and "there already" in refused.output
    parts = sorted(part.name for part in (tmp_path / "new").iterdir())
    assert parts == ["Annotations", "ImageSets", "JPEGImages"]
