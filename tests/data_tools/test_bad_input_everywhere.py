"""Bad input as laws over formats and tasks: names that lead out, numbers that are none, words like answers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from data_tools.convert import Options, convert
from data_tools.readers import open_auto
from data_tools.readers.coco import open_coco
from data_tools.tasks import TASKS
from grounding.errors import InputError
from grounding.samples import read_samples
from grounding.text import is_not_found, read_boxes
from tests.data_tools import sets as made
from tests.data_tools.annotated import coco_box, coco_file, coco_image, image, jsonl_file, text_file
from tests.data_tools.test_bad_input import AWKWARD

Build = Callable[[Path], Path]


def labelme(folder: Path) -> Path:
    """Of one picture, so that there is one file."""
    return made.labelme(folder, {"1": made.TRUTH["1"]})


NAMED: list[Build] = [made.coco, made.lvis, made.odvg, made.referring, made.swift, labelme]
IN_JSON: list[Build] = [*NAMED, made.visual_genome]
OUT = ("../secret.png", "a/../../secret.png", "{root}/secret.png", "..\\secret.png", "C:\\secret.png", "", "\0")


def file_of(source: Path) -> Path:
    return source if source.is_file() else next(source.glob("*.json"))


def rewritten(source: Path, change: Callable[[Any], None]) -> None:
    """Changes the document of an annotation file, or each line of one, in place."""
    path = file_of(source)
    lines = path.suffix == ".jsonl"
    documents = [json.loads(text) for text in (path.read_text().splitlines() if lines else [path.read_text()])]
    for document in documents:
        change(document)
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object in a document, outer ones first."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(inner)


@pytest.mark.parametrize("stated", OUT)
@pytest.mark.parametrize("build", NAMED, ids=lambda build: build.__name__)
def test_no_name_leads_out_of_the_image_root(tmp_path: Path, build: Build, stated: str) -> None:
    image(tmp_path, "secret.png")
    name = stated.format(root=tmp_path)
    source = build(tmp_path / "set")

    def lead_out(document: Any) -> None:
        for found in objects(document):
            for key in ("file_name", "filename", "imagePath"):
                if key in found:
                    found[key] = name
            if "images" in found and isinstance(found["images"][0], str):
                found["images"] = [name]

    rewritten(source, lead_out)
    (read,) = open_auto(source, None, {})
    assert not read.records
    assert {"bad_file_name", "malformed_image", "malformed_line"} & read.tally.counts.keys()
    with pytest.raises(InputError, match="nothing is left to write"):
        convert([("train", source)], tmp_path / "out", Options(format="auto"))


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 10**400])
@pytest.mark.parametrize("build", IN_JSON, ids=lambda build: build.__name__)
def test_a_number_that_is_none_costs_its_box_alone(tmp_path: Path, build: Build, number: Any) -> None:
    source = build(tmp_path / "set")
    before = boxes_of(source)
    done: list[bool] = []

    def spoil(document: Any) -> None:
        for found in objects(document):
            listed = next((name for name in ("bbox", "points") if name in found), None)
            holder, key = (found[listed], 0) if listed else (found, "x")
            if done or not holder or (key == "x" and key not in found):
                continue
            if isinstance(holder[0] if key == 0 else None, list):
                holder = holder[0]
            holder[key] = number
            done.append(True)

    rewritten(source, spoil)
    assert done
    assert boxes_of(source) == before - 1
    (read,) = open_auto(source, None, {})
    assert {"not_finite", "unwritable_box"} & read.tally.counts.keys()


def boxes_of(source: Path) -> int:
    (read,) = open_auto(source, None, {})
    return sum(
        len(record.annotations)
        + sum(len(phrase.boxes_px) for phrase in record.phrases)
        + sum(len(sample.boxes or []) for sample in record.samples)
        for record in read.records
    )


def test_numbers_that_are_none_are_told_by_line_in_a_set_of_ones_own(tmp_path: Path) -> None:
    line = (
        '{"id": "a", "image": "a.png", "width": 9, "height": 9, "prompt": "?", "label": "x", "boxes": [[1, 1, %s, 5]]}'
    )
    text_file(tmp_path, "x.jsonl", "".join(f"{line % number}\n" for number in ("NaN", "Infinity", "9")))
    with pytest.raises(InputError, match=r"(?s)2 times: .*x\.jsonl:1; .*x\.jsonl:2\)"):
        read_samples(tmp_path / "x.jsonl")


def test_awkward_names_of_classes_spoil_no_label_of_any_task(tmp_path: Path) -> None:
    names = (*AWKWARD, "Cat", "cat", "cats; dog", "没有更多了。")
    number = 2 * len(names)
    entries = [coco_image(n, f"{n}.png", (400, 300)) for n in range(number)]
    boxes = [coco_box(n, n % len(names) + 1, [9 + 130 * k, 9 + n, 60, 40]) for n in range(number) for k in range(3)]
    boxes += [coco_box(n, (n + 1) % len(names) + 1, [9, 200, 60, 40]) for n in range(len(names))]
    path = coco_file(tmp_path, entries, boxes, names, draw=True)
    options = Options(tasks=tuple(TASKS), langs=("en", "zh"), negatives=1.0)
    samples = convert([("train", path)], tmp_path / "out", options).samples["train"]
    assert {sample.task for sample in samples} == set(TASKS)
    for sample in samples:
        reading = read_boxes(sample.label)
        if sample.boxes is None:
            continue
        assert len(reading.xyxy_grid) == len(sample.boxes), sample
        assert reading.not_found == (not sample.boxes), sample
        assert not reading.refusals, sample
        assert sample.boxes or is_not_found(sample.label), sample
    assert read_samples(tmp_path / "out" / "train.jsonl") == samples


@pytest.mark.parametrize("encoding", ["latin-1", "gb18030"])
def test_json_in_no_unicode_is_told_with_its_file(tmp_path: Path, encoding: str) -> None:
    path = coco_file(tmp_path, [coco_image(1)], [])
    path.write_bytes(path.read_text().replace('"cat"', '"é"' if encoding == "latin-1" else '"狗"').encode(encoding))
    with pytest.raises(InputError, match=r"instances\.json: is no JSON"):
        open_coco(path, None, {})


def test_lines_in_no_unicode_cost_themselves(tmp_path: Path) -> None:
    image(tmp_path, "a.png")
    instances = [{"bbox": [1, 1, 5, 5], "label": 0, "category": "cat"}]
    line = {"filename": "a.png", "width": 40, "height": 30, "detection": {"instances": instances}}
    path = jsonl_file(tmp_path, "x.jsonl", [line, {**line, "filename": "b.png"}])
    first, second = path.read_bytes().splitlines()
    path.write_bytes(first + b"\n" + second.replace(b"cat", "é".encode("latin-1")) + b"\n")
    (read,) = open_auto(path, None, {})
    assert [record.name for record in read.records] == ["a.png"]
    assert dict(read.tally.counts) == {"malformed_line": 1}


def test_a_file_that_says_what_classes_are_called_may_say_awkward_things(tmp_path: Path) -> None:
    path = coco_file(
        tmp_path, [coco_image(n) for n in (1, 2)], [coco_box(1, c, [c, 1, 9, 9]) for c in (1, 2)], draw=True
    )
    names = "\ufeffcat: {en: ['{boxes}', '[[1,2,3,4]]']}\ndog: {en: No matching object was found}\n"
    text_file(tmp_path, "names.yaml", names)
    options = Options(names=tmp_path / "names.yaml", negatives=9.0, tasks=tuple(TASKS))
    samples = convert([("train", path)], tmp_path / "out", options).samples["train"]
    for sample in samples:
        reading = read_boxes(sample.label)
        assert sample.boxes is None or (len(reading.xyxy_grid), reading.not_found) == (
            len(sample.boxes),
            not sample.boxes,
        )
