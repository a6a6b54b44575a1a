"""Images cut into overlapping tiles, so that small objects are large enough to be seen: records -> records of tiles.

A box goes with a tile where the tile shows enough of it, cut at the tile's edge. Of what it shows less, the part shown
goes to `ignore`: neither present nor absent there, while other objects of its class are asked for (as DOTA's splitter
marks such objects difficult, https://github.com/CAPTAIN-WHU/DOTA_devkit). Phrases and ready samples speak of the whole
image: they stay where one tile is all of it. Knows no format and no prompt; opens images only to write the tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from data_tools.records import Annotation, Finding, Record, Tally
from grounding.errors import InputError, RunError
from grounding.geometry import area, as_boxes, clip
from grounding.samples import Sample, atomic_path, open_image

FOLDER = "tiles"  # of the dataset folder: the image root of a dataset of tiles
VISIBLE = 0.5  # least share of a box's area that a tile shows, for the object to be in that tile


class Tiling(NamedTuple):
    """How images are cut: side and overlap in px, and the least visible share of a box."""

    side: int
    overlap: int
    visible: float = VISIBLE


class Window(NamedTuple):
    """Where a tile is: its image as a record, and its left upper corner in px of the frame of the boxes."""

    record: Record
    x: int
    y: int


def parse_tiling(text: str) -> Tiling:
    """A tiling out of "SIDE", "SIDE,OVERLAP" (px) or "SIDE,OVERLAP,VISIBLE". The overlap is a quarter if not said.

    Raises:
        InputError: it is none of these, or the overlap is not smaller than the side.
    """
    parts = text.split(",")
    try:
        side = int(parts[0])
        overlap = int(parts[1]) if len(parts) > 1 else side // 4
        visible = float(parts[2]) if len(parts) > 2 else VISIBLE
    except ValueError:
        side = overlap = 0
        visible = 0.0
    if len(parts) > 3 or not 0 <= overlap < side or not 0 < visible <= 1:
        raise InputError(
            f"{text!r} is no tiling; SIDE[,OVERLAP[,VISIBLE]] is needed: pixels, the overlap smaller than the "
            "side, and the share of a box from which a tile has the object",
            where="--tiles",
            fix="Example: --tiles 640,160",
        )
    return Tiling(side, overlap, visible)


def cut(records: Sequence[Record], tiling: Tiling) -> tuple[list[Record], dict[str, Window], Tally]:
    """The tiles of all images as records, by name where each is, and what was cut or left out of them.

    Names are `IMAGE/X_Y.png`. Of byte-identical images the tiles at one place count as byte-identical too.
    """
    findings: list[Finding] = []
    windows: dict[str, Window] = {}
    tiles: list[Record] = []
    for record in records:
        assert record.size_wh is not None  # settled by the check of the images
        width, height = record.size_wh
        if max(width, height) > tiling.side:
            findings += [Finding("not_tiled", phrase.place, phrase.text) for phrase in record.phrases]
            findings += [Finding("not_tiled", record.place, sample.id) for sample in record.samples]
            record = replace(record, phrases=(), samples=())
        for y in _starts(height, tiling):
            for x in _starts(width, tiling):
                tile = _tile(record, x, y, tiling, findings)
                windows[tile.name] = Window(record, x, y)
                tiles.append(tile)
    return tiles, windows, Tally.of(findings)


def _starts(extent: int, tiling: Tiling) -> list[int]:
    """Where tiles begin along one side of an image; the last one ends at its edge."""
    last = max(extent - tiling.side, 0)
    return [*range(0, last, tiling.side - tiling.overlap), last]


def _tile(record: Record, x: int, y: int, tiling: Tiling, findings: list[Finding]) -> Record:
    assert record.size_wh is not None
    size_wh = (min(tiling.side, record.size_wh[0] - x), min(tiling.side, record.size_wh[1] - y))
    boxes = as_boxes([annotation.xyxy_px for annotation in record.annotations]) - [x, y, x, y]
    shown = clip(boxes, size_wh)
    shares = area(shown) / area(boxes)
    kept: list[Annotation] = []
    name = f"{record.name}/{x}_{y}.png"
    for annotation, box, share in zip(record.annotations, shown.tolist(), shares.tolist(), strict=True):
        if not share:
            continue
        ignore = annotation.ignore
        if share < 1:
            hardly_shown = share < tiling.visible and ignore is None
            reason = "mostly_outside_tile" if hardly_shown else "cut_by_tile"
            findings.append(Finding(reason, annotation.place, f"{annotation.category} in {name}"))
            ignore = "difficult" if hardly_shown else ignore
        x0, y0, x1, y1 = box
        kept.append(replace(annotation, xyxy_px=(x0, y0, x1, y1), ignore=ignore))
    return replace(
        record,
        name=name,
        size_wh=size_wh,
        annotations=tuple(kept),
        upright=False,
        digest=None if record.digest is None else f"{record.digest} {x} {y}",
    )


def write_tiles(
    samples: Iterable[Sample],
    windows: Mapping[str, Window],
    image_root: Path,
    out: Path,
    follow_links: bool,
    advance: Callable[[int], None] = lambda _: None,
) -> None:
    """Writes the tiles that samples are about as PNG below `out / FOLDER`; each image is opened once.

    `advance` is told 1 for each tile.

    Raises:
        InputError: an image cannot be opened, or has not the size that its boxes are in.
        RunError: a tile cannot be written.
    """
    by_image: dict[str, list[Sample]] = {}
    for sample in {sample.image: sample for sample in samples if sample.image is not None}.values():
        by_image.setdefault(windows[str(sample.image)].record.name, []).append(sample)
    for some in by_image.values():
        record = windows[str(some[0].image)].record
        assert record.size_wh is not None
        whole = replace(
            some[0], image=record.name, width=record.size_wh[0], height=record.size_wh[1], upright=record.upright
        )
        image = open_image(image_root, whole, follow_links)
        for sample in some:
            window = windows[str(sample.image)]
            assert sample.width is not None and sample.height is not None
            tile = image.crop((window.x, window.y, window.x + sample.width, window.y + sample.height))
            with atomic_path(out / FOLDER / str(sample.image)) as temporary:
                tile.save(temporary, format="PNG")
            advance(1)


def remove_others(samples: Iterable[Sample], out: Path) -> int:
    """Removes the tiles of an earlier dataset below `out / FOLDER` that no sample is about, and says how many.

    Raises:
        RunError: one cannot be removed.
    """
    kept = {out / FOLDER / str(sample.image) for sample in samples}
    others = [path for path in (out / FOLDER).rglob("*.png") if path.is_file() and path not in kept]
    try:
        for path in others:
            path.unlink()
        for folder in sorted({path.parent for path in others}, reverse=True):
            if not any(folder.iterdir()):
                folder.rmdir()
    except OSError as error:
        raise RunError(f"a tile of an earlier dataset cannot be removed: {error}") from error
    return len(others)
