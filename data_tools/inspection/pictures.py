"""Reads the images of a dataset, each once and a few at a time: is it there, whole, of its size, and what like?

Knows pictures and files; does not know splits. Pixels are let go as soon as they are looked at.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Literal, NamedTuple

from PIL import Image

from data_tools.inspection.fingerprints import SIDE, Words, fingerprint
from data_tools.inspection.table import Picture
from grounding.errors import InputError
from grounding.samples import image_size, resolve_image, small_grey

Fault = Literal["missing", "unreadable", "other_size"]
FAULTS: tuple[Fault, ...] = ("missing", "unreadable", "other_size")
"""Not there, or outside the image root; broken, or of no format that is known; of another size than its samples say."""
_AT_ONCE = 1024  # images handed to the threads at a time


class Look(NamedTuple):
    """What an image file told: a fault and its words, or a hash of its bytes and a fingerprint of its looks."""

    fault: Fault | None = None
    words: str = ""
    digest: bytes = b""
    print: Words | None = None


def look_at_all(
    pictures: Sequence[Picture], *, follow_links: bool = False, advance: Callable[[int], None] = lambda _: None
) -> list[Look]:
    """`look_at` for each picture, in order, on a few threads: Pillow decodes outside the interpreter's lock."""
    looks: list[Look] = []
    with warnings.catch_warnings():  # a slide or a map may well be so large; what is far beyond is an error
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        for look in _in_order(pictures, partial(look_at, follow_links=follow_links)):
            looks.append(look)
            advance(1)
    return looks


def _in_order(pictures: Sequence[Picture], see: Callable[[Picture], Look]) -> Iterator[Look]:
    pool = ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1))
    try:
        for start in range(0, len(pictures), _AT_ONCE):
            yield from pool.map(see, pictures[start : start + _AT_ONCE])
    finally:
        pool.shutdown(wait=True, cancel_futures=True)  # Ctrl-C does not wait for the rest


def look_at(picture: Picture, *, follow_links: bool = False) -> Look:
    """Reads one image file to its last row. Never raises for what the file holds."""
    sample = picture.sample
    try:
        path = resolve_image(picture.image_root, picture.name, follow_links, where=picture.name)
    except InputError as error:
        no_root = f"{picture.image_root}: no such folder (--images)"  # the same of all images, and told once
        return Look("missing", str(error) if picture.image_root.is_dir() else no_root)
    try:
        size = image_size(path, sample.upright)
        grey = small_grey(path, SIDE)
        digest = hashlib.sha256(path.read_bytes()).digest()
    except (InputError, OSError) as error:
        return Look("unreadable", str(error))
    if sample.width is not None and size != (sample.width, sample.height):
        words = f"{path} is {size[0]} x {size[1]}, its samples say {sample.width} x {sample.height}"
        return Look("other_size", words, digest, fingerprint(grey))
    return Look(None, "", digest, fingerprint(grey))
