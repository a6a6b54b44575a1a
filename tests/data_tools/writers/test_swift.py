"""ms-swift lines: what is written is read back as the same samples by the project's own reader."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_tools.convert import Options, convert
from data_tools.readers.swift import open_swift
from data_tools.tasks import TASKS
from data_tools.writers.swift import to_line, write_swift
from grounding.samples import Sample
from grounding.text import write_boxes
from tests.data_tools.annotated import coco_box, coco_file, coco_image
from tests.samples.making import make


def read_back(path: Path, images: Path) -> list[Sample]:
    (source,) = open_swift(path, images, {})
    assert not source.tally.counts
    return [sample for record in source.records for sample in record.samples]


def converted(folder: Path) -> Sequence[Sample]:
    """Samples of every task, both languages, with crowds, classes named like numbers and words in words."""
    names = ("cat", "at", "猫", "0", "red_car")
    entries = [coco_image(number, f"{number}.png", (400, 300)) for number in range(12)]
    boxes = [
        coco_box(n, 1 + (n + k // 2) % 5, [10.5 + 60 * k, 7.25 + 9 * n, 40.125, 33], iscrowd=int(k == 5 and n % 3 == 0))
        for n in range(12)
        for k in range(n % 7)
    ]
    source = coco_file(folder, entries, boxes, names, draw=True)
    options = Options(tasks=tuple(TASKS), langs=("en", "zh"), negatives=1.0)
    return convert([("train", source)], folder / "out", options).samples["train"]


def test_what_is_written_reads_back_as_the_same_samples(tmp_path: Path) -> None:
    samples = converted(tmp_path)
    assert {sample.task for sample in samples} == set(TASKS)
    write_swift(tmp_path / "out.jsonl", samples)
    assert sorted(read_back(tmp_path / "out.jsonl", tmp_path), key=lambda s: s.id) == sorted(
        samples, key=lambda sample: sample.id
    )


def test_a_line_as_ms_swift_documents_it() -> None:
    sample = make(prompt="Where is dog? A doghouse is no dog.", boxes=[[55.0, 259.2, 256.0, 364.8], [0, 0, 320, 240]],
                  label="[[000,000,500,500;086,540,400,760]]")  # fmt: skip
    line = to_line(sample)
    assert line["messages"] == [
        {"role": "user", "content": "<image>\nWhere is <ref-object>? A doghouse is no <ref-object>."},
        {"role": "assistant", "content": "<bbox><bbox>"},
    ]
    assert line["images"] == ["dogs/1.jpg"]
    boxes = [[0, 0, 320, 240], [55.0, 259.2, 256.0, 364.8]]
    assert line["objects"] == {"ref": ["dog", "dog"], "bbox": boxes, "bbox_type": "real"}


def test_boxes_that_no_truth_is_known_of_go_out_by_the_grid() -> None:
    sample = make(prompt="What is in [[100,200,300,400]]?", label="dog", boxes=None, task="box_to_phrase")
    line = to_line(sample)
    assert line["messages"][0]["content"] == "<image>\nWhat is in <bbox>?"
    assert line["objects"]["bbox"] == [[64.0, 96.0, 192.0, 192.0]]
    unsized = to_line(make(prompt="What is in [[100,200,300,400]]?", boxes=None, width=None, height=None))
    assert unsized["messages"][0]["content"].endswith("[[100,200,300,400]]?")


def test_earlier_turns_upright_frames_and_truths_other_than_the_label(tmp_path: Path) -> None:
    samples = [
        make(id="a", image="a.png", history=[("Where is cat?", "[[001,001,002,002]]"), ("Is it red?", "No.")]),
        make(id="b", image="a.png", boxes=[[1.0, 2.0, 3.0, 4.0]], ignore=[[0.0, 0.0, 9.0, 9.0]]),
        make(id="c", image="b.png", upright=True, lang="zh", category=None),
    ]
    write_swift(tmp_path / "x.jsonl", samples)
    assert read_back(tmp_path / "x.jsonl", tmp_path) == samples


words = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters="<[]"), min_size=1, max_size=6)
corner = st.integers(0, 300)


@given(
    words, st.lists(st.tuples(corner, corner, st.integers(1, 99), st.integers(1, 99)), min_size=1, max_size=4), words
)
def test_placeholders_and_their_lists_are_as_many_and_fill_to_the_same_words(
    phrase: str, sides: list[tuple[int, ...]], around: str
) -> None:
    boxes = [[x / 3, y / 3, x / 3 + w, y / 3 + h] for x, y, w, h in sides]
    label = f"{phrase}{around} {write_boxes(boxes, (640, 480)).text}"
    sample = make(phrase=phrase, prompt=f"{around}{phrase}? {phrase}", label=label, boxes=boxes)
    line = to_line(sample)
    text = "\n".join(message["content"] for message in line["messages"])
    refs, given_boxes = line["objects"]["ref"], line["objects"]["bbox"]
    assert (text.count("<ref-object>"), text.count("<bbox>")) == (len(refs), len(given_boxes))
    assert sorted(given_boxes) == sorted(boxes)
    filled = re.sub("(?:<bbox>)+", write_boxes(given_boxes, (640, 480)).text, text).replace("<ref-object>", phrase)
    assert filled == f"<image>\n{sample.prompt}\n{sample.label}"


@pytest.mark.parametrize(
    "truth",
    [
        "",
        "{",
        "{}",
        "\ud800",
        5,
        {},
        {"boxes": "x"},
        {"task": "dance"},
        {"boxes": [[5, 5, 1, 9]]},
        {"categories": ["a", "b"]},
        {"new": 1},
    ],
)
def test_a_truth_that_cannot_be_costs_its_line_alone(tmp_path: Path, truth: Any) -> None:
    write_swift(tmp_path / "x.jsonl", [make(id="a", image="a.png"), make(id="b", image="a.png")])
    first, second = (json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines())
    first["truth"] = json.dumps({**json.loads(first["truth"]), **truth}) if truth and isinstance(truth, dict) else truth
    (tmp_path / "x.jsonl").write_text(f"{json.dumps(first)}\n{json.dumps(second)}\n")
    (source,) = open_swift(tmp_path / "x.jsonl", tmp_path, {})
    assert [sample.id for record in source.records for sample in record.samples] == ["b"]
    assert dict(source.tally.counts) == {"malformed_sample": 1}


def test_columns_have_one_type_whatever_is_null_in_the_first_lines() -> None:
    """A loader that takes types from the first lines must not stumble over later ones."""
    samples = [
        make(),
        make(category=None, phrase=None, boxes=None),
        make(categories=["dog"], ignore=[[0.0, 0.0, 9.0, 9.0]]),
    ]
    lines = [to_line(sample) for sample in samples]
    assert {tuple((key, type(value)) for key, value in line.items()) for line in lines} == {
        (("messages", list), ("images", list), ("objects", dict), ("truth", str))
    }
