"""Images held against what the annotations say of them; what does not fit is kept, mended or refused by rule.

The rules, with the reason each is counted under, are the table in `data_tools.reasons`. Knows no format and no prompt.

Frames: an image that EXIF turns has two frames, stored and upright. Boxes are in the one whose size the annotation
states. Where that does not decide (a square, a mirror image, no size stated) the stored one is taken. A size stated
that is neither refuses the image, unless the caller says what the frame is.
"""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple

from msgspec.structs import replace
from PIL import Image, UnidentifiedImageError

from data_tools.engines import Engine
from data_tools.looks import Looked, Looks, Stamp
from data_tools.records import Finding, Record, Tally, fallen
from grounding.errors import InputError
from grounding.samples import DECODING_ERRORS, resolve_image

Frame = Literal["stored", "upright"]
Advance = Callable[[int], None]  # told 1 for each image that is done

ORIENTATION = 0x0112  # EXIF tag; 1 = as stored, 5..8 swap width and height
SWAPPED = range(5, 9)
TOGETHER = 16  # images that one worker reads in a row


class Checked(NamedTuple):
    """The images that are kept, and what was found.

    Attributes:
        known: images that were not read, since they are missing or were looked at in an earlier run.
        fault: what is to be said of the looks kept from earlier runs.
    """

    records: list[Record]
    tally: Tally
    known: int = 0
    fault: str | None = None


class Unread(NamedTuple):
    """An image that has to be read."""

    path: Path
    name: str
    stamp: Stamp


def check_images(
    records: Sequence[Record],
    image_root: Path,
    frame: Frame | None,
    follow_links: bool,
    advance: Advance,
    engine: Engine = Engine(),  # noqa: B008  (it is immutable)
    cache: Path | None = None,
) -> Checked:
    """Reads every image to its last row; settles size and frame of its record, or refuses it. Result in given order.

    Args:
        records: with names below `image_root`.
        frame: that of the boxes where the user says it.
        follow_links: allows links out of the root.
        advance: told 1 for each image.
        engine: what reads them.
        cache: folder in which looks at images are kept; one of the same size and time is not read again.
    """
    kept: list[Record] = []
    findings: list[Finding] = []
    looks = Looks(cache, image_root)
    found = [_look_up(image_root, record.name, follow_links, looks) for record in records]
    unread = [(one.path, one.name) for one in found if isinstance(one, Unread)]
    reading = _read_all(unread, engine)
    for record, one in zip(records, found, strict=True):
        if isinstance(one, Unread):
            look = next(reading)
            looks.add(one.name, one.stamp, look)
        else:
            look = one
        _settle(record, look, frame, kept, findings)
        advance(1)
    looks.save()
    findings += _identical(kept)
    return Checked(kept, Tally.of(findings), len(records) - len(unread), looks.fault)


def trust_sizes(records: Sequence[Record], frame: Frame | None) -> tuple[list[Record], Tally]:
    """In place of `check_images` where images are not read: the sizes stated count, those without one are refused."""
    kept: list[Record] = []
    findings: list[Finding] = []
    for record in records:
        if record.size_wh is None:
            findings += _refuse(record, "no_size", record.name)
        else:
            upright = frame == "upright"
            kept.append(record if record.upright == upright else replace(record, upright=upright))
    return kept, Tally.of(findings)


def look_at(image_root: Path, name: str, follow_links: bool) -> Looked:
    """Reads one image file. Never raises for what the file holds."""
    path = find(image_root, name, follow_links)
    return path if isinstance(path, Looked) else read(path, name)


def find(image_root: Path, name: str, follow_links: bool) -> Path | Looked:
    """Where an image lies, or what speaks against looking there."""
    path = image_root / name
    if not os.path.isfile(path):  # noqa: PTH113  (False, where pathlib raises, for names that no file can have)
        return Looked("missing_image", str(path))
    try:
        return resolve_image(image_root, name, follow_links=follow_links)
    except InputError as error:
        return Looked("link_outside_root", str(error))


