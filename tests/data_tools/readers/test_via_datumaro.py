"""Formats of datumaro: the adapter on a stand-in with its interface, and on datumaro itself where it is installed.

The stand-in has what the adapter touches and nothing else; the last tests hold it to the real package.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from data_tools.readers import reader_of
from data_tools.records import Source
from grounding.errors import InputError
from tests.data_tools import sets
from tests.data_tools.annotated import image


class DatumaroError(Exception):
    """The root of datumaro's errors."""


def shape(kind: str, xywh: Any, label: int | None = 0, **attributes: Any) -> Any:
    return SimpleNamespace(type=SimpleNamespace(name=kind), label=label, attributes=attributes, get_bbox=lambda: xywh)


def item(name: str, path: Any, *annotations: Any, subset: str = "default", size: Any = None) -> Any:
    media = SimpleNamespace(path=path, has_size=size is not None, size=size)
    return SimpleNamespace(id=name, subset=subset, media=media, annotations=list(annotations))


def stand_in(
    monkeypatch: pytest.MonkeyPatch, items: list[Any], names: list[str], fault: str | None = None
) -> list[Any]:
    """Puts a datumaro in place that imports these items; the list gets each (path, format) that was asked for."""
    asked: list[Any] = []

    class Dataset(list[Any]):
        @classmethod
        def import_from(cls, path: str, form: str) -> Dataset:
            asked.append((path, form))
            if fault:
                raise DatumaroError(fault)
            return cls(items)

        def categories(self) -> dict[Any, Any]:
            labels = SimpleNamespace(items=[SimpleNamespace(name=name) for name in names])
            return {Kind("mask"): None, Kind("label"): labels}

    for name, content in (("dataset", {"Dataset": Dataset}), ("errors", {"DatumaroError": DatumaroError})):
        module = ModuleType(f"datumaro.components.{name}")
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for name in ("datumaro", "datumaro.components"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    return asked


class Kind:
    """A member of datumaro's AnnotationType."""

    def __init__(self, name: str) -> None:
        self.name = name


def read(folder: Path, form: str) -> Source:
    (source,) = reader_of(f"datumaro:{form}")(folder, None, {})
    return source


def test_shapes_become_boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image(tmp_path, "a/1.png")
    shapes = [
        shape("bbox", [1, 2, 3, 4]),
        shape("polygon", (0, 0, 40, 30), 1, is_crowd=True),
        shape("mask", [1, 1, 2, 2], difficult=1),
        shape("rotated_bbox", [5, 5, 0, 2]),
        shape("points", [1, 1, 2, 2], 1),
        shape("bbox", [1, 1, 2, 2], None),
        shape("bbox", [1, 1, 2, 2], 9),
    ]
    items = [
        item("1", str(tmp_path / "a" / "1.png"), *shapes, subset="train", size=(30, 40)),
        item("2", str(tmp_path / "2.png")),
        item("3", "/etc/3.png", shape("bbox", [1, 1, 2, 2])),
        item("4", None),
    ]
    asked = stand_in(monkeypatch, items, ["cat", "dog"])
    source = read(tmp_path, "cvat")
    assert asked == [(str(tmp_path), "cvat")]
    record, bare = source.records
    assert [(a.category, a.xyxy_px, a.ignore) for a in record.annotations] == [
        ("cat", (1.0, 2.0, 4.0, 6.0), None),
        ("dog", (0.0, 0.0, 40.0, 30.0), "crowd"),
        ("cat", (1.0, 1.0, 3.0, 3.0), "difficult"),
    ]
    assert (record.name, record.size_wh, record.split) == ("a/1.png", (40, 30), "train")
    assert (record.refused, record.doubtful) == ({"cat", "dog"}, True)
    assert (bare.name, bare.size_wh, bare.split) == ("2.png", None, None)
    assert (source.classes, source.absence) == ({"cat", "dog"}, "exhaustive")
    assert dict(source.tally.counts) == {
        "crowd": 1,
        "difficult": 1,
        "zero_area": 1,
        "missing_box": 1,
        "unknown_category": 2,
        "bad_file_name": 1,
        "image_refused": 1,
        "missing_image": 1,
    }
    assert read(tmp_path, "open_images").absence == "none"


def test_what_datumaro_cannot_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, [], [], fault="Unknown format 'nope'")
    with pytest.raises(InputError, match=r"as 'nope': DatumaroError: Unknown format"):
        read(tmp_path, "nope")
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "gone", "cvat")


def test_where_datumaro_is_missing_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datumaro", None)
    monkeypatch.setitem(sys.modules, "datumaro.components", None)
    monkeypatch.setitem(sys.modules, "datumaro.components.dataset", None)
    with pytest.raises(InputError, match=r"grounding\[datumaro\]"):
        read(tmp_path, "cvat")


@pytest.mark.parametrize(("build", "form"), [(sets.cvat, "cvat"), (sets.labelme_xml, "label_me")])
def test_sets_by_datumaro_itself(tmp_path: Path, build: Callable[..., Path], form: str) -> None:
    pytest.importorskip("datumaro")
    source = read(build(tmp_path), form)
    assert {
        Path(record.name).stem: [(a.category, a.xyxy_px) for a in record.annotations] for record in source.records
    } == {stem: [(one.name, one.box) for one in objects] for stem, objects in sets.TRUTH.items()}
    assert source.classes == set(sets.NAMES)
    assert not source.tally.counts


def test_an_unknown_format_by_datumaro_itself(tmp_path: Path) -> None:
    pytest.importorskip("datumaro")
    with pytest.raises(InputError, match="nonsense"):
        read(tmp_path, "nonsense")
