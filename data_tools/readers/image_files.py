"""Where the images of an annotation file lie, what they are called, and how large they are by their header.

Knows no format and decodes no pixel.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Sequence, Set
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import urlsplit

from PIL import Image

from data_tools.entries import clean_name, text_of
from grounding.errors import InputError
from grounding.samples import image_size

PROBED = 20  # images tried when their folder is guessed; one may have several names
SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", ".bmp", ".tif", ".tiff", ".webp", ".gif")
COCO_2014 = re.compile(r"COCO_(?:train|val|test)2014_(?=\d{12}\.)")  # what the names of 2017 no longer have


class Header(NamedTuple):
    """The size of an image file, or the reason to refuse the image and what was found."""

    size_wh: tuple[int, int] | None
    fault: str | None = None
    found: str = ""


def guess_image_root(path: Path, names: Sequence[str]) -> Path:
    """The folder near an annotation file that has most of the first few images; the file's own where none has any."""
    here, above = path.parent, path.parent.parent
    subset = path.stem.removeprefix("instances_")
    places = [here, here / "images", above / "images", above, here / subset, above / subset, above / "images" / subset]
    found = [sum(_is_file(place, name) for name in names[: 4 * PROBED]) for place in places]
    return places[found.index(max(found))]


def header_of(image_root: Path, name: str, frame: str = "", upright: bool = True) -> Header:
    """The size that fractions of an image's sides are meant in.

    Args:
        image_root: folder of the images.
        name: clean path below it.
        frame: what the user says of the frame, "stored" or "upright"; "" where nothing is said.
        upright: the frame that the format means: turned as EXIF says, else as stored.
    """
    path = image_root / name
    if not _is_file(image_root, name):
        return Header(None, "missing_image", str(path))
    with warnings.catch_warnings():  # a slide or a map may well be so large; what is far beyond is an error
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            return Header(image_size(path, upright=frame == "upright" if frame else upright))
        except InputError as error:
            return Header(None, "unreadable_image", str(error))


def relative_name(value: object, image_root: Path) -> str | None:
    """A path below the image root, as `clean_name`; an absolute one is taken where it lies below that root."""
    name = clean_name(value)
    if name is not None or text_of(value) is None or not isinstance(value, str) or "\0" in value:
        return name
    path = Path(value)
    if not path.is_absolute() or not path.is_relative_to(image_root.resolve()):
        return None
    return clean_name(path.relative_to(image_root.resolve()).as_posix())


def coco_names(file_name: object, coco_url: object) -> list[str]:
    """What the file of an image may be called, the likeliest first, all clean paths; empty where none is.

    LVIS says `file_name` COCO_val2014_000000577932.jpg where the file is val2017/000000577932.jpg, or says `coco_url`
    alone (https://www.lvisdataset.org/dataset).
    """
    stated = clean_name(file_name)
    if stated is not None and "COCO_" not in stated:
        return [stated]
    names = [] if stated is None else [stated]
    older = None if stated is None else COCO_2014.sub("", stated)
    url = clean_name(urlsplit(coco_url).path.lstrip("/")) if isinstance(coco_url, str) and coco_url else None
    if url is not None and (stated is None or older != stated):
        names += [str(PurePosixPath(*PurePosixPath(url).parts[-2:])), PurePosixPath(url).name]
    return list(dict.fromkeys([*names, older] if older is not None else names))


def first_there(image_root: Path, names: Sequence[str]) -> str:
    """The first of the names that is a file; the first where none is. There is one name at least."""
    if len(names) == 1:
        return names[0]
    return next((name for name in names if _is_file(image_root, name)), names[0])


class FilesThere:
    """The files below a folder, each of its folders listed once: much quicker than to ask for many names in turn."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: dict[str, dict[str, set[str]]] = {}

    def suffixes(self, stem: str) -> Set[str]:
        """Of the files that are called so but for their suffix: {".jpg", ".png"} of "a/b" for a/b.jpg and a/b.png."""
        folder, _, name = stem.rpartition("/")
        if folder not in self._files:
            self._files[folder] = self._listed(folder)
        return self._files[folder].get(name, frozenset())

    def _listed(self, folder: str) -> dict[str, set[str]]:
        files: dict[str, set[str]] = {}
        try:
            with os.scandir(self._root / folder) as entries:
                for entry in entries:
                    if entry.is_file():
                        stem, dot, suffix = entry.name.rpartition(".")
                        files.setdefault(stem, set()).add(dot + suffix)
        except (OSError, ValueError):  # no such folder, or a name that none can have
            return {}
        return files


def _is_file(image_root: Path, name: str) -> bool:
    try:
        return (image_root / name).is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False
