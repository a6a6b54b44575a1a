"""The predictions file: what is read, what is refused and how it is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from grounding.errors import InputError
from grounding.evaluation.predictions import Prediction, align, open_aligned, read_predictions, write_predictions
from tests.evaluation.making import sample

SAMPLES = [sample(number, []) for number in range(3)]


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def test_written_and_read(tmp_path: Path) -> None:
    made = [
        Prediction(id="a", text="[[1,2,3,4]] 图片", scores=[-0.5], not_found_logprob=-3.0, finish="eos"),
        Prediction(id="b", text=""),
    ]
    write_predictions(tmp_path / "p.jsonl", made)
    assert read_predictions(tmp_path / "p.jsonl") == made
    assert (tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines()[1] == '{"id":"b","text":""}'


def test_blank_lines_a_byte_order_mark_and_other_keys_are_read_over(tmp_path: Path) -> None:
    path = lines(tmp_path / "p.jsonl", "\ufeff" + json.dumps({"id": "a", "text": "x", "latency": 3}), "", "  ")
    assert [one.id for one in read_predictions(path)] == ["a"]


def test_wrong_lines_are_all_named(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "p.jsonl",
        {"id": "a", "text": "x"},
        {"id": "b"},
        "{broken",
        {"id": "c", "text": "x", "finish": "stop"},
        {"id": 4, "text": "x"},
    )
    with pytest.raises(InputError) as error:
        read_predictions(path)
    message = str(error.value)
    assert all(f"line {number}: " in message for number in (2, 3, 4, 5)) and "line 1:" not in message
    assert "`text` is missing" in message and "`finish`" in message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        read_predictions(tmp_path / "nowhere.jsonl")


def test_aligned_to_the_data() -> None:
    made = [Prediction(id=name, text=name) for name in ("s2", "s0", "s1")]
    assert [one.text for one in align(made, SAMPLES, where="p") if one] == ["s0", "s1", "s2"]


def test_ids_missing_twice_and_unknown_are_all_named() -> None:
    made = [Prediction(id=name, text="") for name in ("s0", "s0", "zebra")]
    with pytest.raises(InputError) as error:
        align(made, SAMPLES, where="p.jsonl")
    message = str(error.value)
    assert error.value.exit_status == 2
    for words in (
        "p.jsonl",
        "1 id more than once in the predictions: 's0'",
        "'zebra'",
        "'s1', 's2'",
        "--allow-missing",
    ):
        assert words in message


def test_many_ids_are_cut_with_their_number() -> None:
    with pytest.raises(InputError, match="and 20 more"):
        align([], [sample(number, []) for number in range(30)], where="p")


def test_missing_ones_may_be_allowed_and_others_never() -> None:
    aligned = align([Prediction(id="s1", text="x")], SAMPLES, where="p", allow_missing=True)
    assert [one is None for one in aligned] == [True, False, True]
    with pytest.raises(InputError, match="zebra"):
        align([Prediction(id="zebra", text="x")], SAMPLES, where="p", allow_missing=True)


def test_predictions_that_stay_in_their_file_are_those_that_are_aligned(tmp_path: Path) -> None:
    made = [Prediction(id=f"s{number}", text=f"text {number}") for number in (2, 0, 1)]
    path = tmp_path / "p.jsonl"
    write_predictions(path, made)
    opened = open_aligned(path, SAMPLES)
    assert list(opened) == align(made, SAMPLES, where="p") and opened[1] == made[2]
    write_predictions(path, made[:2])
    with pytest.raises(InputError, match="s1"):
        open_aligned(path, SAMPLES)
    some = open_aligned(path, SAMPLES, allow_missing=True)
    assert list(some) == align(made[:2], SAMPLES, where="p", allow_missing=True)
    assert some[1] is None and list(some[1:]) == [None, made[0]]
