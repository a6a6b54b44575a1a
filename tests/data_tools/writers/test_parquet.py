"""Parquet: rows that `datasets` loads are the samples that were written; pictures are the files' own bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_tools.convert import Options, convert
from data_tools.writers.parquet import PICTURE, write_parquet
from grounding.errors import InputError
from grounding.samples import Sample
from tests.data_tools.annotated import coco_box, coco_file, coco_image, image
from tests.samples.making import TEXT, any_sample, make

datasets = pytest.importorskip("datasets")


def load(path: Path, cache: Path) -> Any:
    return datasets.load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(cache))


def samples_in(path: Path) -> list[Sample]:
    import pyarrow.parquet

    return msgspec.convert(pyarrow.parquet.read_table(path).to_pylist(), list[Sample])


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(any_sample(), max_size=4, unique_by=lambda sample: sample.id))
def test_what_is_written_reads_back(tmp_path: Path, samples: list[Sample]) -> None:
    write_parquet(tmp_path / "x.parquet", samples)
    assert samples_in(tmp_path / "x.parquet") == samples


def test_convert_writes_it_and_datasets_loads_it(tmp_path: Path) -> None:
    boxes = [coco_box(n, 1, [4.25, 5, 20, 10]) for n in range(4)]
    source = coco_file(tmp_path / "set", [coco_image(n) for n in range(5)], boxes, draw=True)
    made = convert([("train", source)], tmp_path / "out", Options(style="parquet", negatives=1.0))
    loaded = load(tmp_path / "out" / "train.parquet", tmp_path / "cache")
    assert msgspec.convert(list(loaded), list[Sample]) == list(made.samples["train"])
    assert any(sample.boxes == [] for sample in made.samples["train"])
    assert (tmp_path / "out" / "val.parquet").is_file()


def test_pictures_are_the_files_themselves(tmp_path: Path) -> None:
    path = image(tmp_path / "images", "dogs/1.png")
    samples = [make(id="a", image="dogs/1.png"), make(**TEXT)]
    write_parquet(tmp_path / "x.parquet", samples, tmp_path / "images")
    loaded = load(tmp_path / "x.parquet", tmp_path / "cache")
    assert [row and row.size for row in loaded[PICTURE]] == [(40, 30), None]
    stored = loaded.cast_column(PICTURE, datasets.Image(decode=False))[0][PICTURE]
    assert stored == {"path": "dogs/1.png", "bytes": path.read_bytes()}
    assert loaded["id"][:] == ["a", "t"]


def test_nothing_is_written_where_something_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="its id stands twice"):
        write_parquet(tmp_path / "x.parquet", [make(), make()])
    with pytest.raises(InputError, match="no image file"):
        write_parquet(tmp_path / "x.parquet", [make()], tmp_path)
    assert not list(tmp_path.iterdir())


def test_where_datasets_is_missing_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(InputError, match=r"grounding\[parquet\]"):
        write_parquet(tmp_path / "x.parquet", [make()])
