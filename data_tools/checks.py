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
from pathlib import Path
from typing import Literal, NamedTuple

from msgspec.structs import replace
from PIL import Image, UnidentifiedImageError

from data_tools.records import Finding, Record, Tally, fallen
from grounding.errors import InputError
from grounding.samples import DECODING_ERRORS, resolve_image

Frame = Literal["stored", "upright"]
Advance = Callable[[], None]  # called for each image that is done

ORIENTATION = 0x0112  # EXIF tag; 1 = as stored, 5..8 swap width and height
SWAPPED = range(5, 9)


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


def check_images(
    records: Sequence[Record], image_root: Path, frame: Frame | None, follow_links: bool, advance: Advance
) -> tuple[list[Record], Tally]:
    """Reads every image to its last row; settles size and frame of its record, or refuses it. Result in given order."""
    kept: list[Record] = []
    findings: list[Finding] = []
    with warnings.catch_warnings():  # a slide or a map may well be so large; what is far beyond is an error
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        looks = _look_at_all([record.name for record in records], image_root, follow_links)
        for record, look in zip(records, looks, strict=True):
            _settle(record, look, frame, kept, findings)
            advance()
    findings += _identical(kept)
    return kept, Tally.of(findings)


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
    path = image_root / name
    if not os.path.isfile(path):  # noqa: PTH113  (False, where pathlib raises, for names that no file can have)
        return Looked("missing_image", str(path))
    try:
        content = resolve_image(image_root, name, follow_links=follow_links).read_bytes()
    except InputError as error:
        return Looked("link_outside_root", str(error))
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


def _look_at_all(names: Sequence[str], image_root: Path, follow_links: bool) -> Iterator[Looked]:
    """`look_at` for each name, in order, on a few threads (Pillow decodes outside the interpreter's lock)."""
    pool = ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1))
    try:
        yield from pool.map(lambda name: look_at(image_root, name, follow_links), names)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)  # Ctrl-C does not wait for the rest


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
