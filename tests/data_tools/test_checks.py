"""Images and boxes held against the annotations: frames, sizes, broken and missing files, edges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from data_tools.check_boxes import check_boxes
from data_tools.checks import check_images, look_at, trust_sizes
from data_tools.records import Record, Tally
from tests.data_tools.annotated import box, image, record


def check(folder: Path, *records: Record, frame: Any = None, follow_links: bool = False) -> tuple[list[Record], Tally]:
    seen: list[None] = []
    kept, tally, *_ = check_images(records, folder, frame, follow_links, seen.append)
    assert len(seen) == len(records)
    return kept, tally


WIDE, TALL, SQUARE = (40, 30), (30, 40), (20, 20)


@pytest.mark.parametrize(
    ("stored", "orientation", "stated", "frame", "size", "upright", "counted"),
    [
        # As it is.
        (WIDE, 1, WIDE, None, WIDE, False, {}),
        # Turned by a quarter: the size stated decides.
        (WIDE, 6, TALL, None, TALL, True, {"exif_upright"}),
        (WIDE, 6, WIDE, None, WIDE, False, {"exif_stored"}),
        (WIDE, 8, TALL, None, TALL, True, {"exif_upright"}),
        # It cannot decide: a square, half a turn, no size stated.
        (SQUARE, 6, SQUARE, None, SQUARE, False, {"exif_undecided"}),
        (WIDE, 3, WIDE, None, WIDE, False, {"exif_undecided"}),
        (WIDE, 6, None, None, WIDE, False, {"size_from_file", "exif_undecided"}),
        # No such orientation: not turned.
        (WIDE, 9, WIDE, None, WIDE, False, set()),
        (WIDE, 1, None, None, WIDE, False, {"size_from_file"}),
        # Neither frame.
        (WIDE, 1, TALL, None, None, False, {"size_disagrees"}),
        (WIDE, 6, (400, 300), None, None, False, {"size_disagrees"}),
        # The caller knows.
        (WIDE, 6, WIDE, "upright", TALL, True, {"size_ignored"}),
        (WIDE, 6, TALL, "stored", WIDE, False, {"size_ignored"}),
        (WIDE, 6, TALL, "upright", TALL, True, {}),
        (SQUARE, 6, SQUARE, "upright", SQUARE, True, {}),
        (WIDE, 3, WIDE, "upright", WIDE, True, {}),
        (WIDE, 1, WIDE, "upright", WIDE, False, {}),
        (WIDE, 1, (400, 300), "stored", WIDE, False, {"size_ignored"}),
        (WIDE, 6, None, "upright", TALL, True, {}),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_frames(
    tmp_path: Path,
    suffix: str,
    stored: Any,
    orientation: int,
    stated: Any,
    frame: Any,
    size: Any,
    upright: bool,
    counted: Any,
) -> None:
    image(tmp_path, f"a.{suffix}", stored, orientation=orientation)
    kept, tally = check(tmp_path, record(f"a.{suffix}", size_wh=stated), frame=frame)
    assert set(tally.counts) == set(counted)
    assert [(r.size_wh, r.upright) for r in kept] == ([(size, upright)] if size else [])


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp"])
def test_a_truncated_image_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.effect_noise((64, 48), 50).convert("RGB").save(path)
    assert look_at(tmp_path, path.name, False).fault is None
    content = path.read_bytes()
    for length in (0, 10, len(content) // 2, len(content) * 9 // 10):
        path.write_bytes(content[:length])
        kept, tally = check(tmp_path, record(path.name, box("cat"), size_wh=(64, 48)))
        assert not kept
        assert dict(tally.counts) == {"unreadable_image": 1, "image_refused": 1}


def test_what_is_no_image_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("not a picture")
    (tmp_path / "folder.png").mkdir()
    names = ["a.png", "folder.png", "gone.png", "x" * 5000]
    assert [look_at(tmp_path, name, False).fault for name in names] == ["unreadable_image", *["missing_image"] * 3]


def test_a_picture_of_a_few_pixels_is_read(tmp_path: Path) -> None:
    image(tmp_path, "a.jpg", (1, 1))
    assert look_at(tmp_path, "a.jpg", False).size_wh == (1, 1)


def test_links_out_of_the_root_are_refused_unless_allowed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    image(tmp_path / "elsewhere", "a.png")
    image(root, "b.png", colour=1)
    (root / "out.png").symlink_to(tmp_path / "elsewhere" / "a.png")
    (root / "outer").symlink_to(tmp_path / "elsewhere")
    (root / "in.png").symlink_to(root / "b.png")
    assert [look_at(root, name, False).fault for name in ("out.png", "outer/a.png", "in.png")] == [
        "link_outside_root",
        "link_outside_root",
        None,
    ]
    assert look_at(root, "out.png", True).fault is None


def test_identical_images_are_counted_and_have_one_hash(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        image(tmp_path, name, colour=name == "c.png")
    kept, tally = check(tmp_path, *(record(name) for name in ("a.png", "b.png", "c.png")))
    assert dict(tally.counts) == {"identical_image": 1}
    assert kept[0].digest == kept[1].digest != kept[2].digest


def test_sizes_are_trusted_where_images_are_not_read() -> None:
    records = [record("a"), record("b", box("cat"), size_wh=None)]
    kept, tally = trust_sizes(records, "upright")
    assert [(r.name, r.upright) for r in kept] == [("a", True)]
    assert dict(tally.counts) == {"no_size": 1, "image_refused": 1}
    assert not trust_sizes(records, None)[0][0].upright


def test_boxes_at_the_edge() -> None:
    before = record(
        "a",
        box("cat", -1, 0, 5, 5),
        box("cat", 35, 20, 45, 35),
        box("dog", 40, 0, 50, 5),
        box("cow", -9, -9, 0, 0),
        box("cow", 0, 0, 40 + 1e-9, 30),
        box("pig", 1, 1, 5, 5),
        box("pig", 1, 1, 5, 5, ignore="crowd"),
    )
    (after,), tally = check_boxes([before])
    assert [a.xyxy_px for a in after.annotations] == [
        (0, 0, 5, 5),
        (35, 20, 40, 30),
        (0, 0, 40, 30),
        (1, 1, 5, 5),
        (1, 1, 5, 5),
    ]
    assert after.refused == {"dog", "cow"}
    assert dict(tally.counts) == {"clipped": 2, "outside_image": 2, "duplicate_box": 1}
    assert before.annotations[0].xyxy_px == (-1, 0, 5, 5)
    assert check_boxes([record("a")]) == ([record("a")], Tally())
