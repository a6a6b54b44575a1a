"""Samples that stay in their file: the same ones, in any order, however often."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grounding.errors import InputError
from grounding.samples import (
    Lines,
    Sample,
    ids_of,
    open_dataset,
    open_samples,
    pick,
    read_dataset,
    read_samples,
    write_samples,
)
from tests.samples.making import any_sample, make


@given(samples=st.lists(any_sample(), min_size=1, max_size=5, unique_by=lambda sample: sample.id))
def test_they_are_those_that_are_read(tmp_path_factory: pytest.TempPathFactory, samples: list[Sample]) -> None:
    path = tmp_path_factory.getbasetemp() / "stay.jsonl"
    write_samples(path, samples)
    left = open_samples(path)
    assert isinstance(left, Lines) and list(left) == list(left) == read_samples(path)
    assert list(ids_of(left)) == [one.id for one in samples] == list(ids_of(samples))
    order = list(reversed(range(len(samples))))
    assert list(pick(left, order)) == list(pick(samples, order)) == samples[::-1]
    assert left[0] == samples[0] and left[-1] == samples[-1]
    assert list(left[1:]) == samples[1:] and len(left[:2]) == len(samples[:2])


def test_blank_lines_and_a_byte_order_mark(tmp_path: Path) -> None:
    samples = [make(id="a"), make(id="b"), make(id="c")]
    write_samples(tmp_path / "a.jsonl", samples)
    first, *rest = (tmp_path / "a.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "b.jsonl").write_bytes(b"\xef\xbb\xbf" + first + b"\n   \n" + b"\n".join(rest).rstrip())
    assert list(open_samples(tmp_path / "b.jsonl")) == samples


def test_conversations_are_read_whole(tmp_path: Path) -> None:
    samples = [make(id="a"), make(id="b")]
    write_samples(tmp_path / "a.jsonl", samples, style="conversations")
    assert list(open_samples(tmp_path / "a.jsonl")) == samples


def test_what_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("{}\n{}\n")
    with pytest.raises(InputError, match="2 problems"):
        open_samples(path)
    with pytest.raises(InputError, match="cannot be read"):
        open_samples(tmp_path / "nowhere.jsonl")


def test_a_file_that_becomes_shorter_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_samples(path, [make(id="a"), make(id="b")])
    left = open_samples(path)
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(InputError, match="shorter"):
        list(left)


def test_a_dataset_is_the_same_either_way(tmp_path: Path) -> None:
    write_samples(tmp_path / "a.jsonl", [make(id="a")])
    opened, read = open_dataset(tmp_path / "a.jsonl"), read_dataset(tmp_path / "a.jsonl")
    assert list(opened.samples) == list(read.samples)
    assert (opened.image_root, opened.not_found, opened.path) == (read.image_root, read.not_found, read.path)
