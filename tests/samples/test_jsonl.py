"""A dataset's lines: what is written is read again, keys stand in the contract's order, every wrong line is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grounding.errors import InputError, ManyErrors, RunError
from grounding.samples import Sample, read_samples, write_samples
from tests.samples.making import PLAIN, TEXT, any_sample, make

# The contract's table, row by row; the last two are left out where they say nothing.
ORDER = [
    *["id", "image", "width", "height", "prompt", "label", "phrase", "category", "boxes", "categories", "ignore"],
    *["task", "lang", "upright", "history"],
]


def lines(path: Path, *items: Any) -> Path:
    """A JSONL file with one object a line."""
    path.write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items), encoding="utf-8")
    return path


@pytest.mark.parametrize("style", ["pairs", "conversations"])
@given(samples=st.lists(any_sample(), min_size=1, max_size=4, unique_by=lambda sample: sample.id))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, style: Any, samples: list[Sample]) -> None:
    path = tmp_path_factory.getbasetemp() / f"{style}.jsonl"
    write_samples(path, samples, style)
    assert read_samples(path) == samples


def test_keys_are_written_in_the_contracts_order(tmp_path: Path) -> None:
    full = make(id="b", upright=True, history=[("hi", "hello")], categories=["dog"], ignore=[[0.0, 0.0, 1.0, 1.0]])
    write_samples(tmp_path / "pairs.jsonl", [make(), full, Sample(**TEXT)])
    written = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [list(line) for line in written] == [ORDER[:-2], ORDER, ORDER[:-2]]
    assert written[0] == {**PLAIN, "categories": None, "ignore": [], "task": "phrase_to_boxes", "lang": "en"}
    assert written[1]["upright"] is True and written[1]["history"] == [["hi", "hello"]]

    write_samples(tmp_path / "talk.jsonl", [make(), full], style="conversations")
    written = [json.loads(line) for line in (tmp_path / "talk.jsonl").read_text(encoding="utf-8").splitlines()]
    rest = [key for key in ORDER if key not in ("id", "image", "prompt", "label")]
    assert [list(line) for line in written] == [
        ["id", "image", "conversations", *rest[:-2]],
        ["id", "image", "conversations", *rest],
    ]
    assert written[0]["conversations"] == [
        {"from": "human", "value": "<image>\nWhere is dog?"},
        {"from": "gpt", "value": "[[086,540,400,760]]"},
    ]


def test_chinese_is_written_as_itself(tmp_path: Path) -> None:
    write_samples(tmp_path / "a.jsonl", [make(phrase="一只狗", lang="zh")])
    assert "一只狗" in (tmp_path / "a.jsonl").read_text(encoding="utf-8")


def test_a_text_that_looks_like_a_key_that_is_left_out_stays(tmp_path: Path) -> None:
    odd = make(prompt='a","upright":false,"history":[]}', label=',"upright":false', phrase='},"history":[]}\n{')
    for sample in (odd, make(**{**TEXT, "history": [(',"history":[]', ',"upright":false')]})):
        write_samples(tmp_path / "a.jsonl", [sample])
        assert read_samples(tmp_path / "a.jsonl") == [sample]


def test_reading_minds_neither_order_nor_blank_lines_nor_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    first, second = json.dumps(dict(reversed(PLAIN.items()))), json.dumps({**TEXT, "upright": False})
    path.write_bytes(b"\xef\xbb\xbf" + f"{first}\r\n\r\n   \n{second}".encode())
    assert read_samples(path) == [make(), Sample(**TEXT)]


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    odd = make(prompt='one\u2028two\u0085three\x0bfour\n"conversations": five', phrase="conversations")
    write_samples(tmp_path / "a.jsonl", [odd])
    assert read_samples(tmp_path / "a.jsonl") == [odd]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": 7}, "`id`: expected `str`, got `int`"),
        ({"id": ""}, "`id` is empty"),
        ({"image": ""}, "`image` is empty"),
        ({"width": 640.5}, "`width`: expected `int | null`, got `float`"),
        ({"width": 0}, "`width` and `height` are 0 and 480; both must be positive"),
        ({"height": None}, "`width` and `height` are 640 and None"),
        ({"width": None, "height": None}, "must be the size of the frame"),
        ({"image": None, "width": None, "height": None}, "without an image `boxes` must be null"),
        ({"image": None, "boxes": None}, "`width` and `height` must be null where `image` is null"),
        ({"label": " \n"}, "`label` is empty"),
        ({"boxes": [[1, 2, 3]]}, "`boxes[0]`: expected `array` of length"),
        ({"boxes": [[1, 2, 3, "4"]]}, "`boxes[0][3]`: expected `float`, got `str`"),
        ({"boxes": [[0, 0, 5, 5], [5, 0, 5, 9]]}, "`boxes[1]` is [5.0, 0.0, 5.0, 9.0], x0 < x1 and y0 < y1"),
        ({"boxes": [[5, 9, 6, 2]]}, "x0 < x1 and y0 < y1 are needed"),
        ({"ignore": [[5, 9, 6, 2]]}, "`ignore[0]` is"),
        ({"ignore": None}, "`ignore`: expected `array`, got `null`"),
        ({"categories": []}, "`categories` has length 0 but `boxes` is of length 1"),
        ({"categories": ["a"], "boxes": None}, "`categories` has length 1 but `boxes` is null"),
        ({"task": "find"}, "`task`: invalid enum value 'find'; allowed are phrase_to_boxes, phrase_to_box,"),
        ({"lang": "de"}, "`lang`: invalid enum value 'de'; allowed are en, zh"),
        ({"upright": None}, "`upright`: expected `bool`"),
        ({"history": [["alone"]]}, "`history[0]`: expected `array` of length 2"),
        ({"bboxes": []}, "the key `bboxes` is not known; the keys are id, image, width,"),
    ],
)
def test_a_wrong_value_is_told_with_file_line_key_and_what_is_allowed(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    path = lines(tmp_path / "a.jsonl", TEXT, {**PLAIN, **change})
    with pytest.raises(InputError) as raised:
        read_samples(path)
    assert str(raised.value).startswith(f"{path}:2: ") and said in str(raised.value)


@pytest.mark.parametrize("key", ["id", "image", "width", "height", "prompt", "label", "boxes"])
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    path = lines(tmp_path / "a.jsonl", {name: value for name, value in PLAIN.items() if name != key})
    with pytest.raises(InputError, match=f":1: the key `{key}` is missing"):
        read_samples(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"id": "a"', "not one whole JSON value"),
        (b'{"id": NaN}', "not one whole JSON value"),
        (b"id: a", "not one whole JSON value"),
        (b'{"id": "\\ud800"}', "not one whole JSON value"),
        (b'{"id": "\xff"}', "not UTF-8 text: byte 0xff"),
        (b'[{"id": "a"}]', "JSON array"),
        (b'{"messages": []}', "a line of ms-swift's; `grounding convert FILE --format swift`"),
        (b'"a"', "expected `object`, got `str`"),
        (b'{"id": "a", "boxes": [[1, 2, 3, 1e999]]}', "`boxes[0][3]`: number out of range"),
    ],
)
def test_a_line_that_is_no_sample_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n" + content + b"\n")
    with pytest.raises(InputError) as raised:
        read_samples(path)
    assert str(raised.value).startswith(f"{path}:2: ") and said in str(raised.value)


def test_all_wrong_lines_are_told_at_once(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", {**PLAIN, "id": ""}, PLAIN, {**PLAIN, "x": 1}, PLAIN, {**PLAIN, "label": ""})
    with pytest.raises(ManyErrors) as raised:
        read_samples(path)
    assert [problem.split(": ")[0] for problem in raised.value.problems] == [f"{path}:{n}" for n in (1, 3, 4, 5, 5)]
    assert "`id` 'a' stands in line 2 already" in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_an_empty_file_has_no_samples(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match="no samples"):
        read_samples(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.jsonl", tmp_path):
        with pytest.raises(InputError, match="cannot be read") as raised:
            read_samples(path)
        assert str(path) in str(raised.value) and raised.value.exit_status == 2


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        ([make(), make()], "sample 'a': its id stands twice"),
        ([make(boxes=[[5.0, 0.0, 4.0, 1.0]])], "sample 'a': `boxes\\[0\\]`"),
        ([make(boxes=[[0.0, 0.0, float("nan"), 1.0]])], "finite"),
        ([make(boxes=[[0.0, 0.0, 1.0]])], "four numbers"),
        ([make(prompt="\ud800")], "not valid Unicode"),
        ([make(), make(id="b", prompt="\ud800"), make(id="c")], "not valid Unicode.*sample 'b'|sample 'b'.*not valid"),
    ],
)
def test_what_could_not_be_read_again_is_not_written(tmp_path: Path, samples: list[Sample], said: str) -> None:
    with pytest.raises(InputError, match=said):
        write_samples(tmp_path / "a.jsonl", samples)
    assert list(tmp_path.iterdir()) == []


def test_another_style_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pairs and conversations"):
        write_samples(tmp_path / "a.jsonl", [make()], style="chat")  # type: ignore[arg-type]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="could not be written"):
        write_samples(tmp_path / "file" / "a.jsonl", [make()])
