"""The dataset folder: the manifest written and read, the image root by the contract's order, what is no dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from grounding.errors import InputError
from grounding.samples import Manifest, read_dataset, read_manifest, write_manifest, write_samples
from tests.samples.making import make

FULL = Manifest(
    image_root="../images",
    not_found={"en": "Nothing.", "zh": "没有"},
    counts={"images": 1, "samples": 2},
    refusals={"zero_area": 3},
    settings={"seed": 0, "lang": ["en", "zh"]},
    versions={"grounding": "0.1.0"},
    inputs={"a.json": "sha256:00"},
)


def test_a_manifest_is_read_as_written(tmp_path: Path) -> None:
    write_manifest(tmp_path / "manifest.json", FULL)
    assert read_manifest(tmp_path / "manifest.json") == FULL
    written = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    keys = ["image_root", "not_found", "answers", "counts", "refusals", "settings", "versions", "inputs"]
    assert list(written) == keys


def test_the_image_root_is_named_by_the_call_or_the_manifest_or_is_the_files_own_folder(tmp_path: Path) -> None:
    data = tmp_path / "train.jsonl"
    write_samples(data, [make()])
    alone = read_dataset(data)
    assert (alone.samples, alone.image_root, alone.not_found, alone.path) == ([make()], tmp_path, {}, data)

    write_manifest(tmp_path / "manifest.json", FULL)
    assert read_dataset(data).image_root == tmp_path / "../images"
    assert read_dataset(data).not_found == FULL.not_found
    assert read_dataset(data, images=Path("elsewhere")).image_root == Path("elsewhere")

    answers = {"en": ["at {boxes}"], "phrase_to_box:zh": ["在{boxes}"]}
    write_manifest(tmp_path / "manifest.json", Manifest(image_root="/data/images", answers=answers))
    assert read_dataset(data).image_root == Path("/data/images")
    assert read_dataset(data).answers == answers


def test_keys_that_others_add_to_a_manifest_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"image_root": ".", "by": "hand"}', encoding="utf-8")
    assert read_manifest(tmp_path / "manifest.json") == Manifest(image_root=".")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "the key `image_root` is missing"),
        ({"image_root": 3}, "`image_root`: expected `str`, got `int`"),
        ({"image_root": ".", "not_found": {"en": 1}}, "`not_found[...]`: expected `str`"),
        ({"image_root": ".", "not_found": {"en": "..."}}, "`not_found.en` is '...'"),
        ({"image_root": ".", "not_found": {"fr": "rien"}}, "`not_found` has 'fr'; allowed are en, zh"),
        ({"image_root": ".", "answers": {"fr": ["{boxes}"]}}, "`answers` has 'fr'; allowed are en, zh"),
        ({"image_root": ".", "answers": {"dance:en": ["{boxes}"]}}, "`answers` has 'dance:en'; allowed are en, zh"),
        ({"image_root": ".", "answers": {"en": ["it is there"]}}, "`answers.en` has 'it is there'; {boxes} is needed"),
        ([], "expected `object`"),
    ],
)
def test_a_wrong_manifest_is_named(tmp_path: Path, content: Any, said: str) -> None:
    write_samples(tmp_path / "val.jsonl", [make()])
    (tmp_path / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError) as raised:
        read_dataset(tmp_path / "val.jsonl")
    assert str(raised.value).startswith(f"{tmp_path / 'manifest.json'}: ") and said in str(raised.value)


def test_a_manifest_nested_without_end_is_an_error_not_a_crash(tmp_path: Path) -> None:
    deep = '{"image_root": ".", "more": ' + "[" * 100_000
    (tmp_path / "manifest.json").write_text(deep, encoding="utf-8")
    with pytest.raises(InputError, match=r"nested too deeply|not one whole JSON"):
        read_manifest(tmp_path / "manifest.json")


def test_a_manifest_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_manifest(tmp_path / "manifest.json")


def test_a_folder_of_jsonl_files_is_told_which_there_are(tmp_path: Path) -> None:
    write_samples(tmp_path / "val.jsonl", [make()])
    write_samples(tmp_path / "train.jsonl", [make()])
    with pytest.raises(InputError, match=r"train\.jsonl, val\.jsonl\. Name one of them"):
        read_dataset(tmp_path)
