"""Formats by name: this package's own, and those that another package brings by an entry point."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from data_tools import readers
from grounding.errors import InputError


def bring(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    point = EntryPoint(name, value, readers.GROUP)
    monkeypatch.setattr(readers, "entry_points", lambda group: [point] if group == readers.GROUP else [])


def test_own_formats() -> None:
    assert readers.formats() == list(readers.OWN)
    assert readers.reader_of("voc") is readers.open_voc


def test_a_brought_format(monkeypatch: pytest.MonkeyPatch) -> None:
    bring(monkeypatch, "mine", "data_tools.readers.coco:open_coco")
    assert readers.formats() == [*readers.OWN, "mine"]
    assert readers.reader_of("mine") is readers.open_coco


def test_own_formats_cannot_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    bring(monkeypatch, "coco", "data_tools.readers.voc:open_voc")
    assert readers.formats() == list(readers.OWN)
    assert readers.reader_of("coco") is readers.open_coco


def test_what_cannot_be_had_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="there are: coco, voc"):
        readers.reader_of("yolo9")
    bring(monkeypatch, "broken", "no_such_package.module:reader")
    with pytest.raises(InputError, match="cannot be imported"):
        readers.reader_of("broken")
