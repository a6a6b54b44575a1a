"""Images: no name leads out of the root, both frames are right, every mode becomes RGB, broken files are named."""

from __future__ import annotations

import io
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from grounding.errors import InputError
from grounding.samples import Sample, image_size, open_image, resolve_image
from tests.samples.making import TEXT, make

RED, BLUE = (200, 30, 30), (30, 30, 200)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    Image.new("RGB", (4, 2), RED).save(folder / "sub" / "a.png")
    Image.new("RGB", (4, 2), RED).save(tmp_path / "outside.png")
    return folder


def sample(name: str, width: int, height: int, **more: Any) -> Sample:
    return make(id="s7", image=name, width=width, height=height, boxes=[[0.0, 0.0, 1.0, 1.0]], **more)


@pytest.mark.parametrize("name", ["sub/a.png", "./sub//a.png", "sub\\a.png", ".\\sub\\a.png"])
def test_a_name_below_the_root_is_found_whatever_system_wrote_it(root: Path, name: str) -> None:
    assert resolve_image(root, name) == root / "sub" / "a.png"


@pytest.mark.parametrize(
    "name",
    [
        "../outside.png",
        "sub/../../outside.png",
        "sub\\..\\..\\outside.png",
        "sub/../sub/a.png",
        "/etc/passwd",
        "\\\\server\\share\\a.png",
        "C:\\a.png",
        "c:a.png",
        "..",
    ],
)
def test_a_name_that_could_lead_outside_is_refused(root: Path, name: str) -> None:
    with pytest.raises(InputError, match="leads outside the image root"):
        resolve_image(root, name)
    with pytest.raises(InputError, match=r"^sample 's7': .*leads outside"):
        open_image(root, sample(name, 4, 2))


@pytest.mark.parametrize("name", ["", ".", "/", "./", "a\0.png"])
def test_a_name_of_nothing_is_refused(root: Path, name: str) -> None:
    with pytest.raises(InputError, match="names no file"):
        resolve_image(root, name)


def test_a_link_out_of_the_root_is_followed_only_when_told(root: Path, tmp_path: Path) -> None:
    (root / "link.png").symlink_to(tmp_path / "outside.png")
    (root / "folder").symlink_to(tmp_path)
    (root / "within.png").symlink_to(root / "sub" / "a.png")
    for name in ("link.png", "folder/outside.png"):
        with pytest.raises(InputError, match=r"symbolic link that leads outside.*--follow-links"):
            resolve_image(root, name)
        assert resolve_image(root, name, follow_links=True) == root / name
        assert open_image(root, sample(name, 4, 2), follow_links=True).size == (4, 2)
    assert resolve_image(root, "within.png") == root / "within.png"
    (tmp_path / "other").symlink_to(root)
    assert resolve_image(tmp_path / "other", "sub/a.png").is_file()


def test_a_file_that_is_not_there_is_named(root: Path) -> None:
    (root / "loop").symlink_to(root / "loop")
    for name in ("b.png", "sub", "sub/a.png/b.png", "n" * 300):
        with pytest.raises(InputError, match=r"no image file.*--images|cannot be reached"):
            resolve_image(root, name)
    with pytest.raises(InputError, match=r"cannot be reached|no image file|outside"):
        resolve_image(root, "loop")


def with_orientation(path: Path, orientation: int) -> np.ndarray:
    """A lossless 3x2 picture with an EXIF orientation; what is stored."""
    pixels = np.arange(18, dtype=np.uint8).reshape(2, 3, 3) * 10
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif, lossless=True)
    return pixels


# What each orientation does to the stored rows and columns to set them upright (EXIF 2.32, tag 0x0112).
UPRIGHT = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p.swapaxes(0, 1)[::-1, ::-1],
    8: lambda p: np.rot90(p),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_both_frames_of_each_orientation(root: Path, orientation: int, suffix: str) -> None:
    path = root / f"turned.{suffix}"
    stored = with_orientation(path, orientation)
    upright = UPRIGHT[orientation](stored)
    assert image_size(path) == (3, 2)
    assert image_size(path, upright=True) == (upright.shape[1], upright.shape[0])
    assert np.array_equal(open_image(root, sample(path.name, 3, 2)), stored)
    turned = open_image(root, sample(path.name, *image_size(path, upright=True), upright=True))
    assert np.array_equal(turned, upright) and turned.mode == "RGB"


def test_another_size_than_the_samples_is_told_with_both(root: Path) -> None:
    with_orientation(root / "turned.png", 6)
    with pytest.raises(InputError, match=r"sample 's7': .*turned.png is 3 x 2 in its stored frame; .* says 2 x 3"):
        open_image(root, sample("turned.png", 2, 3))
    with pytest.raises(InputError, match=r"is 2 x 3 in its upright frame; .* says 3 x 2"):
        open_image(root, sample("turned.png", 3, 2, upright=True))


def test_a_sample_that_says_no_size_takes_what_is_there(root: Path) -> None:
    assert open_image(root, Sample(**{**TEXT, "image": "sub/a.png"})).size == (4, 2)


def test_a_sample_without_an_image_has_none_to_open(root: Path) -> None:
    with pytest.raises(InputError, match="sample 't': this sample has no image"):
        open_image(root, Sample(**TEXT))


def opened(root: Path, image: Image.Image, name: str = "m.png", **how: Any) -> list[Any]:
    """The pixels, row by row, of a picture saved and opened again."""
    image.save(root / name, **how)
    rgb = open_image(root, sample(name, *image.size))
    assert rgb.mode == "RGB"
    return np.asarray(rgb).reshape(-1, 3).tolist()


