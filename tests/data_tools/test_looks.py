"""Images looked at before are not read again; kept looks never change what comes out, not even when they are broken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from data_tools import checks
from data_tools.checks import Checked, check_images
from data_tools.engines import Engine
from data_tools.looks import PILLOW, Looks, Stamp
from data_tools.records import Record
from tests.data_tools.annotated import image, record

NAMES = ("a.png", "b.jpg", "broken.png", "gone.png")
LONG_AGO = 10**18


@pytest.fixture
def root(tmp_path: Path) -> Path:
    image(tmp_path / "root", "a.png")
    image(tmp_path / "root", "b.jpg", orientation=6)
    (tmp_path / "root" / "broken.png").write_text("no picture")
    for path in (tmp_path / "root").iterdir():
        os.utime(path, ns=(LONG_AGO, LONG_AGO))
    return tmp_path / "root"


def check(root: Path, cache: Path | None, engine: Engine = Engine()) -> Checked:  # noqa: B008
    records: list[Record] = [record(name, size_wh=None) for name in NAMES]
    return check_images(records, root, None, False, lambda _: None, engine, cache)


def test_a_second_run_reads_nothing_and_finds_the_same(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = check(root, tmp_path / "cache")
    assert first.known == 1  # the one that is gone
    monkeypatch.setattr(checks, "read", None)
    second = check(root, tmp_path / "cache", Engine(workers=2))
    assert second.known == len(NAMES)
    assert second[:2] == first[:2]


def test_a_changed_file_is_read_again(root: Path, tmp_path: Path) -> None:
    check(root, tmp_path / "cache")
    image(root, "broken.png", (9, 7))
    os.utime(root / "broken.png", ns=(LONG_AGO, LONG_AGO))  # its size tells it
    os.utime(root / "a.png", ns=(LONG_AGO + 1, LONG_AGO + 1))
    again = check(root, tmp_path / "cache")
    assert again.known == 2
    assert [r.name for r in again.records] == ["a.png", "b.jpg", "broken.png"]


def test_a_file_changed_just_now_is_not_remembered(root: Path, tmp_path: Path) -> None:
    image(root, "a.png", colour=3)
    check(root, tmp_path / "cache")
    assert check(root, tmp_path / "cache").known == len(NAMES) - 1


def test_without_a_folder_nothing_is_kept(root: Path, tmp_path: Path) -> None:
    assert check(root, None).known == check(root, None).known == 1
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x83\xa4root\xa1x"])
def test_a_broken_file_is_told_and_begun_anew(root: Path, tmp_path: Path, content: bytes) -> None:
    first = check(root, tmp_path / "cache")
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(content)
    second = check(root, tmp_path / "cache")
    assert second[:2] == first[:2]
    assert second.known == 1
    assert second.fault is not None and str(kept) in second.fault
    assert check(root, tmp_path / "cache").fault is None


def test_a_cache_that_cannot_be_written_is_told(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    checked = check(root, tmp_path / "file")
    assert checked.fault is not None and "could not be kept" in checked.fault
    assert len(checked.records) == 2


def test_looks_of_another_pillow_or_root_count_for_nothing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(root, tmp_path / "cache")
    stamp = Stamp((root / "a.png").stat().st_size, LONG_AGO)
    assert Looks(tmp_path / "cache", root).get("a.png", stamp) is not None
    assert Looks(tmp_path / "cache", tmp_path).get("a.png", stamp) is None
    monkeypatch.setattr("data_tools.looks.PILLOW", f"{PILLOW}x")
    assert Looks(tmp_path / "cache", root).get("a.png", stamp) is None
