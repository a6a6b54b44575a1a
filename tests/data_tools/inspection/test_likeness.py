"""Images of two splits that look alike are told with their splits, and same bytes are not told again."""

from __future__ import annotations

from pathlib import Path

from data_tools.inspection.leaks import copies, files_of, in_several_splits, same_bytes
from data_tools.inspection.likeness import Alike, alike
from data_tools.inspection.opening import open_splits
from data_tools.inspection.pictures import look_at_all
from data_tools.inspection.table import make_table
from tests.data_tools.inspection.making import dataset, photo, sample

TRAIN, VAL = 0, 1


def names(found: Alike, places: list[int]) -> list[str]:
    return [found.files.pictures[place].name for place in places]


def look(path: Path) -> Alike:
    table = make_table(open_splits(path).splits)
    return alike(files_of(table, look_at_all(table.pictures)), len(table.splits))


def test_a_copy_of_other_bytes_is_found_in_the_other_split(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    photo(1, (400, 300)).save(images / "shot.jpg", quality=95)
    photo(1, (400, 300)).save(images / "again.jpg", quality=40)
    frame = {"width": 400, "height": 300, "boxes": [[10.0, 10.0, 40.0, 30.0]]}
    path = dataset(
        tmp_path,
        train=[sample("shot.jpg", **frame), sample("a.png"), sample("b.png")],
        val=[sample("again.jpg", **frame), sample("c.png")],
    )
    found = look(path)
    assert found.total == 1
    assert names(found, found.across(VAL, TRAIN).tolist()) == ["again.jpg"]
    assert names(found, found.across(TRAIN, VAL).tolist()) == ["shot.jpg"]
    ((one, other, bits),) = found.closest(5)
    assert sorted(names(found, [one, other])) == ["again.jpg", "shot.jpg"] and bits <= 31


def test_pixels_that_are_the_same_in_other_bytes(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    photo(1).save(images / "shot.png")
    photo(1).save(images / "again.bmp")
    found = look(dataset(tmp_path, train=[sample("shot.png"), sample("a.png")], val=[sample("again.bmp")]))
    assert found.total == 1
    assert found.closest(5)[0][2] == 0
    assert names(found, found.across(VAL, TRAIN).tolist()) == ["again.bmp"]


def test_the_same_bytes_are_a_matter_of_their_own(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name in ("shot.png", "again.png"):
        photo(1).save(images / name)
    path = dataset(
        tmp_path, train=[sample("shot.png"), sample("a.png")], val=[sample("again.png"), sample("a.png", id="x")]
    )
    found = look(path)
    assert found.total == 0 and found.closest(5) == []
    assert [names(found, group) for group in same_bytes(found.files)] == [["shot.png", "again.png"]]
    assert [names(found, list(pair)) for pair in copies(found.files, 5)] == [["shot.png", "again.png"]]
    assert names(found, in_several_splits(found.files)) == ["a.png"]


def test_nothing_was_read(tmp_path: Path) -> None:
    table = make_table(open_splits(dataset(tmp_path, train=[sample("a.png")], draw=False)).splits)
    found = alike(files_of(table, []), 1)
    assert found.total == 0 and found.closest(5) == [] and same_bytes(found.files) == []