def test_grey_palette_bits_and_cmyk_become_rgb(root: Path) -> None:
    assert opened(root, Image.new("L", (1, 1), 77)) == [[77] * 3]
    assert opened(root, Image.new("1", (1, 1), 1)) == [[255] * 3]
    assert opened(root, Image.new("RGB", (1, 1), RED).convert("P", palette=Image.Palette.ADAPTIVE)) == [list(RED)]
    ((r, g, b),) = opened(root, Image.new("CMYK", (1, 1), (0, 255, 255, 0)), "m.tif")
    assert r > 200 and g < 60 and b < 60


def test_transparency_is_laid_on_white(root: Path) -> None:
    clear = Image.new("RGBA", (3, 1))
    clear.putdata([(*RED, 255), (0, 0, 0, 0), (0, 0, 0, 128)])
    assert opened(root, clear) == [list(RED), [255] * 3, [127] * 3]
    assert opened(root, Image.new("LA", (1, 1), (0, 0))) == [[255] * 3]
    palette = Image.new("P", (2, 1))
    palette.putpalette([*RED, *BLUE])
    palette.putdata([0, 1])
    assert opened(root, palette, transparency=0) == [[255] * 3, list(BLUE)]
    assert opened(root, Image.new("RGB", (1, 1), RED), transparency=RED) == [[255] * 3]


@pytest.mark.parametrize("name", ["m.png", "m.tif"])
def test_sixteen_bits_are_scaled_from_their_full_range_not_clipped(root: Path, name: str) -> None:
    grey = Image.fromarray(np.array([[0, 257, 1000, 32896, 65535]], dtype=np.uint16))
    assert [pixel[0] for pixel in opened(root, grey, name)] == [0, 1, 4, 128, 255]
    assert opened(root, Image.fromarray(np.full((1, 1), 300, dtype=np.uint16)), name) == [[1] * 3]


def test_values_without_a_range_of_their_own_are_scaled_from_least_to_greatest(root: Path) -> None:
    floats = Image.fromarray(np.array([[-1.0, 0.0, 1.0]], dtype=np.float32))
    assert [pixel[0] for pixel in opened(root, floats, "f.tif")] == [0, 128, 255]
    wide = Image.fromarray(np.array([[-100_000, 0, 100_000]], dtype=np.int32))
    assert [pixel[0] for pixel in opened(root, wide, "i.tif")] == [0, 128, 255]
    assert opened(root, Image.fromarray(np.full((1, 2), 0.3, dtype=np.float32)), "c.tif") == [[0] * 3] * 2


def test_a_float_picture_with_holes_is_refused(root: Path) -> None:
    Image.fromarray(np.array([[0.0, np.nan]], dtype=np.float32)).save(root / "f.tif")
    with pytest.raises(InputError, match=r"f\.tif cannot be read: .*not finite"):
        open_image(root, sample("f.tif", 2, 1))


def test_of_many_frames_the_first_counts(root: Path) -> None:
    frames = [Image.new("RGB", (2, 2), colour) for colour in (RED, BLUE)]
    frames[0].save(root / "m.webp", save_all=True, append_images=frames[1:], lossless=True)
    assert np.asarray(open_image(root, sample("m.webp", 2, 2)))[0, 0].tolist() == list(RED)


def png_that_says(width: int, height: int) -> bytes:
    """A PNG whose header declares a size and that holds next to nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_a_decompression_bomb_is_refused_by_its_header(root: Path) -> None:
    (root / "bomb.png").write_bytes(png_that_says(100_000, 100_000))
    with pytest.raises(InputError, match=r"bomb\.png cannot be read: .*decompression bomb"):
        image_size(root / "bomb.png")
    with pytest.raises(InputError, match=r"sample 's7': .*bomb\.png cannot be read"):
        open_image(root, sample("bomb.png", 100_000, 100_000))


def test_the_size_is_read_from_the_header_alone(root: Path) -> None:
    (root / "hollow.png").write_bytes(png_that_says(300, 200))
    assert image_size(root / "hollow.png") == (300, 200)
    with pytest.raises(InputError, match=r"hollow\.png cannot be read"):
        open_image(root, sample("hollow.png", 300, 200))


@pytest.mark.parametrize(
    "content", [b"", b"no image", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF\0\0\0\0WEBP"]
)
def test_a_file_that_is_no_image_is_named(root: Path, content: bytes) -> None:
    (root / "x.jpg").write_bytes(content)
    for read in (lambda: image_size(root / "x.jpg", upright=True), lambda: open_image(root, sample("x.jpg", 1, 1))):
        with pytest.raises(InputError, match=r"x\.jpg cannot be read"):
            read()


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_broken_files_give_a_picture_or_the_one_error(root: Path, kind: str) -> None:
    rng = random.Random(kind)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8))
    held = io.BytesIO()
    noise.save(held, kind)
    refused = 0
    for _ in range(60):
        content = bytearray(held.getvalue())
        for _ in range(rng.randint(1, 20)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        (root / "x").write_bytes(content[: rng.randint(1, len(content))])
        try:
            image_size(root / "x", upright=True)
            assert open_image(root, Sample(**{**TEXT, "image": "x", "upright": True})).mode == "RGB"
        except InputError as error:
            assert "cannot be read" in str(error)
            refused += 1
    assert refused
