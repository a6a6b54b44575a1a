"""What of the validation data is trained on too is told with its numbers, and nothing where nothing is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec

from grounding.samples import Dataset, read_dataset
from grounding.training.held_out import trained_on_too


def renamed(data: Dataset, **fields: str) -> Dataset:
    return replace(data, samples=[msgspec.structs.replace(sample, **fields) for sample in data.samples])


def test_the_numbers_are_those_of_samples_and_of_images(scenes: Path, tmp_path: Path) -> None:
    train, val = read_dataset(scenes / "train.jsonl"), read_dataset(scenes / "val.jsonl")
    assert not list(trained_on_too([train], []))
    assert not list(trained_on_too([train], [val]))
    (told,) = trained_on_too([val, train], [train])
    assert told.startswith("8 of the 8 samples of data.val and 3 of its 3 images are trained on too")
    (told,) = trained_on_too([train], [renamed(train, prompt="Something else?")])
    assert told.startswith("0 of the 8 samples of data.val and 3 of its 3 images")
    mixed = replace(val, samples=[*val.samples, train.samples[-1]])
    (told,) = trained_on_too([train], [mixed])
    assert told.startswith("1 of the 5 samples of data.val and 0 of its 2 images")
    (told,) = trained_on_too([train], [replace(train, image_root=tmp_path, path=tmp_path / "copy.jsonl")])
    assert told.startswith("8 of the 8 samples of data.val and 0 of its 3 images"), "a copy elsewhere is the same"


def test_ids_alone_are_no_leak(scenes: Path) -> None:
    train, val = read_dataset(scenes / "train.jsonl"), read_dataset(scenes / "val.jsonl")
    pairs = zip(val.samples, train.samples, strict=False)
    same_ids = [msgspec.structs.replace(sample, id=other.id) for sample, other in pairs]
    assert not list(trained_on_too([train], [replace(val, samples=same_ids)]))
