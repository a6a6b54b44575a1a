"""Prompts with their answers: ms-swift lines, conversations of this project, CogVLM's folders; read and converted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from data_tools.convert import Options, convert
from data_tools.readers.conversations import open_conversations
from data_tools.readers.swift import open_swift
from data_tools.records import Source
from grounding.errors import InputError, ManyErrors
from grounding.samples import read_dataset
from grounding.text import read_boxes
from tests.data_tools.annotated import coco_box, coco_file, coco_image, image, json_file, jsonl_file


def turn(query: Any, answer: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": query}, {"role": "assistant", "content": answer}]


def swift_line(messages: Any, objects: Any = None, images: Any = ("a.png",)) -> dict[str, Any]:
    line = {"messages": messages, "images": list(images) if isinstance(images, tuple) else images}
    return line if objects is None else {**line, "objects": objects}


def swift(folder: Path, lines: list[Any]) -> Source:
    image(folder, "a.png")
    (source,) = open_swift(jsonl_file(folder, "set.jsonl", lines), None, {})
    return source


FIND = turn("<image>Find the <ref-object> in the image", "<bbox><bbox>")


def test_swift_placeholders_are_filled_in_their_order(tmp_path: Path) -> None:
    boxes = [[4, 3, 20, 15], [0, 0, 40, 30]]
    source = swift(tmp_path, [swift_line(FIND, {"ref": ["sheep"], "bbox": boxes})])
    ((sample,),) = (record.samples for record in source.records)
    assert (sample.prompt, sample.phrase, sample.task) == ("Find the sheep in the image", "sheep", "phrase_to_boxes")
    assert sample.boxes == boxes
    assert sample.label == "[[000,000,999,999;100,100,500,500]]"
    assert (sample.image, sample.width, sample.height) == ("a.png", 40, 30)
    assert (source.absence, dict(source.tally.counts)) == ("none", {})


def test_swift_fractions_captions_and_turns(tmp_path: Path) -> None:
    messages = [
        {"role": "system", "content": "You help."},
        *turn("<image>\nDescribe.", "<ref-object><bbox> beside <ref-object> <bbox>"),
        *turn("What is in <bbox>?", "A dog."),
        *turn("打开浏览器", "click(start_box='<bbox>')"),
    ]
    boxes = [[0.1, 0.1, 0.5, 0.5], [0, 0, 1, 1], [0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]]
    objects = {"ref": ["a dog", "a cat"], "bbox": boxes, "bbox_type": "norm1"}
    source = swift(tmp_path, [swift_line(messages, objects)])
    caption, asked, opened = source.records[0].samples
    assert caption.prompt == "Describe."
    assert caption.label == "a dog[[100,100,500,500]] beside a cat [[000,000,999,999]]"
    assert (caption.task, caption.boxes) == ("caption_with_boxes", [[4, 3, 20, 15], [0, 0, 40, 30]])
    assert (asked.prompt, asked.task, asked.boxes) == ("What is in [[000,000,500,500]]?", "box_to_phrase", None)
    assert (opened.task, opened.lang, opened.boxes) == ("phrase_to_boxes", "zh", [[20, 15, 40, 30]])
    assert opened.history == [("Describe.", caption.label), (asked.prompt, "A dog.")]
    assert dict(source.tally.counts) == {"system_message": 1}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (swift_line(FIND, {"ref": ["x"], "bbox": [[1, 1, 1, 5], [1, 1, 5, 5]]}), "unwritable_box"),
        (swift_line(FIND, {"ref": ["x"], "bbox": [[90, 1, 95, 5], [1, 1, 5, 5]]}), "unwritable_box"),
        (swift_line(FIND, {"ref": ["x"], "bbox": [[615, 226]]}), "unwritable_box"),
        (swift_line(FIND, {"ref": ["x"], "bbox": [[float("inf"), 1, 2, 3]]}), "unwritable_box"),
        (swift_line(FIND, {"ref": ["x"], "bbox": [[1, 1, 5, 5]]}), "malformed_sample"),
        (swift_line(FIND, {"ref": [], "bbox": [[1, 1, 5, 5]] * 2}), "malformed_sample"),
        (swift_line(FIND, {"ref": ["x"], "bbox": [[1, 1, 5, 5]] * 3}), "malformed_sample"),
        (swift_line(FIND, {"ref": ["x"], "bbox": [], "bbox_type": "pixels"}), "malformed_sample"),
        (swift_line(FIND[:1]), "malformed_sample"),
        (swift_line(turn("<image>find", None)), "malformed_sample"),
        (swift_line("hello"), "malformed_line"),
        (5, "malformed_line"),
        (swift_line(turn("a", "b"), images=None), "text_only"),
        (swift_line(turn("a", "b"), images=()), "text_only"),
        (swift_line(turn("a", "b"), images=("a.png", "b.png")), "several_images"),
        (swift_line(turn("a", "b"), images=("../a.png",)), "bad_file_name"),
        (swift_line(turn("a", "b"), images=("/etc/a.png",)), "bad_file_name"),
        (swift_line(turn("a", "b"), images=("gone.png",)), "missing_image"),
    ],
)
def test_a_wrong_swift_line_is_refused_alone(tmp_path: Path, line: Any, reason: str) -> None:
    source = swift(tmp_path, [line, swift_line(turn("<image>hello", "there"))])
    assert [[sample.label for sample in record.samples] for record in source.records] == [["there"]]
    with_image = {"image_refused": 1} if reason in ("several_images", "bad_file_name", "missing_image") else {}
    assert dict(source.tally.counts) == {reason: 1, **with_image}
    assert source.tally.examples[reason][0].place.startswith("set.jsonl:1")


def test_swift_paths_below_the_image_root_and_clipped_boxes(tmp_path: Path) -> None:
    path = str((tmp_path / "a.png").resolve())
    objects = {"ref": ["x"], "bbox": [[-2, 1, 50, 5], [1, 1, 5, 5]]}
    source = swift(tmp_path, [swift_line(FIND, objects, (path,)), swift_line(FIND, objects, [{"path": path}])])
    (record,) = source.records
    assert [sample.boxes for sample in record.samples] == [[[0, 1, 40, 5], [1, 1, 5, 5]]] * 2
    assert dict(source.tally.counts) == {"clipped": 2}


def test_ready_samples_are_split_checked_and_written_beside_others(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    lines = [
        {"id": "x", "image": "a.png", "conversations": [{"from": "human", "value": "<image>\nWhat?"},
                                                        {"from": "gpt", "value": "A dog."}]},
        {"id": "x", "image": "b.png", "conversations": [{"from": "human", "value": "<image>\nWhere?"},
                                                        {"from": "gpt", "value": "[[000,000,500,500]]"}],
         "width": 40, "height": 30, "boxes": [[0, 0, 20, 15]]},
        {"id": "y", "image": "gone.png", "conversations": [{"from": "human", "value": "a"},
                                                           {"from": "gpt", "value": "b"}]},
        {"id": "z", "conversations": [{"from": "human", "value": "Hello?"}, {"from": "gpt", "value": "Hello."}]},
    ]  # fmt: skip
    paths = [jsonl_file(folder, "first.jsonl", lines[:1]), jsonl_file(folder, "second.jsonl", lines[1:])]
    for colour, name in enumerate("ab"):
        image(folder, f"{name}.png", colour=colour)
    made = convert([("train", path) for path in paths], tmp_path / "out", Options(format="conversations"))
    samples = read_dataset(tmp_path / "out" / "train.jsonl").samples
    assert samples == made.samples["train"]
    assert [(s.id, s.image, s.prompt, s.label, s.boxes, s.task) for s in samples] == [
        ("x", "a.png", "What?", "A dog.", None, "text"),
        ("x#2", "b.png", "Where?", "[[000,000,500,500]]", [[0, 0, 20, 15]], "phrase_to_boxes"),
    ]
    assert [(s.width, s.height) for s in samples] == [(40, 30)] * 2
    assert made.manifest.refusals == {"image_refused": 1, "text_only": 1, "missing_image": 1}
    assert made.manifest.counts["kept"] == {"asks_no_box": 1}
    assert [made.splits["train"][name] for name in ("found", "not_found", "samples")] == [1, 0, 2]


def test_a_sample_of_another_size_than_its_image_is_refused(tmp_path: Path) -> None:
    talk = [{"from": "human", "value": "Where?"}, {"from": "gpt", "value": "[[000,000,500,500]]"}]
    line = {"id": "x", "image": "a.png", "conversations": talk, "width": 80, "height": 60, "boxes": [[0, 0, 20, 15]]}
    path = jsonl_file(tmp_path, "mine.jsonl", [line])
    image(tmp_path, "a.png")
    with pytest.raises(InputError, match="size_disagrees"):
        convert([(None, path)], tmp_path / "out", Options(format="conversations"))


def test_a_dataset_of_ours_goes_through_unchanged(tmp_path: Path) -> None:
    boxes = [coco_box(n, n % 2 + 1, [1, 1, 5 + n, 5]) for n in range(6)]
    first = coco_file(tmp_path / "coco", [coco_image(n) for n in range(6)], boxes, draw=True)
    once = convert([(None, first)], tmp_path / "once", Options(ratios=(0.5, 0.5, 0.0)))
    for style in ("pairs", "conversations"):
        convert([(None, first)], tmp_path / style, Options(ratios=(0.5, 0.5, 0.0), style=style))  # type: ignore[arg-type]
        again = convert([(None, tmp_path / style)], tmp_path / f"{style}2", Options(format="conversations"))
        for split in ("train", "val", "test"):
            assert sorted(s.id for s in again.samples[split]) == sorted(s.id for s in once.samples[split])
            truths = {s.id: (s.prompt, s.label, s.boxes, s.category) for s in once.samples[split]}
            assert {s.id: (s.prompt, s.label, s.boxes, s.category) for s in again.samples[split]} == truths


def test_cogvlm_folders(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    image(folder / "images", "a/1.jpg")
    talk = [*turn("Where is the dog?", "[[100,100,500,500]]"), *turn("And the cat?", "No.")]
    json_file(folder, "labels_en/a/1.json", {"conversations": talk})
    (source,) = open_conversations(folder, None, {})
    assert [(r.name, [(s.id, s.boxes) for s in r.samples]) for r in source.records] == [
        ("a/1.jpg", [("labels_en/a/1#1", None), ("labels_en/a/1#2", None)])
    ]
    made = convert([(None, folder)], tmp_path / "out", Options(format="conversations"))
    samples = [sample for split in made.samples.values() for sample in split]
    assert [len(sample.history) for sample in samples] == [0, 1]
    assert len(read_boxes(samples[0].label).xyxy_grid) == 1
    before = source.inputs
    json_file(folder, "labels_en/a/1.json", {"conversations": talk[:2]})
    assert open_conversations(folder, None, {})[0].inputs != before


def test_what_is_no_conversation_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such"):
        open_conversations(tmp_path / "gone", None, {})
    with pytest.raises(InputError, match=r"no train\.jsonl"):
        open_conversations(tmp_path, None, {})
    with pytest.raises(ManyErrors):
        open_conversations(jsonl_file(tmp_path, "x.jsonl", [{"id": "x"}, 5]), None, {})


def test_answers_that_are_too_long_are_refused_and_counted_whatever_is_known_of_their_boxes(tmp_path: Path) -> None:
    def line(name: str, answer: str, **more: Any) -> dict[str, Any]:
        talk = [{"from": "human", "value": "Where?"}, {"from": "gpt", "value": answer}]
        return {"id": name, "image": "a.png", "conversations": talk, **more}

    pair = "[[000,000,500,500;100,100,900,900]]"  # 33 tokens
    known = {"width": 40, "height": 30, "boxes": [[0, 0, 20, 15], [4, 3, 36, 27]]}
    lines = [line("long", pair), line("known", pair, **known), line("short", "[[000,000,500,500]]")]
    source = jsonl_file(tmp_path, "mine.jsonl", lines)
    image(tmp_path, "a.png")
    options = Options(format="conversations", max_answer_tokens=30)
    made = convert([("train", source)], tmp_path / "out", options)
    assert [sample.id for sample in made.samples["train"]] == ["short"]
    assert made.manifest.refusals == {"answer_too_long": 2}
    assert made.splits["train"]["ready"] == 1
    assert "ready" not in made.splits["val"]
