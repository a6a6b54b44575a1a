"""Images of samples: path below the root, size, RGB picture in the frame that the boxes are in. Knows no model."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from grounding.errors import InputError
from grounding.samples.sample import Sample

# What Pillow's decoders are known to raise on broken files; UnidentifiedImageError is an OSError.
DECODING_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
# What sets a stored picture upright, by its orientation tag (EXIF 2.32, tag 0x0112); 1 and anything else is upright.
_EXIF_ORIENTATION = 0x0112
_TO_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Each undoes itself but for the two quarter turns, which undo each other.
_TO_STORED = {**_TO_UPRIGHT, 6: _TO_UPRIGHT[8], 8: _TO_UPRIGHT[6]}
_SWAPS_SIDES = (5, 6, 7, 8)
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
_WHITE = (255, 255, 255, 255)


class ImageNotThere(InputError):
    """There is no file of an image's name below the image root, or no such root."""


class LinkedOutside(InputError):
    """An image is a symbolic link that leads out of the image root."""


def resolve_image(image_root: Path, name: str, follow_links: bool = False, *, where: str | None = None) -> Path:
    """The file of an image named in an annotation. Both separators part folders, whatever system wrote the name.

    Args:
        image_root: folder that no name may lead out of.
        name: path below it.
        follow_links: allow symbolic links that lead out of the root.
        where: record that names the image, for the message.

    Raises:
        ImageNotThere: there is no such file.
        LinkedOutside: a link leads out of the root.
        InputError: the name is absolute or climbs by `..`, or the file cannot be reached.
    """
    where = where or str(image_root)
    parts = [part for part in re.split(r"[/\\]", name) if part not in ("", ".")]
    if not parts or "\0" in name:
        raise InputError(f"the image name {name!r} names no file.", where=where)
    if name[0] in "/\\" or re.match(r"[A-Za-z]:", name) or ".." in parts:
        raise InputError(
            f"the image name {name!r} leads outside the image root; it must be a path below {image_root}.", where=where
        )
    path = Path(image_root).joinpath(*parts)
    try:
        is_file, real, real_root = path.is_file(), path.resolve(), Path(image_root).resolve()
    except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError before Python 3.13
        raise InputError(f"the image {path} cannot be reached: {error}.", where=where) from error
    if not follow_links and not real.is_relative_to(real_root):
        raise LinkedOutside(
            f"the image {path} is a symbolic link that leads outside the image root, to {real}.",
            where=where,
            fix="Allow it with --follow-links, if it is meant.",
        )
    if not is_file:
        lacks = "there is no image file" if real_root.is_dir() else f"the image root {image_root} is no folder"
        place = f"{where}, image {path}" if where != str(image_root) else str(path)
        raise ImageNotThere(f"{lacks}.", where=place, fix="Check the image root (--images).")
    return path


@contextmanager
def _decoding(path: Path, where: str | None = None) -> Iterator[None]:
    """Tells any way in which a file fails to decode as an InputError."""
    try:
        yield
    except DECODING_ERRORS as error:
        problem = f"the image {path} cannot be read: {error}."
        raise InputError(problem, where=where, fix="Replace it or leave it out.") from error


def _in_frame(file: Image.Image, upright: bool) -> Image.Image:
    """The picture of an open file, upright or as stored. Pillow itself sets TIFF files, and no others, upright."""
    if upright == isinstance(file, TiffImageFile):
        return file
    orientation = file.getexif().get(_EXIF_ORIENTATION, 1)  # asked first: decoding a TIFF file forgets it
    turn = (_TO_UPRIGHT if upright else _TO_STORED).get(orientation)
    return file if turn is None else file.transpose(turn)


def image_size(path: Path, upright: bool = False) -> tuple[int, int]:
    """Width and height of an image file in pixels, from its header; pixels are not decoded.

    Args:
        path: the file.
        upright: in the frame that its EXIF orientation turns it to, else as stored.

    Raises:
        InputError: the file is not an image, or declares a size that no honest image has.
    """
    with _decoding(path), Image.open(path) as image:
        width, height = image.size
        if isinstance(image, TiffImageFile):  # `size` may be that of either frame
            width, height = image.tag_v2[_TIFF_WIDTH], image.tag_v2[_TIFF_HEIGHT]
        turned = upright and image.getexif().get(_EXIF_ORIENTATION) in _SWAPS_SIDES
    return (height, width) if turned else (width, height)


def open_image(image_root: Path, sample: Sample, follow_links: bool = False) -> Image.Image:
    """The image of a sample as RGB, in the frame that the sample's boxes are in.

    Raises:
        InputError: the sample has no image, its file is missing or outside the root, does not decode, or has another
            size than the sample says. Names the sample and the file.
    """
    where = f"sample {sample.id!r}"
    if sample.image is None:
        raise InputError("this sample has no image.", where=where)
    path = resolve_image(image_root, sample.image, follow_links, where=where)
    with _decoding(path, where), Image.open(path) as file:
        image = to_rgb(_in_frame(file, sample.upright))
    if sample.width is not None and image.size != (sample.width, sample.height):
        frame = "upright" if sample.upright else "stored"
        raise InputError(
            f"the image {path} is {image.width} x {image.height} in its {frame} frame; "
            f"the sample says {sample.width} x {sample.height}.",
            where=where,
            fix="Convert the annotations again with these images.",
        )
    return image


def small_grey(path: Path, least: int) -> Image.Image:
    """The stored picture in grey, read to its last row; smaller where its format allows to decode it so, and quickly.

    Args:
        least: pixels that no side goes below for it.

    Raises:
        InputError: the file does not decode.
    """
    with _decoding(path), Image.open(path) as file:
        file.draft("L", (least, least))
        return to_rgb(file).convert("L")


def image_key(sample: Sample) -> tuple[str | None, bool, int | None, int | None]:
    """Equal for samples that `open_image` gives the same picture for. The size counts, since opening checks it."""
    return sample.image, sample.upright, sample.width, sample.height


def to_rgb(image: Image.Image) -> Image.Image:
    """A new RGB picture of any of Pillow's modes.

    Transparency is laid on white. 16-bit grey is scaled from its full range 0..65535, never clipped, whatever part of
    it a picture uses; 32-bit integers beyond that range and floats, which have no range of their own, are scaled from
    the least to the greatest value in the picture.

    Raises:
        ValueError: a float picture has values that are not finite, or Pillow cannot convert the mode.
    """
    if image.mode == "F" or image.mode.startswith("I"):
        return _grey_to_rgb(np.asarray(image, dtype=np.float64), full_range=image.mode != "F")
    if image.has_transparency_data:
        see_through = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, _WHITE), see_through).convert("RGB")
    return image.convert("RGB")


def _grey_to_rgb(values: np.ndarray, full_range: bool) -> Image.Image:
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("it has pixel values that are not finite")
    if full_range and low >= 0 and high <= np.iinfo(np.uint16).max:
        low, high = 0.0, float(np.iinfo(np.uint16).max)
    scaled = (values - low) * (255.0 / (high - low)) if high > low else np.zeros_like(values)
    return Image.fromarray(np.rint(scaled).astype(np.uint8)).convert("RGB")
