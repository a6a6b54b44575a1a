"""The dataset folder: all files or none, nothing of others replaced."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from data_tools.writers import STYLES
from data_tools.writers.folder import MADE_BY, check_folder, check_made_alike, write_folder
from grounding.errors import InputError, RunError
from grounding.samples import Manifest, Sample, read_dataset

PAIRS = STYLES["pairs"]
SPLITS = ("train", "val", "test")
MANIFEST = Manifest(image_root="../images", not_found={"en": "None."}, settings={"made_by": MADE_BY})


def sample(name: str) -> Sample:
    return Sample(id=name, image="a.png", width=9, height=9, prompt="Where?", label="None.", boxes=[])


def content(path: Path) -> dict[str, bytes]:
    return {child.name: child.read_bytes() for child in path.iterdir()}


@pytest.mark.parametrize("style", ["pairs", "conversations"])
def test_what_is_written_reads_back(tmp_path: Path, style: str) -> None:
    write_folder(
        tmp_path / "out", {"train": [sample("1"), sample("2")], "val": [], "test": []}, MANIFEST, STYLES[style]
    )
    dataset = read_dataset(tmp_path / "out" / "train.jsonl")
    assert dataset.samples == [sample("1"), sample("2")]
    assert dataset.not_found == {"en": "None."}
    assert dataset.image_root.resolve() == (tmp_path / "images").resolve()
    assert sorted(content(tmp_path / "out")) == ["manifest.json", "test.jsonl", "train.jsonl", "val.jsonl"]


def test_an_earlier_run_is_replaced_whole_and_other_files_stay(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    write_folder(tmp_path, {split: [sample(split)] for split in SPLITS}, MANIFEST, PAIRS)
    check_folder(tmp_path, SPLITS)
    write_folder(tmp_path, {"train": [sample("1")], "val": [], "test": []}, MANIFEST, PAIRS, overwrite=True)
    assert (tmp_path / "val.jsonl").read_bytes() == b""
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert len(content(tmp_path)) == 5


def test_a_failure_leaves_the_earlier_run(tmp_path: Path) -> None:
    write_folder(tmp_path, {split: [sample(split)] for split in SPLITS}, MANIFEST, PAIRS)
    before = content(tmp_path)
    with pytest.raises(InputError, match="twice"):
        write_folder(tmp_path, {"train": [sample("1")], "val": [sample("1")] * 2, "test": []}, MANIFEST, PAIRS)
    assert content(tmp_path) == before

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(RunError, match="No space left"):
        write_folder(tmp_path, {"train": [sample("1")], "val": [], "test": []}, MANIFEST, PAIRS._replace(write=full))
    assert content(tmp_path) == before


@pytest.mark.parametrize("name", ["train.jsonl", "manifest.json"])
def test_files_of_others_are_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"name": "somebody else\'s"}')
    with pytest.raises(InputError, match=name):
        check_folder(tmp_path, SPLITS)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        check_folder(tmp_path / "file", SPLITS)
    check_folder(tmp_path / "new", SPLITS)


def test_a_dataset_is_replaced_by_another_only_where_that_is_asked_for(tmp_path: Path) -> None:
    samples = {split: [sample(split)] for split in SPLITS}
    write_folder(tmp_path, samples, MANIFEST, PAIRS)
    (tmp_path / "inspect.html").write_text("of this one")
    write_folder(tmp_path, samples, MANIFEST, PAIRS)  # by itself, always
    before = content(tmp_path)
    others = {**samples, "val": [sample("2")]}
    for changed, manifest in ((others, MANIFEST), (samples, replace(MANIFEST, not_found={"en": "Nothing."}))):
        with pytest.raises(InputError, match=r"would change: (val\.jsonl|manifest\.json)"):
            write_folder(tmp_path, changed, manifest, PAIRS)
    with (tmp_path / "train.jsonl").open("a") as file:
        file.write("\n")  # edited by hand
    with pytest.raises(InputError, match=r"would change: train\.jsonl.*--overwrite"):
        write_folder(tmp_path, samples, MANIFEST, PAIRS)
    assert {**content(tmp_path), "train.jsonl": b""} == {**before, "train.jsonl": b""}
    write_folder(tmp_path, others, MANIFEST, PAIRS, overwrite=True)
    assert read_dataset(tmp_path / "val.jsonl").samples == [sample("2")]
    assert not (tmp_path / "inspect.html").exists()


def test_other_settings_and_inputs_are_told(tmp_path: Path) -> None:
    told = {"made_by": MADE_BY, "seed": 0, "negatives": 0.25}
    write_folder(
        tmp_path, {split: [] for split in SPLITS}, replace(MANIFEST, settings=told, inputs={"a.json": "12"}), PAIRS
    )
    check_made_alike(tmp_path, told, {"a.json": "12", "read since.json": "34"})
    check_made_alike(tmp_path, {**told, "of a later version": 1}, {})
    check_made_alike(tmp_path / "nowhere", {**told, "seed": 7}, {})
    with pytest.raises(InputError, match=r"made otherwise: seed 0, now 7\. .*--overwrite"):
        check_made_alike(tmp_path, {**told, "seed": 7}, {})
    with pytest.raises(InputError, match=r"made otherwise: a\.json has changed"):
        check_made_alike(tmp_path, {}, {"a.json": "56"})


def test_files_of_a_style_with_another_suffix_go_with_the_dataset_that_they_were_of(tmp_path: Path) -> None:
    samples = {split: [sample(split)] for split in SPLITS}
    write_folder(tmp_path, samples, MANIFEST, PAIRS)
    other = PAIRS._replace(suffix=".parquet")
    with pytest.raises(InputError, match=r"would change: train\.parquet"):
        write_folder(tmp_path, samples, MANIFEST, other)
    assert not list(tmp_path.glob("*.parquet"))
    write_folder(tmp_path, samples, MANIFEST, other, overwrite=True)
    assert not list(tmp_path.glob("*.jsonl")) and len(list(tmp_path.glob("*.parquet"))) == 3
