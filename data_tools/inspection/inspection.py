"""The whole inspection on one page: open -> count -> read images -> find -> draw. Writes nothing; imports no torch."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from data_tools.inspection.findings import data_findings
from data_tools.inspection.gallery import Card, make_cards
from data_tools.inspection.image_findings import fault_findings, leak_findings, likeness_findings
from data_tools.inspection.leaks import Files, across, check_groups, copies, files_of
from data_tools.inspection.likeness import Alike, alike
from data_tools.inspection.measures import measure
from data_tools.inspection.opening import Opened, open_splits
from data_tools.inspection.pictures import FAULTS, look_at_all
from data_tools.inspection.remarks import plain, worst_first
from data_tools.inspection.table import Table, make_table
from data_tools.inspection.words import words_in
from data_tools.progress import Progress, counting
from data_tools.reasons import REASONS, unit_of
from data_tools.splits import group_pattern
from grounding import __version__
from grounding.errors import InputError
from grounding.page.thumbnails import INSIDE, Thumbnails, add_thumbnail
from grounding.page.words import Words
from grounding.samples import Manifest

PAIRS = 20  # pairs of images that look alike, as shown
CARDS = 120
MOST_CARDS = INSIDE - 2 * PAIRS  # so that every picture lies inside the page


@dataclass(frozen=True)
class Pair:
    """Two images that look alike: splits, bits that differ (None: the same bytes), keys of thumbnails."""

    images: tuple[str, str]
    splits: tuple[str, str]
    bits: int | None
    pictures: tuple[str | None, str | None] = (None, None)


@dataclass(frozen=True)
class Inspection:
    """What was found: `report` as JSON has it; `cards` and `pairs` with their thumbnails, and `lang`, for the page."""

    report: Mapping[str, Any]
    cards: Sequence[Card] = ()
    pairs: Sequence[Pair] = ()
    thumbnails: Thumbnails = field(default_factory=Thumbnails)
    lang: str = "en"


def inspect(
    path: Path,
    images: Path | None = None,
    *,
    check_images: bool = True,
    cards: int = CARDS,
    seed: int = 0,
    group_by: str | None = None,
    follow_links: bool = False,
    lang: str = "en",
    progress: Progress = lambda *_: None,
) -> Inspection:
    """Looks at a dataset.

    Args:
        path: a folder that `grounding convert` made, one JSONL file, or CogVLM's `images/` and `labels/`.
        images: an image root in place of the one that the manifest names.
        check_images: read every image: is it there, whole, and what looks like it?
        cards: samples drawn, at most `MOST_CARDS`; none are drawn, and no image opened for them, where it is 0.
        seed: of the draw.
        lang: of the words, one of `samples.LANGUAGES`.
        group_by: what this regular expression captures of image names must not be in two splits; else as converted.

    Raises:
        InputError: there is no dataset, the expression is none, a line of it cannot be read, or the language has no
            words.
    """
    if not 0 <= cards <= MOST_CARDS:
        raise InputError(f"{cards} pictures do not fit into a page; 0 to {MOST_CARDS} do", where="--cards")
    words = words_in(lang)
    opened = open_splits(path, images)
    group = group_pattern(group_by or opened.group_by)
    table = make_table(opened.splits, counting("reading samples", _samples(opened), progress))
    check_groups(group if group_by else None, table.pictures)
    numbers = measure(table)
    advance = counting("reading images", len(table.pictures), progress)
    looks = look_at_all(table.pictures, follow_links=follow_links, advance=advance) if check_images else []
    progress("comparing images", 0, None)
    files = files_of(table, looks)
    likeness = alike(files, len(table.splits))
    remarks = [
        *fault_findings(looks),
        *leak_findings(files, table.splits, group),
        *likeness_findings(likeness, table.splits),
        *data_findings(opened, table, numbers, words),
    ]
    places = _closest(files, likeness)
    pairs = [_pair(files, table, *pair) for pair in places]
    report = {
        "dataset": _about(opened, table),
        "findings": plain(worst_first(remarks), words),
        **numbers,
        "images": {
            "files": len(files.pictures),
            "read": sum(look.fault != "missing" for look in looks),
            "faults": {name: sum(look.fault == name for look in looks) for name in FAULTS},
            "alike": likeness.total,
            "closest": [{"images": pair.images, "splits": pair.splits, "bits": pair.bits} for pair in pairs],
        },
        "annotations": _annotations(opened.conversion, words),
        "versions": {
            "grounding": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "pillow", "scipy")},
        },
    }
    if not cards:
        return Inspection(report, lang=lang)
    thumbnails = Thumbnails()
    advance = counting("drawing samples", cards, progress)
    shown = make_cards(
        opened, table, thumbnails, opened.folder, most=cards, seed=seed, follow_links=follow_links, advance=advance
    )

    def key(place: int) -> str | None:
        file = files.pictures[place]
        return add_thumbnail(file.sample, file.image_root, opened.folder, thumbnails, follow_links)[0]

    drawn = [
        replace(pair, pictures=(key(one), key(other))) for pair, (one, other, _) in zip(pairs, places, strict=True)
    ]
    return Inspection(report, shown, drawn, thumbnails, lang)


def _samples(opened: Opened) -> int:
    return sum(len(dataset.samples) for dataset in opened.splits.values())


def _about(opened: Opened, table: Table) -> dict[str, Any]:
    settings = opened.conversion.settings if opened.conversion else {}
    return {
        "path": str(opened.path),
        "name": opened.path.resolve().name,
        "image_roots": sorted({str(dataset.image_root.resolve()) for dataset in opened.splits.values()}),
        "samples": len(table.count),
        "images": len({picture.path for picture in table.pictures}),
        "boxes": len(table.object),
        "not_found_sentences": dict(opened.not_found),
        "empty_splits": list(opened.empty),
        "sources": settings.get("sources", []),
        "format": ", ".join(settings.get("formats", [])) or settings.get("format"),
        "seed": settings.get("seed"),
    }


def _annotations(manifest: Manifest | None, words: Words) -> list[dict[str, Any]]:
    """What convert refused, mended and kept with a word: reason, number, rule and first places, as it counted them."""
    if manifest is None:
        return []
    counts, in_tiles = manifest.counts, bool(manifest.settings.get("tiles"))
    entries = []
    for outcome, numbers in (
        ("refused", manifest.refusals),
        ("mended", counts.get("mended", {})),
        ("kept", counts.get("kept", {})),
    ):
        for reason, n in sorted(numbers.items(), key=lambda item: -item[1]):
            known = reason in REASONS  # not so in a set that a later version made
            entries.append(
                {
                    "outcome": outcome,
                    "reason": reason,
                    "n": n,
                    "unit": unit_of(reason, in_tiles=in_tiles) if known else None,
                    "meaning": words["rules"][reason] if known else None,
                    "places": counts.get("places", {}).get(reason, []),
                }
            )
    return entries


def _closest(files: Files, likeness: Alike) -> list[tuple[int, int, int | None]]:
    """Pairs of files that are or look the same, with the bits that differ; those in two splits first."""
    same: list[tuple[int, int, int | None]] = [(*pair, None) for pair in copies(files, PAIRS)]
    return sorted([*same, *likeness.closest(PAIRS)], key=lambda pair: not across(files, pair[:2]))[:PAIRS]


def _pair(files: Files, table: Table, one: int, other: int, bits: int | None) -> Pair:
    splits = [", ".join(table.splits[split] for split in sorted(files.splits[place])) for place in (one, other)]
    return Pair((files.pictures[one].name, files.pictures[other].name), (splits[0], splits[1]), bits)
