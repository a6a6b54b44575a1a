"""Conversations of others: several answers a line, image marks, missing truth; CogVLM's folder of images and labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from grounding.errors import InputError, ManyErrors
from grounding.samples import Sample, read_cogvlm_folder, read_dataset, read_samples

TALK = [
    {"from": "human", "value": "<image>\nWhat is this?"},
    {"from": "gpt", "value": "A zebra."},
    {"from": "human", "value": "And where?"},
    {"from": "gpt", "value": "In a field."},
]


def read_line(tmp_path: Path, line: dict[str, Any]) -> list[Sample]:
    path = tmp_path / "talk.jsonl"
    path.write_text(json.dumps(line), encoding="utf-8")
    return read_samples(path)


def test_without_truth_keys_no_box_is_asked(tmp_path: Path) -> None:
    (sample,) = read_line(tmp_path, {"id": "z", "image": "z.jpg", "conversations": TALK[:2]})
    assert sample == Sample(
        id="z",
        image="z.jpg",
        width=None,
        height=None,
        prompt="What is this?",
        label="A zebra.",
        boxes=None,
        task="text",
    )


def test_with_truth_the_task_is_to_find_all(tmp_path: Path) -> None:
    line = {"id": "z", "image": "z.jpg", "width": 9, "height": 9, "boxes": [], "conversations": TALK[:2]}
    assert read_line(tmp_path, line)[0].task == "phrase_to_boxes"
    assert read_line(tmp_path, {**line, "task": "presence"})[0].task == "presence"


def test_each_answer_is_a_sample_with_the_earlier_turns_as_history(tmp_path: Path) -> None:
    first, second = read_line(tmp_path, {"id": "z", "image": "z.jpg", "conversations": TALK})
    assert (first.id, first.prompt, first.label, first.history) == ("z#1", "What is this?", "A zebra.", [])
    assert (second.id, second.prompt, second.label) == ("z#2", "And where?", "In a field.")
    assert second.history == [("What is this?", "A zebra.")] and second.image == "z.jpg"


@pytest.mark.parametrize(
    ("value", "image", "prompt"),
    [
        ("<image>\nWhat?", "z.jpg", "What?"),
        ("<image>What?", "z.jpg", "What?"),
        ("What?\n<image>", "z.jpg", "What?"),
        ("What?", "z.jpg", "What?"),
        ("<image>\n<image>\nWhat?", "z.jpg", "<image>\nWhat?"),
        ("What is <image> for?", "z.jpg", "What is <image> for?"),
        ("<image>\nWhat?", None, "<image>\nWhat?"),
    ],
)
def test_the_image_mark_is_taken_off_once(tmp_path: Path, value: str, image: str | None, prompt: str) -> None:
    line = {"id": "z", "image": image, "conversations": [{"from": "human", "value": value}, TALK[1]]}
    assert read_line(tmp_path, line)[0].prompt == prompt


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"conversations": []}, "found no message"),
        ({"conversations": TALK[:1]}, "found human"),
        ({"conversations": TALK[:3]}, "found human, gpt, human"),
        ({"conversations": TALK[1:3]}, "found gpt, human"),
        ({"conversations": [TALK[0], TALK[2]]}, "found human, human"),
        (
            {"conversations": [{"from": "system", "value": "x"}]},
            "`conversations[0].from`: invalid enum value 'system'; allowed are human, gpt",
        ),
        ({"conversations": [{"from": "human"}]}, "the key `value` is missing in `conversations[0]`"),
        (
            {"conversations": [{"from": "human", "value": "x", "y": 1}]},
            "the key `y` is not known in `conversations[0]`",
        ),
        ({"conversations": TALK, "boxes": [], "width": 1, "height": 1}, "for several answers"),
        ({"conversations": TALK, "history": [["a", "b"]]}, "for several answers"),
        ({"boxs": []}, "the key `boxs` is not known; the keys are id, image, conversations, width"),
    ],
)
def test_a_wrong_conversation_is_told(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as raised:
        read_line(tmp_path, {"id": "z", "image": "z.jpg", "conversations": TALK[:2], **change})
    assert said in str(raised.value) and "talk.jsonl:1: " in str(raised.value)


def cogvlm_folder(folder: Path, labels: dict[str, Any], images: list[str]) -> Path:
    """A folder in CogVLM's form; `labels` by path, as objects or as raw text."""
    for name in images:
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "images" / name).write_bytes(b"")
    for name, content in labels.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return folder


def talk(*contents: str) -> dict[str, Any]:
    roles = ["user", "assistant"] * len(contents)
    return {"conversations": [{"role": role, "content": text} for role, text in zip(roles, contents, strict=False)]}


def test_cogvlms_own_folder(tmp_path: Path) -> None:
    labels = {
        "labels_en/1.json": talk("What?", "A zebra.", "Where?", "There."),
        "labels_zh/1.json": "\ufeff" + json.dumps(talk("这是什么？", "斑马。"), ensure_ascii=False),
        "labels_en/more/v1.2.json": talk("<image>\nWho?", "I."),
    }
    dataset = read_dataset(cogvlm_folder(tmp_path, labels, ["1.jpg", "more/v1.2.png", "unlabelled.jpg"]))
    assert dataset.image_root == tmp_path / "images" and dataset.not_found == {} and dataset.path == tmp_path
    assert [(sample.id, sample.image, sample.prompt, sample.label, sample.lang) for sample in dataset.samples] == [
        ("labels_en/1#1", "1.jpg", "What?", "A zebra.", "en"),
        ("labels_en/1#2", "1.jpg", "Where?", "There.", "en"),
        ("labels_en/more/v1.2#1", "more/v1.2.png", "Who?", "I.", "en"),
        ("labels_zh/1#1", "1.jpg", "这是什么？", "斑马。", "zh"),
    ]
    assert [sample.history for sample in dataset.samples] == [[], [("What?", "A zebra.")], [], []]
    assert all(sample.boxes is None and sample.task == "text" for sample in dataset.samples)
    assert read_dataset(tmp_path, images=tmp_path / "other").image_root == tmp_path / "other"


def test_all_wrong_label_files_are_told_at_once(tmp_path: Path) -> None:
    good = talk("What?", "A zebra.")
    labels = {
        "labels/1.json": good,
        "labels/2.json": good,
        "labels/3.json": good,
        "labels/4.json": "{",
        "labels/5.json": {"captions": []},
        "labels/6.json": {"conversations": [{"role": "caption", "content": "x"}]},
        "labels/7.json": talk("What?", " "),
    }
    folder = cogvlm_folder(tmp_path, labels, ["1.jpg", "3.jpg", "3.png", "4.jpg", "5.jpg", "6.jpg", "7.jpg"])
    with pytest.raises(ManyErrors) as raised:
        read_cogvlm_folder(folder)
    expected = [
        (2, "found none"),
        (3, "found 3.jpg, 3.png"),
        (4, "not one whole JSON value"),
        (5, "the key `conversations` is missing"),
        (6, "`conversations[0].role`: invalid enum value 'caption'; allowed are user, assistant"),
        (7, "`label` is empty"),
    ]
    assert len(raised.value.problems) == len(expected)
    for problem, (number, said) in zip(raised.value.problems, expected, strict=True):
        assert problem.startswith(f"{folder / 'labels' / f'{number}.json'}: ") and said in problem


def test_a_folder_without_labels_has_no_samples(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    with pytest.raises(InputError, match="no samples"):
        read_cogvlm_folder(tmp_path)
