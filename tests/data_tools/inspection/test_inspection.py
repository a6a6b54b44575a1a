"""What an inspection counts and finds, against hand-made sets: every finding has one, and a sound set has none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from data_tools.inspection.inspection import Inspection, inspect
from data_tools.writers.folder import MADE_BY
from grounding.errors import InputError, ManyErrors
from grounding.samples import Sample
from grounding.text import NOT_FOUND
from tests.data_tools.inspection.making import ONE_BOX, dataset, photo, sample


def findings(found: Inspection) -> dict[str, dict[str, Any]]:
    return {finding["name"]: finding for finding in found.report["findings"]}


def sound(prefix: str, n: int = 30) -> list[Sample]:
    """So many samples of cats and of dogs, every third not found."""
    return [
        sample(f"{prefix}{number}.png", ONE_BOX if number % 3 else [], category)
        for number in range(n)
        for category in ("cat", "dog")
    ]


def look(folder: Path, **splits: Any) -> Inspection:
    return inspect(dataset(folder, draw=False, **splits), check_images=False)


def test_a_sound_set_has_no_finding(tmp_path: Path) -> None:
    assert findings(look(tmp_path, train=sound("a"), val=sound("b"), test=sound("c"))) == {}


def test_what_is_counted(tmp_path: Path) -> None:
    two = [[0.0, 0.0, 48.0, 36.0], [50.0, 40.0, 52.0, 42.0]]
    train = [
        sample("1.png", two),
        sample("1.png", two, lang="zh", id="the same boxes"),
        sample("1.png", [], "dog"),
        sample("2.png", id="words", boxes=None, task="presence", label="Yes"),
    ]
    report = look(tmp_path, train=train, val=[]).report
    split = report["splits"]["train"]
    assert {key: split[key] for key in ("samples", "images", "found", "not_found", "asks_no_box", "boxes")} == {
        "samples": 4,
        "images": 2,
        "found": 2,
        "not_found": 1,
        "asks_no_box": 1,
        "boxes": 2,
    }
    assert split["languages"] == {"en": 3, "zh": 1}
    assert report["dataset"]["empty_splits"] == ["val"]
    assert list(report["classes"]) == ["cat", "dog"]
    cat = report["classes"]["cat"]
    assert (cat["boxes"], cat["found"], cat["not_found"]) == ({"train": 2}, {"train": 2}, {"train": 0})
    assert report["classes"]["dog"]["cells_median"] is None
    boxes = report["boxes"]
    assert boxes["n"] == sum(boxes["shorter_side_cells"]["counts"]) == sum(map(sum, boxes["places"])) == 2
    assert boxes["places"][2][2] == boxes["places"][5][5] == 1
    assert sum(boxes["of_a_sample"]["counts"]) == 3 and boxes["of_a_sample"]["counts"][0] == 1
    json.dumps(report, allow_nan=False)


def test_a_class_that_train_lacks(tmp_path: Path) -> None:
    found = findings(look(tmp_path, train=sound("a"), test=[*sound("b"), sample("x.png", category="owl")]))
    assert found["class_not_in_train"]["examples"] == ["owl"]
    assert found["class_not_in_train"]["level"] == "warning"


def test_rare_unmeasured_and_uneven_classes(tmp_path: Path) -> None:
    many = [sample(f"m{number}.png") for number in range(60)]
    found = findings(look(tmp_path, train=[*many, *sound("a"), sample("x.png", category="owl")], val=sound("v")))
    assert found["class_rare"]["examples"] == ["owl (1)"]
    assert found["class_not_measured"]["examples"] == ["owl"]
    assert found["classes_uneven"]["text"].startswith("cat has 100 boxes, owl 1.")


@pytest.mark.parametrize(
    ("one", "other"), [("Cat", "cat"), ("traffic_light", "traffic light"), ("cat", "cats"), ("ｃａｔ", "cat")]
)
def test_spellings_of_one_class(tmp_path: Path, one: str, other: str) -> None:
    found = findings(
        look(tmp_path, train=[*sound("a"), sample("x.png", category=one), sample("y.png", category=other)])
    )
    assert {one, other} <= set(found["class_name_variants"]["examples"][0].split(" = "))


def test_too_little_and_too_much_absence(tmp_path: Path) -> None:
    present = [sample(f"{number}.png", category=name) for number in range(10) for name in ("cat", "dog")]
    assert "little_absence" in findings(look(tmp_path / "1", train=present))
    assert "no_absence" in findings(look(tmp_path / "2", train=present[::2]))
    absent = [sample(f"x{number}.png", [], category="dog") for number in range(40)]
    found = findings(look(tmp_path / "3", train=[*present[::2], *absent]))
    assert found["much_absence"]["n"] == 40
    assert found["class_one_answer"]["examples"] == ["dog (not found in 40 of 40)"]


def test_boxes_that_stand_out(tmp_path: Path) -> None:
    odd = [
        sample("small.png", [[10, 10, 10.4, 30]]),
        sample("whole.png", [[0, 0, 96, 71]]),
        sample("long.png", [[0, 10, 96, 20]]),
        sample("double.png", [*ONE_BOX, [10, 10, 40, 31]]),
        sample("crowd.png", [[x, y, x + 4, y + 4] for x in range(0, 80, 8) for y in range(0, 64, 8)]),
    ]
    found = findings(look(tmp_path, train=[*sound("a"), *odd]))
    assert found["small_boxes"]["n"] == 1
    assert found["whole_image_boxes"]["n"] == 1
    assert found["long_boxes"]["n"] == 2
    assert found["double_boxes"]["examples"] == ["double.png"]
    assert found["crowded"]["examples"] == ["crowd.png"]
    assert found["long_labels"]["n"] == 1


def test_splits_that_are_empty_or_small(tmp_path: Path) -> None:
    found = findings(look(tmp_path, train=sound("a"), val=[], test=sound("c", 3)))
    assert found["empty_split"]["examples"] == ["val"]
    assert found["small_split"]["text"].startswith("test has 6 samples only")


def test_refusals_come_from_the_manifest(tmp_path: Path) -> None:
    manifest = {
        "settings": {"made_by": MADE_BY},
        "refusals": {"zero_area": 7},
        "counts": {"splits": {"train": {"boxes": 40}}, "places": {"zero_area": ["a.xml: object 3"]}},
    }
    found = look(tmp_path, train=sound("a"), manifest=manifest)
    assert findings(found)["refused"]["examples"] == ["zero_area (7)"]
    (entry,) = found.report["annotations"]
    assert (entry["outcome"], entry["n"], entry["places"]) == ("refused", 7, ["a.xml: object 3"])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"format": "auto", "formats": ["voc", "yolo"]}, "voc, yolo"),
        ({"format": "coco", "formats": ["coco"]}, "coco"),
        ({"format": "coco"}, "coco"),  # of an earlier version
        ({}, None),
    ],
)
def test_the_format_is_the_one_that_was_read(tmp_path: Path, settings: dict[str, Any], told: str | None) -> None:
    found = look(tmp_path, train=sound("a", 3), manifest={"settings": {"made_by": MADE_BY, **settings}})
    assert found.report["dataset"]["format"] == told


def test_what_is_counted_in_several_tiles_is_no_share_of_the_annotations(tmp_path: Path) -> None:
    manifest = {
        "settings": {"made_by": MADE_BY, "tiles": "320"},
        "refusals": {"class_only_ignored": 700, "class_refused": 70},
        "counts": {"splits": {"train": {"boxes": 40}}, "kept": {"mostly_outside_tile": 900, "crowd": 1}},
    }
    found = look(tmp_path, train=sound("a"), manifest=manifest)
    assert "refused" not in findings(found)
    assert {entry["reason"]: entry["unit"] for entry in found.report["annotations"]} == {
        "class_only_ignored": "class in tile", "class_refused": "annotation in tile",
        "mostly_outside_tile": "annotation in tile", "crowd": "annotation",
    }  # fmt: skip


def test_images_are_looked_at(tmp_path: Path) -> None:
    path = dataset(tmp_path, train=sound("a", 12), val=sound("b", 12))
    images = tmp_path / "images"
    (images / "a1.png").unlink()
    (images / "a2.png").write_bytes((images / "a2.png").read_bytes()[:200])
    photo(5, (50, 50)).save(images / "a3.png")
    (images / "b4.png").write_bytes((images / "a4.png").read_bytes())
    report = inspect(path).report
    found = {finding["name"]: finding for finding in report["findings"]}
    assert report["images"]["faults"] == {"missing": 1, "unreadable": 1, "other_size": 1}
    assert all(found[f"image_{fault}"]["level"] == "fault" for fault in report["images"]["faults"])
    assert found["leak_bytes"]["examples"] == ["a4.png (train) = b4.png (val)"]
    assert report["images"]["closest"][0] == {"images": ("a4.png", "b4.png"), "splits": ("train", "val"), "bits": None}
    assert "leak_looks" not in found


def test_another_image_root(tmp_path: Path) -> None:
    path = dataset(tmp_path, train=sound("a", 3))
    (tmp_path / "images").rename(tmp_path / "moved")
    report = inspect(path).report
    assert report["images"]["faults"]["missing"] == 3
    (missing,) = [finding for finding in report["findings"] if finding["name"] == "image_missing"]
    assert missing["n"] == 3 and missing["examples"] == [f"{path}/../images: no such folder (--images)"]
    assert inspect(path, tmp_path / "moved").report["images"]["faults"]["missing"] == 0


def test_one_file_is_a_dataset_too(tmp_path: Path) -> None:
    path = dataset(tmp_path, train=sound("a", 3), val=sound("b", 3))
    report = inspect(path / "val.jsonl").report
    assert list(report["splits"]) == ["val"]
    assert report["images"]["faults"]["missing"] == 0


def test_the_folders_of_the_published_code_are_a_dataset_too(tmp_path: Path) -> None:
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    photo(1).save(tmp_path / "images" / "a.png")
    turns = [{"role": "user", "content": "What is it?"}, {"role": "assistant", "content": "A cat."}]
    (tmp_path / "labels" / "a.json").write_text(json.dumps({"conversations": turns}))
    report = inspect(tmp_path).report
    assert report["images"]["faults"] == {"missing": 0, "unreadable": 0, "other_size": 0}
    assert [split["asks_no_box"] for split in report["splits"].values()] == [1]


def test_what_is_no_dataset_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        inspect(tmp_path / "nowhere")
    (tmp_path / "train.jsonl").write_text('{"id": 1}\n{"id": 2}\n')
    with pytest.raises(ManyErrors, match="2 problems"):
        inspect(tmp_path)
    (tmp_path / "train.jsonl").write_text("")
    with pytest.raises(InputError, match="every split is empty"):
        inspect(tmp_path)
    with pytest.raises(InputError, match="--cards"):
        inspect(dataset(tmp_path / "x", train=sound("a", 3)), cards=1000)


def test_the_gallery_shows_what_stands_out_and_some_of_every_class(tmp_path: Path) -> None:
    crowd = sample("crowd.png", [[x, 0, x + 5, 9] for x in range(0, 90, 10)])
    path = dataset(tmp_path, train=[*sound("a"), crowd, sample("owl.png", category="owl")])
    found = inspect(path, cards=20)
    kinds = {card.sample.id: card.kinds for card in found.cards}
    assert len(found.cards) == 20
    assert "crowded" in kinds["crowd.png#cat"]
    assert "class: owl" in kinds["owl.png#owl"]
    assert any(card.sample.label == NOT_FOUND["en"] for card in found.cards)
    assert [card.sample.id for card in inspect(path, cards=20).cards] == list(kinds)
    assert len(inspect(path, cards=0).thumbnails.inside) == 0
