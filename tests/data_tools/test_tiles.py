"""Tiles cover the image, boxes go with what a tile shows, and what it hardly shows is neither there nor absent."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data_tools.absence import Absent
from data_tools.convert import Means, Options, convert
from data_tools.records import Phrase
from data_tools.tiles import Tiling, cut, parse_tiling
from grounding.errors import InputError
from grounding.samples import Sample, open_image, read_dataset
from tests.data_tools.annotated import box, coco_box, coco_file, coco_image, image, json_file, record


@pytest.mark.parametrize(
    ("text", "tiling"),
    [("64", Tiling(64, 16, 0.5)), ("64,0", Tiling(64, 0, 0.5)), ("640,100,0.75", Tiling(640, 100, 0.75))],
)
def test_tilings(text: str, tiling: Tiling) -> None:
    assert parse_tiling(text) == tiling


@given(st.integers(1, 90), st.integers(1, 90), st.integers(10, 40), st.integers(0, 30))
def test_tiles_cover_the_image_and_stay_in_it(width: int, height: int, side: int, overlap: int) -> None:
    tiles, windows, _ = cut([record("a", size_wh=(width, height))], Tiling(side, min(overlap, side - 5)))
    covered = np.zeros((height, width), dtype=bool)
    for tile in tiles:
        assert tile.size_wh is not None
        (w, h), window = tile.size_wh, windows[tile.name]
        assert (w, h) == (min(side, width), min(side, height))
        assert 0 <= window.x <= width - w and 0 <= window.y <= height - h
        covered[window.y : window.y + h, window.x : window.x + w] = True
    assert covered.all()
    assert len({tile.name for tile in tiles}) == len(tiles)


def test_what_a_tile_shows_of_a_box_decides() -> None:
    image = record(
        "a.jpg",
        box("whole", 2, 2, 8, 8),
        box("most", 4, 0, 14, 6),  # 6 of 10 to the left
        box("little", 8, 0, 18, 6),  # 2 of 10 to the left
        box("crowd", 9, 9, 19, 19, ignore="crowd"),
        size_wh=(20, 10),
        looked_for=frozenset({"whole", "most", "little", "crowd", "else"}),
        digest="x",
    )
    other = record("b.jpg", box("else"), size_wh=(20, 10), looked_for=frozenset({"else"}), digest="y")
    tiles, windows, tally = cut([image, other], Tiling(10, 0, 0.5))
    left, right = tiles[:2]
    assert [tile.name for tile in tiles] == ["a.jpg/0_0.png", "a.jpg/10_0.png", "b.jpg/0_0.png", "b.jpg/10_0.png"]
    assert {a.category: (a.xyxy_px, a.ignore) for a in left.annotations} == {
        "whole": ((2, 2, 8, 8), None), "most": ((4, 0, 10, 6), None),
        "little": ((8, 0, 10, 6), "difficult"), "crowd": ((9, 9, 10, 10), "crowd"),
    }  # fmt: skip
    assert {a.category: (a.xyxy_px, a.ignore) for a in right.annotations} == {
        "most": ((0, 0, 4, 6), "difficult"), "little": ((0, 0, 8, 6), None), "crowd": ((0, 9, 9, 10), "crowd"),
    }  # fmt: skip
    assert list(Absent(tiles).values())[:2] == [["else"], ["else", "whole"]]
    assert dict(tally.counts) == {"cut_by_tile": 4, "mostly_outside_tile": 2}
    assert len({tile.digest for tile in tiles}) == 4
    assert (windows["a.jpg/10_0.png"].x, windows["a.jpg/10_0.png"].y) == (10, 0)


def test_an_object_that_a_tile_hardly_shows_keeps_no_other_from_being_asked_for(tmp_path: Path) -> None:
    image(tmp_path, "1.png", (20, 10))
    things = [coco_box(1, 1, [1, 1, 5, 5]), coco_box(1, 1, [9, 0, 10, 6]), coco_box(1, 2, [8, 7, 10, 2])]
    source = coco_file(tmp_path, [coco_image(1, size_wh=(20, 10))], things)
    tasks = ("phrase_to_boxes", "all_to_boxes", "phrase_to_box")
    options = Options(tiles="10,0", negatives=9.0, tasks=tasks, not_found={"en": "Nope."}, langs=("en",))
    made = convert([("train", source)], tmp_path / "out", options)
    left, right = "1.png/0_0.png", "1.png/10_0.png"
    # Of the first cat the left tile shows all, of the second a tenth; of the dog a fifth, so it is not asked for.
    assert {(s.image, s.category, s.task): (s.boxes, s.ignore) for s in made.samples["train"]} == {
        (left, "cat", "phrase_to_boxes"): ([[1, 1, 6, 6]], [[9, 0, 10, 6]]),
        (right, "cat", "phrase_to_boxes"): ([[0, 0, 9, 6]], []),
        (right, "dog", "phrase_to_boxes"): ([[0, 7, 8, 9]], []),
        (right, None, "all_to_boxes"): ([[0, 0, 9, 6], [0, 7, 8, 9]], []),
    }
    assert made.manifest.counts["kept"] == {"mostly_outside_tile": 2}
    assert made.manifest.refusals == {"class_only_ignored": 1}


def test_what_speaks_of_the_whole_image_is_no_tile_s() -> None:
    phrase = Phrase(text="the left dog", boxes_px=((1.0, 1.0, 5.0, 5.0),), place="p")
    ready = Sample(id="x", image="a.jpg", width=40, height=30, prompt="?", label="!", boxes=None)
    image = record("a.jpg", box("dog"), phrases=(phrase,), samples=(ready,))
    tiles, _, tally = cut([image], Tiling(39, 5))
    assert len(tiles) == 2 and not any(tile.phrases or tile.samples for tile in tiles)
    assert tally.counts["not_tiled"] == 2
    (uncut,), _, tally = cut([image], Tiling(40, 5))
    assert (uncut.phrases, uncut.samples, dict(tally.counts)) == (image.phrases, image.samples, {})


def test_an_image_that_fits_in_one_tile_is_asked_for_its_phrases_too(tmp_path: Path) -> None:
    image(tmp_path / "VG_100K", "5.jpg", (40, 30))
    image(tmp_path / "VG_100K", "6.jpg", (90, 30), colour=1)
    region = {"phrase": "a clock", "x": 1, "y": 2, "width": 5, "height": 6}
    source = json_file(tmp_path, "region_descriptions.json", [{"id": n, "regions": [region]} for n in (5, 6)])
    made = convert([("train", source)], tmp_path / "out", Options(format="visual_genome", tiles="40"))
    (sample,) = made.samples["train"]
    assert (sample.image, sample.phrase, sample.boxes) == ("VG_100K/5.jpg/0_0.png", "a clock", [[1, 2, 6, 8]])
    assert open_image(tmp_path / "out" / "tiles", sample).size == (40, 30)
    assert made.manifest.refusals == {"not_tiled": 1}


def test_the_pixels_of_a_tile_are_those_of_the_image(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folder = tmp_path / "set"
    folder.mkdir()
    boxes = []
    for number in range(6):
        Image.fromarray(rng.integers(0, 255, (50, 90, 3), dtype=np.uint8)).save(folder / f"{number}.png")
        boxes.append(coco_box(number, 1 + number % 2, [10 * number, 5, 12, 10]))
    source = coco_file(folder, [coco_image(n, size_wh=(90, 50)) for n in range(6)], boxes)
    made = convert([(None, source)], tmp_path / "out", Options(tiles="40,10", negatives=1.0, ratios=(0.5, 0.5, 0.0)))
    assert made.manifest.image_root == "tiles"
    assert made.manifest.settings["tiles"] == "40,10"
    assert made.images_listed == 6
    truth = {n: box["bbox"] for n, box in enumerate(boxes)}
    split_of: dict[str, set[str]] = {}
    for split in ("train", "val"):
        dataset = read_dataset(tmp_path / "out" / f"{split}.jsonl")
        for sample in dataset.samples:
            assert sample.image is not None
            name, place = sample.image.split("/")
            x, y = map(int, Path(place).stem.split("_"))
            split_of.setdefault(name, set()).add(split)
            with Image.open(folder / name) as whole:
                part = np.asarray(whole)[y : y + 40, x : x + 40]
            assert np.array_equal(np.asarray(open_image(dataset.image_root, sample)), part)
            left, top, width, height = truth[int(name[0])]
            for box_px in sample.boxes or []:
                assert box_px[0] + x >= left and box_px[2] + x <= left + width
                assert box_px[1] + y >= top and box_px[3] + y <= top + height
    assert set(map(len, split_of.values())) == {1}
    folder = tmp_path / "out" / "tiles"
    written = {str(path.relative_to(folder)) for path in folder.rglob("*.png") if path.is_file()}
    assert written == {sample.image for samples in made.samples.values() for sample in samples}
    assert Counter(bool(s.boxes) for samples in made.samples.values() for s in samples).keys() == {True, False}


def test_a_set_that_may_not_be_replaced_keeps_its_tiles(tmp_path: Path) -> None:
    image(tmp_path / "set", "1.png", (90, 50))
    source = coco_file(tmp_path / "set", [coco_image(1, size_wh=(90, 50))], [coco_box(1, 1, [1, 1, 30, 30])])
    convert([("train", source)], tmp_path / "out", Options(tiles="40,10"))
    with (tmp_path / "out" / "train.jsonl").open("a") as file:
        file.write("\n")  # edited by hand
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    image(tmp_path / "set", "1.png", (90, 50), colour=9)
    with pytest.raises(InputError, match=r"would change: train\.jsonl"):
        convert([("train", source)], tmp_path / "out", Options(tiles="40,10"))
    assert before == {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}


def test_tiles_go_with_the_set_that_is_replaced_by_one_of_whole_images(tmp_path: Path) -> None:
    image(tmp_path / "set", "1.png", (90, 50))
    source = coco_file(tmp_path / "set", [coco_image(1, size_wh=(90, 50))], [coco_box(1, 1, [1, 1, 30, 30])])
    convert([("train", source)], tmp_path / "out", Options(tiles="40,10"))
    made = convert([("train", source)], tmp_path / "out", Options(), means=Means(overwrite=True))
    assert not (tmp_path / "out" / "tiles").exists()
    assert [remark for remark in made.remarks if remark.startswith("tiles was of the dataset")]
    again = convert([("train", source)], tmp_path / "out", Options(tiles="40,10"), means=Means(overwrite=True))
    assert not again.remarks and (tmp_path / "out" / "tiles").is_dir()


def test_tiles_of_another_size_go_when_the_set_is_cut_anew(tmp_path: Path) -> None:
    image(tmp_path / "set", "1.png", (90, 50))
    image(tmp_path / "set", "2.png", (30, 30))
    images = [coco_image(1, size_wh=(90, 50)), coco_image(2, size_wh=(30, 30))]
    source = coco_file(tmp_path / "set", images, [coco_box(1, 1, [1, 1, 30, 30]), coco_box(2, 1, [1, 1, 9, 9])])
    for tiles in ("40,10", "60,10"):
        made = convert([("train", source)], tmp_path / "out", Options(tiles=tiles), means=Means(overwrite=True))
    folder = tmp_path / "out" / "tiles"
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == {sample.image for sample in made.samples["train"]}
    assert any("before" in remark and "removed" in remark for remark in made.remarks)
