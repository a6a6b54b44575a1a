"""Formats by name: this package's own, and those that another package brings by an entry point."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from data_tools import readers
from data_tools.readers.coco import open_coco
from data_tools.readers.voc import open_voc
from grounding.errors import InputError


def bring(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    point = EntryPoint(name, value, readers.GROUP)
    monkeypatch.setattr(readers, "entry_points", lambda group: [point] if group == readers.GROUP else [])


def test_own_formats() -> None:
    assert readers.formats() == list(readers.OWN)
    assert readers.reader_of("voc") is open_voc


@pytest.mark.parametrize("name", readers.OWN)
def test_only_the_reader_that_is_used_is_imported(name: str) -> None:
    told = (
        "import sys; from data_tools import convert, readers; "
        f"before = [name for name in {readers.OWN} if f'data_tools.readers.{{name}}' in sys.modules]; "
        f"readers.reader_of({name!r}); print(before, 'data_tools.readers.{name}' in sys.modules)"
    )
    made = subprocess.run([sys.executable, "-c", told], stdout=subprocess.PIPE, check=True, text=True)
    assert made.stdout.split() == ["[]", "True"]


def test_a_brought_format(monkeypatch: pytest.MonkeyPatch) -> None:
    bring(monkeypatch, "mine", "data_tools.readers.coco:open_coco")
    assert readers.formats() == [*readers.OWN, "mine"]
    assert readers.reader_of("mine") is open_coco


def test_own_formats_cannot_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    bring(monkeypatch, "coco", "data_tools.readers.voc:open_voc")
    assert readers.formats() == list(readers.OWN)
    assert readers.reader_of("coco") is open_coco


def test_what_cannot_be_had_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="there are: coco, voc"):
        readers.reader_of("yolo9")
    bring(monkeypatch, "broken", "no_such_package.module:reader")
    with pytest.raises(InputError, match="cannot be imported"):
        readers.reader_of("broken")
