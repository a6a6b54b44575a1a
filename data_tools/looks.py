"""What images were found to be, kept from one run to the next: by name, size and time of the file.

One file for each image root, below a folder of the user's choice. A file that cannot be read is told and begun anew; a
look made by another version of Pillow counts for nothing. Knows no annotation, and opens no image.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import NamedTuple

import msgspec
from PIL import __version__ as PILLOW

from grounding.errors import RunError
from grounding.samples import atomic_path

SETTLED = 2 * 10**9  # ns since a file was changed, before which another change might leave its time as it is


class Looked(NamedTuple):
    """What reading an image file told: a reason to refuse it, or its stored size and its hash.

    `turned`: EXIF turns or mirrors it; `swapped`: turning it swaps width and height.
    """

    fault: str | None
    found: str = ""
    size_wh: tuple[int, int] = (0, 0)
    turned: bool = False
    swapped: bool = False
    digest: str | None = None


class Stamp(NamedTuple):
    """What tells a file from what it was: bytes, and ns of its last change."""

    size: int
    changed: int


class _Kept(msgspec.Struct):
    """The file of a root."""

    root: str
    pillow: str
    looks: dict[str, tuple[Stamp, Looked]]


class Looks:
    """The looks at the images of a root; without a folder to keep them in, none are known.

    Args:
        folder: where they are kept, or None.
        image_root: of the images.
    """

    def __init__(self, folder: Path | None, image_root: Path) -> None:
        self._root = str(image_root.resolve())
        name = hashlib.sha256(self._root.encode(errors="surrogateescape")).hexdigest()[:32]
        self._path = None if folder is None else folder / f"{name}.msgpack"
        self._known: dict[str, tuple[Stamp, Looked]] = {}
        self._new = False
        self.fault: str | None = None
        if self._path is not None and self._path.exists():
            self._load(self._path)

    def _load(self, path: Path) -> None:
        try:
            kept = msgspec.msgpack.decode(path.read_bytes(), type=_Kept)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            self.fault = f"the looks kept in {path} cannot be read ({error}); all images are read again"
            return
        if kept.root == self._root and kept.pillow == PILLOW:
            self._known = kept.looks

    def get(self, name: str, stamp: Stamp) -> Looked | None:
        """The look at an image whose file is as it was then."""
        kept = self._known.get(name)
        return kept[1] if kept is not None and kept[0] == stamp else None

    def add(self, name: str, stamp: Stamp, look: Looked) -> None:
        """Keeps a look, unless the file was changed so lately that its time would not tell another change."""
        if self._path is not None and time.time_ns() - stamp.changed > SETTLED:
            self._known[name] = (stamp, look)
            self._new = True

    def save(self) -> None:
        """Writes what is new; where that cannot be, it is told in `fault`, for nothing else depends on it."""
        if self._path is None or not self._new:
            return
        try:
            with atomic_path(self._path) as temporary:
                temporary.write_bytes(msgspec.msgpack.encode(_Kept(self._root, PILLOW, self._known)))
        except RunError as error:
            self.fault = f"looks at images could not be kept: {error}"