def _look_up(image_root: Path, name: str, follow_links: bool, looks: Looks) -> Looked | Unread:
    """The look at an image that is known, or what has to be read."""
    path = find(image_root, name, follow_links)
    if isinstance(path, Looked):
        return path
    status = path.stat()
    stamp = Stamp(status.st_size, status.st_mtime_ns)
    return looks.get(name, stamp) or Unread(path, name, stamp)


def _read_all(unread: Sequence[tuple[Path, str]], engine: Engine) -> Iterator[Looked]:
    """A look at each, in order: on threads (Pillow decodes outside the interpreter's lock), or on a Ray cluster."""
    parts = [unread[start : start + TOGETHER] for start in range(0, len(unread), TOGETHER)]
    if engine.name != "local":
        yield from chain.from_iterable(engine.map(read_part, parts))
        return
    pool = ThreadPoolExecutor(max_workers=engine.workers)
    try:
        with _large_images():
            yield from chain.from_iterable(pool.map(_read_each, parts))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)  # Ctrl-C does not wait for the rest


def read_part(part: Sequence[tuple[Path, str]]) -> list[Looked]:
    """Looks at some images in a process of their own."""
    with _large_images():
        return _read_each(part)


def _read_each(part: Sequence[tuple[Path, str]]) -> list[Looked]:
    return [read(path, name) for path, name in part]


@contextmanager
def _large_images() -> Iterator[None]:
    """A slide or a map may well be very large; what is far beyond is an error all the same. Not for a single thread."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def read(path: Path, name: str) -> Looked:
    """Reads an image file to its last row; `name` is what it is called."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return Looked("unreadable_image", f"{path}: {error.strerror}")
    try:
        with Image.open(io.BytesIO(content)) as image:
            size_wh = image.size
            orientation = image.getexif().get(ORIENTATION, 1)
            # JPEG decodes many times faster at an eighth of the size, and still has to read all of its data.
            image.draft("L", (max(1, size_wh[0] // 8), max(1, size_wh[1] // 8)))
            image.load()
    except UnidentifiedImageError:
        return Looked("unreadable_image", f"{name}: no image format that is known")
    except DECODING_ERRORS as error:
        return Looked("unreadable_image", f"{name}: {error}")
    turned = orientation in range(2, 9)
    return Looked(None, "", size_wh, turned, orientation in SWAPPED, hashlib.sha256(content).hexdigest())


def _settle(record: Record, look: Looked, frame: Frame | None, kept: list[Record], findings: list[Finding]) -> None:
    """Adds the record with size, frame and hash to `kept`, or what speaks against it to `findings`."""
    if look.fault is not None:
        findings += _refuse(record, look.fault, look.found)
        return
    stored = look.size_wh
    upright = stored[::-1] if look.swapped else stored
    stated = record.size_wh
    if frame is not None:
        chosen = upright if frame == "upright" else stored
        reason = "size_ignored" if stated not in (None, chosen) else None
    elif stated is None:
        chosen, reason = stored, "size_from_file"
    elif stated not in (stored, upright):
        findings += _refuse(record, "size_disagrees", f"{record.name}: stated {stated}, stored {stored}")
        return
    else:
        chosen = stated
        reason = ("exif_upright" if stated == upright else "exif_stored") if stored != upright else None
    undecided = frame is None and look.turned and (stored == upright or stated is None)
    if reason is not None:
        findings.append(Finding(reason, record.place, f"{record.name}: stated {stated}, stored {stored}"))
    if undecided:
        findings.append(Finding("exif_undecided", record.place, record.name))
    is_upright = look.turned and (frame == "upright" or (frame is None and stored != upright and chosen == upright))
    kept.append(replace(record, size_wh=chosen, upright=is_upright, digest=look.digest))


def _refuse(record: Record, reason: str, found: str) -> list[Finding]:
    """A refused image, and every annotation that falls with it."""
    return [Finding(reason, record.place, found), *fallen(record)]


def _identical(records: Sequence[Record]) -> Iterator[Finding]:
    first: dict[str | None, str] = {}
    for record in records:
        twin = first.setdefault(record.digest, record.name)
        if twin != record.name:
            yield Finding("identical_image", record.place, f"{record.name} = {twin}")
