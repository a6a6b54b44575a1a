"""`--format auto`: each format is recognised by what it holds, and one set reads the same in all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_tools.convert import Options, convert
from data_tools.readers import OWN, Format, open_auto
from data_tools.records import Source
from grounding.errors import InputError
from tests.data_tools.annotated import (
    SIZE,
    coco_box,
    coco_file,
    coco_image,
    csv_file,
    image,
    json_file,
    jsonl_file,
    text_file,
    voc_folder,
    voc_object,
    voc_xml,
)
from tests.data_tools.readers.test_formats import bring

# One set for all formats that have classes: two pictures, boxes as corners.
TRUTH = {
    "1": [("cat", (4, 3, 20, 15)), ("dog", (0, 0, 40, 30)), ("cat", (10, 6, 30, 24))],
    "2": [("dog", (8, 9, 16, 21))],
}
NAMES = ("cat", "dog")


def coco(folder: Path, **more: Any) -> Path:
    boxes = [
        coco_box(int(stem), NAMES.index(name) + 1, [x0, y0, x1 - x0, y1 - y0])
        for stem, objects in TRUTH.items()
        for name, (x0, y0, x1, y1) in objects
    ]
    coco_file(folder, [coco_image(int(stem), **more) for stem in TRUTH], boxes, draw=True)
    return folder


def lvis(folder: Path) -> Path:
    return coco(folder, neg_category_ids=[], not_exhaustive_category_ids=[])


def voc(folder: Path) -> Path:
    files = {
        stem: voc_xml([voc_object(name, x0 + 1, y0 + 1, x1, y1) for name, (x0, y0, x1, y1) in objects])
        for stem, objects in TRUTH.items()
    }
    return voc_folder(folder, files)


def yolo(folder: Path) -> Path:
    for colour, (stem, objects) in enumerate(TRUTH.items()):
        image(folder / "images", f"{stem}.png", colour=colour)
        rows = [
            f"{NAMES.index(name)} {(x0 + x1) / 80} {(y0 + y1) / 60} {(x1 - x0) / 40} {(y1 - y0) / 30}\n"
            for name, (x0, y0, x1, y1) in objects
        ]
        text_file(folder, f"labels/{stem}.txt", "".join(rows))
    text_file(folder, "data.yaml", "train: images\nnames: [cat, dog]\n")
    return folder


def openimages(folder: Path) -> Path:
    rows = [
        (stem, f"/m/{name}", x0 / 40, x1 / 40, y0 / 30, y1 / 30)
        for stem, objects in TRUTH.items()
        for name, (x0, y0, x1, y1) in objects
    ]
    csv_file(folder, "train-annotations-bbox.csv", [("ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax"), *rows])
    csv_file(folder, "class-descriptions-boxable.csv", [(f"/m/{name}", name) for name in NAMES])
    for colour, stem in enumerate(TRUTH):
        image(folder / "train", f"{stem}.jpg", colour=colour)
    return folder


def odvg(folder: Path) -> Path:
    lines = []
    for colour, (stem, objects) in enumerate(TRUTH.items()):
        image(folder, f"{stem}.png", colour=colour)
        instances = [{"bbox": box, "label": NAMES.index(name), "category": name} for name, box in objects]
        entry = {"filename": f"{stem}.png", "width": SIZE[0], "height": SIZE[1]}
        lines.append({**entry, "detection": {"instances": instances}})
    return jsonl_file(folder, "odvg.jsonl", lines)


def referring(folder: Path) -> Path:
    image(folder, "1.png")
    box = {"image_id": 0, "bbox": [1, 1, 5, 5], "category_id": 1}
    document = {"images": [coco_image(0, "1.png", caption="a dog", dataset_name="refcoco")], "annotations": [box]}
    return json_file(folder, "finetune_refcoco_train.json", {**document, "categories": [{"id": 1, "name": "dog"}]})


def visual_genome(folder: Path) -> Path:
    image(folder, "1.jpg")
    region = {"phrase": "a dog", "x": 1, "y": 1, "width": 5, "height": 5}
    json_file(folder, "region_descriptions.json", [{"id": 1, "regions": [region]}])
    return folder


def swift(folder: Path) -> Path:
    image(folder, "1.png")
    talk = [{"role": "user", "content": "Where is <ref-object>?"}, {"role": "assistant", "content": "<bbox>"}]
    line = {"messages": talk, "images": ["1.png"], "objects": {"ref": ["a dog"], "bbox": [[1, 1, 6, 6]]}}
    return jsonl_file(folder, "swift.jsonl", [line])


def conversations(folder: Path) -> Path:
    image(folder / "images", "1.png")
    talk = [{"role": "user", "content": "Where is a dog?"}, {"role": "assistant", "content": "[[025,033,150,200]]"}]
    json_file(folder, "labels/1.json", {"conversations": talk})
    return folder


CLASSES = {"coco": coco, "lvis": lvis, "voc": voc, "yolo": yolo, "openimages": openimages, "odvg": odvg}
PROMPTS = {
    "referring": referring,
    "visual_genome": visual_genome,
    "swift": swift,
    "conversations": conversations,
}
BUILDERS: dict[str, Callable[[Path], Path]] = {**CLASSES, **PROMPTS}


def test_every_format_has_a_builder_here() -> None:
    assert set(BUILDERS) == set(OWN)


@pytest.mark.parametrize("name", BUILDERS)
def test_a_format_is_recognised_and_it_is_said_how(tmp_path: Path, name: str) -> None:
    (source,) = open_auto(BUILDERS[name](tmp_path / "set"), None, {})
    assert source.taken["format"].startswith(f"{name}: ")
    assert source.records
    assert [judge for judge in OWN if OWN[judge].recognise is None] == []


@pytest.mark.parametrize("name", CLASSES)
def test_one_set_reads_the_same_in_every_format(tmp_path: Path, name: str) -> None:
    made = convert([("train", BUILDERS[name](tmp_path / "set"))], tmp_path / "out", Options(format="auto", negatives=0))
    found = {(Path(s.image or "").stem, s.category): s.boxes for s in made.samples["train"]}
    expected: dict[tuple[str, str], list[Any]] = {}
    for stem, objects in TRUTH.items():
        for category, box in objects:
            expected.setdefault((stem, category), []).append(pytest.approx(box))
    assert found == expected
    assert not made.manifest.refusals
    assert sum(made.splits["train"]["classes"][category]["boxes"] for category in NAMES) == 4


@pytest.mark.parametrize("name", PROMPTS)
def test_one_prompt_reads_the_same_in_every_format(tmp_path: Path, name: str) -> None:
    made = convert([("train", BUILDERS[name](tmp_path / "set"))], tmp_path / "out", Options(format="auto"))
    (sample,) = made.samples["train"]
    assert "a dog" in sample.prompt
    assert sample.label.endswith("[[025,033,150,200]]")
    assert sample.boxes == (None if name == "conversations" else [[1, 1, 6, 6]])
    assert not made.manifest.refusals


def test_a_folder_of_two_formats_is_told_with_both(tmp_path: Path) -> None:
    coco(tmp_path)
    voc(tmp_path)
    with pytest.raises(InputError, match=r"2 formats: coco: instances\.json .*; voc: Annotations/1\.xml") as caught:
        open_auto(tmp_path, None, {})
    assert "one of: coco, voc." in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.json", "{"), ("x.json", '{"images": []}'), ("x.jsonl", "hello\n"), ("x.txt", "0 1 1 1 1"), ("x.csv", "a,b\n")],
)
def test_what_is_not_recognised_is_told(tmp_path: Path, name: str, content: str) -> None:
    with pytest.raises(InputError, match=r"not recognised.*|no JSON") as caught:
        open_auto(text_file(tmp_path, name, content), None, {})
    assert "coco, voc, yolo" in str(caught.value)


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        open_auto(tmp_path / "gone", None, {})


def test_nan_and_one_long_line_do_not_hide_a_format(tmp_path: Path) -> None:
    path = coco(tmp_path) / "instances.json"
    path.write_text(path.read_text().replace("[4, 3, 16, 12]", "[NaN, 3, 16, 12]"))
    (source,) = open_auto(path, None, {})
    assert source.taken["format"].startswith("coco: ")
    assert source.tally.counts == {"not_finite": 1}


def open_mine(*_: Any) -> list[Source]:
    return []


MINE = Format(open_mine, lambda look: "it ends in .mine" if look.path.suffix == ".mine" else None)


def test_a_brought_format_may_be_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(monkeypatch, "mine", f"{__name__}:MINE")
    assert open_auto(text_file(tmp_path, "a.mine", ""), None, {}) == []
    bring(monkeypatch, "mine", f"{__name__}:open_mine")  # a bare reader is never guessed
    with pytest.raises(InputError, match="not recognised"):
        open_auto(text_file(tmp_path, "a.mine", ""), None, {})
