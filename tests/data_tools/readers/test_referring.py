"""Phrases with boxes: MDETR's referring JSON and Visual Genome regions, read and made into samples."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from data_tools.convert import Options, convert
from data_tools.readers.referring import open_referring
from data_tools.readers.visual_genome import open_visual_genome
from data_tools.records import Source
from grounding.errors import InputError
from grounding.samples import read_dataset
from grounding.text import read_boxes
from tests.data_tools.annotated import SIZE, coco_box, coco_file, coco_image, image, json_file


def caption(number: Any, text: Any, name: str = "a.png", dataset: str = "refcoco", **more: Any) -> dict[str, Any]:
    entry = {"id": number, "file_name": name, "width": SIZE[0], "height": SIZE[1], "original_id": 7}
    return {**entry, "caption": text, "dataset_name": dataset, "tokens_negative": [], **more}


def referent(number: Any, bbox: Any, *spans: list[int], category: Any = 3) -> dict[str, Any]:
    entry = {"image_id": number, "bbox": bbox, "category_id": category, "iscrowd": 0}
    return {**entry, "tokens_positive": list(spans)} if spans else entry


def read(folder: Path, images: list[Any], annotations: list[Any], name: str = "finetune_refcoco_val.json") -> Source:
    categories = [{"id": 3, "name": "dog"}, {"id": 1, "name": "object"}]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (source,) = open_referring(json_file(folder, name, document), None, {})
    return source


def test_a_caption_is_a_phrase_with_its_box(tmp_path: Path) -> None:
    images = [caption(0, "the left dog"), caption(1, "brown dog"), caption(2, "sky", "b.png")]
    boxes = [referent(0, [1, 2, 3, 4], [4, 8]), referent(1, [5, 5, 5, 5]), referent(2, [0, 0, 40, 9], category=1)]
    source = read(tmp_path, images, boxes)
    assert [(r.name, [(p.text, p.boxes_px, p.category) for p in r.phrases]) for r in source.records] == [
        (
            "a.png",
            [("the left dog", ((1.0, 2.0, 4.0, 6.0),), "dog"), ("brown dog", ((5.0, 5.0, 10.0, 10.0),), "dog")],
        ),
        ("b.png", [("sky", ((0.0, 0.0, 40.0, 9.0),), None)]),
    ]
    assert (source.split, source.absence, dict(source.tally.counts)) == ("val", "none", {})


def test_spans_of_a_caption_are_phrases_in_the_other_sets(tmp_path: Path) -> None:
    text = "a man and two dogs"
    boxes = [referent(0, [1, 1, 5, 5], [0, 5], category=1)]
    boxes += [referent(0, [x, 1, 5, 5], [10, 18], category=1) for x in (9, 20)]
    boxes += [referent(0, [1, 1, 2, 2], [10, 99])]
    source = read(tmp_path, [caption(0, text, dataset="flickr")], boxes)
    assert [(p.text, len(p.boxes_px)) for p in source.records[0].phrases] == [("a man", 1), ("two dogs", 2)]
    assert dict(source.tally.counts) == {"empty_phrase": 1}


@pytest.mark.parametrize(
    ("images", "boxes", "counted"),
    [
        ([caption(1, "x")], [referent(1, [1, 1, 0, 5])], {"zero_area": 1, "phrase_incomplete": 1}),
        ([caption(1, "x")], [referent(1, [1, 1, math.nan, 5])], {"not_finite": 1, "phrase_incomplete": 1}),
        ([caption(1, "x")], [referent(1, None)], {"missing_box": 1, "phrase_incomplete": 1}),
        ([caption(1, "x")], [referent(1, "box")], {"malformed_box": 1, "phrase_incomplete": 1}),
        ([caption(1, "x")], [], {"phrase_without_box": 1}),
        ([caption(1, " ")], [referent(1, [1, 1, 2, 2])], {"empty_phrase": 1}),
        ([caption(1, 5)], [], {"empty_phrase": 1}),
        ([caption(1, "x", "../x.png")], [referent(1, [1, 1, 2, 2])], {"bad_file_name": 1, "image_refused": 1}),
        ([caption([1], "x"), "no object"], [], {"malformed_image": 2}),
        ([], [referent(1, [1, 1, 2, 2]), "no object", referent([2], [1, 1, 2, 2])],
         {"unknown_image": 1, "malformed_annotation": 2}),
    ],
)  # fmt: skip
def test_what_is_wrong_costs_itself(
    tmp_path: Path, images: list[Any], boxes: list[Any], counted: dict[str, int]
) -> None:
    good = caption(0, "fine", "good.png"), referent(0, [1, 1, 5, 5], category=[3])
    source = read(tmp_path, [good[0], *images], [good[1], *boxes])
    assert dict(source.tally.counts) == counted
    assert [phrase.text for record in source.records for phrase in record.phrases] == ["fine"]


def test_phrases_become_samples(tmp_path: Path) -> None:
    texts = ["the left dog", "the left dog", "The left dog", "左边的狗", "dog", "[[1,2,3,4]]"]
    corners = [[1, 2, 3, 4], [1, 2, 3, 4], [9, 9, 5, 5], [1, 2, 3, 4], [30, 20, 20, 20], [1, 2, 3, 4]]
    images = [caption(number, text) for number, text in enumerate(texts)]
    read(tmp_path, images, [referent(number, box) for number, box in enumerate(corners)])
    image(tmp_path, "a.png")
    source = tmp_path / "finetune_refcoco_val.json"
    made = convert(
        [("train", source)], tmp_path / "out", Options(format="referring", langs=("en", "zh"), negatives=9.0)
    )
    samples = read_dataset(tmp_path / "out" / "train.jsonl").samples
    assert samples == made.samples["train"]
    assert [sample.id for sample in samples][:5] == [
        "a.png#the left dog",
        "a.png#the left dog#2",
        "a.png#The left dog",
        "a.png#左边的狗",
        "a.png#dog",
    ]
    assert [sample.lang for sample in samples][:5] == ["en", "en", "en", "zh", "en"]
    assert all(sample.category == "dog" and sample.phrase in sample.prompt for sample in samples if sample.phrase)
    assert [sample.boxes for sample in samples][:2] == [[[1, 2, 4, 6]]] * 2
    assert all(len(read_boxes(sample.label).xyxy_grid) == 1 for sample in samples)
    assert samples[4].boxes == [[30, 20, 40, 30]]
    counted = {reason: n for reason, n in made.tally.counts.items() if reason != "class_unwritable"}
    assert counted == {"repeated_phrase": 1, "phrase_of_several": 1, "clipped": 1}


def test_a_phrase_with_a_box_outside_is_refused(tmp_path: Path) -> None:
    read(tmp_path, [caption(0, "x"), caption(1, "y")], [referent(0, [90, 1, 5, 5]), referent(1, [1, 1, 5, 5])])
    image(tmp_path, "a.png")
    made = convert([(None, tmp_path)], tmp_path / "out", Options(format="referring"))
    assert [sample.phrase for samples in made.samples.values() for sample in samples] == ["y"]
    assert made.manifest.refusals == {"outside_image": 1, "phrase_incomplete": 1}


def test_what_is_no_referring_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="images and annotations"):
        open_referring(json_file(tmp_path, "x.json", []), None, {})
    with pytest.raises(InputError, match="finetune_"):
        open_referring(tmp_path, None, {})


def region(text: Any, *xywh: Any) -> dict[str, Any]:
    return {"phrase": text, **dict(zip(("x", "y", "width", "height"), xywh, strict=True))}


def test_visual_genome(tmp_path: Path) -> None:
    regions = [region("a clock\n", 1, 2, 3, 4), region("sky", -2, 0, 10, 5), region("", 1, 1, 1, 1)]
    regions += [region("flat", 1, 1, 0, 1), region("odd", 1, "1", 1, 1)]
    entries = [{"id": 5, "regions": regions}, {"id": 6, "regions": [region("tree", 0, 0, 4, 4)]}, {"id": 7}, 3]
    json_file(tmp_path, "region_descriptions.json", entries)
    url = "https://cs.stanford.edu/people/rak248/VG_100K_2/6.jpg"
    json_file(tmp_path, "image_data.json", [{"image_id": 6, "url": url, "width": 40, "height": 30}])
    image(tmp_path / "VG_100K", "5.jpg")
    image(tmp_path / "VG_100K_2", "6.jpg", colour=1)
    (source,) = open_visual_genome(tmp_path, None, {})
    assert [(r.name, r.size_wh, [p.text for p in r.phrases]) for r in source.records] == [
        ("VG_100K/5.jpg", None, ["a clock", "sky"]),
        ("VG_100K_2/6.jpg", SIZE, ["tree"]),
    ]
    assert dict(source.tally.counts) == {
        "empty_phrase": 1,
        "zero_area": 1,
        "malformed_box": 1,
        "phrase_incomplete": 2,
        "malformed_image": 2,
    }
    made = convert([(None, tmp_path)], tmp_path / "out", Options(format="visual_genome"))
    samples = {sample.phrase: sample for samples in made.samples.values() for sample in samples}
    assert set(samples) == {"a clock", "sky", "tree"}
    assert samples["sky"].boxes == [[0, 0, 8, 5]]
    assert samples["sky"].category is None
    assert made.manifest.counts["splits"]["train"]["classes"].keys() <= {"(no class)"}


def test_phrases_are_counted_where_no_task_asks_for_them(tmp_path: Path) -> None:
    read(tmp_path, [caption(0, "x"), caption(1, "y")], [referent(n, [1, 1, 5, 5]) for n in range(2)])
    image(tmp_path, "a.png")
    with pytest.raises(InputError, match=r"2 phrase\(s\) refused, phrase_not_asked"):
        convert([(None, tmp_path)], tmp_path / "out", Options(format="referring", tasks=("presence", "next_box")))
    made = convert([(None, tmp_path)], tmp_path / "out", Options(format="referring"))
    assert "phrase_not_asked" not in made.tally.counts


def test_phrases_beside_a_coco_file_leave_its_classes_to_every_task(tmp_path: Path) -> None:
    read(tmp_path, [caption(0, "the left dog")], [referent(0, [1, 2, 9, 9])])
    spoken = tmp_path / "finetune_refcoco_val.json"
    coco = coco_file(tmp_path, [coco_image(7, "a.png")], [coco_box(7, 2, [1, 2, 9, 9])], draw=True)
    tasks = ("phrase_to_boxes", "all_to_boxes", "next_box")
    options = Options(format="auto", tasks=tasks, images=tmp_path)
    for number, sources in enumerate(([coco, spoken], [spoken, coco])):
        made = convert([("train", path) for path in sources], tmp_path / f"out{number}", options)
        counts = made.splits["train"]["tasks"]
        assert counts == {"all_to_boxes": 1, "next_box": 2, "phrase_to_boxes": 2}


@pytest.mark.parametrize(
    ("name", "split", "apart"),
    [("testA", "test", True), ("testB", "test", True), ("val", "val", False), ("minival", "val", True)],
)
def test_two_official_test_sets_become_one_and_it_is_said(tmp_path: Path, name: str, split: str, apart: bool) -> None:
    document = {"images": [caption(0, "x")], "annotations": [referent(0, [1, 1, 5, 5])]}
    (source,) = open_referring(json_file(tmp_path, f"finetune_refcoco_{name}.json", document), None, {})
    assert source.split == split
    assert source.taken["split"].startswith(f"{split}, by the name of the file (..._{name})")
    assert (f"convert {split}=FILE" in source.taken["split"]) == apart
