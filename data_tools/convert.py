"""The whole line on one page: read -> check -> select -> compose -> write. Imports no torch.

Each step takes records (or samples) and gives new ones with a tally of what it refused, mended or found worth a word.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from data_tools import checks, compose, names, selection, splits, stats
from data_tools.gather import gather
from data_tools.readers import reader_of
from data_tools.reasons import REASONS
from data_tools.records import Absence, Record, Source, Tally
from data_tools.writers.folder import MADE_BY, check_folder, write_folder
from grounding import __version__
from grounding.errors import InputError
from grounding.samples import Manifest, Sample, Style
from grounding.text import NOT_FOUND

Progress = Callable[[str, int, "int | None"], None]  # (what is done, how far, out of how many or None)


@dataclass(frozen=True)
class Options:
    """How annotations become samples; the words are those of `grounding convert --help`."""

    format: str = "coco"
    images: Path | None = None
    check_images: bool = True
    ratios: tuple[float, float, float] = (0.8, 0.1, 0.1)
    group_by: str | None = None
    negatives: float = 0.25
    negatives_from: Absence | None = None
    langs: tuple[str, ...] = ("en",)
    tasks: tuple[str, ...] = (compose.TASK,)
    frame: checks.Frame | None = None
    not_found: Mapping[str, str] = field(default_factory=lambda: dict(NOT_FOUND))
    templates: Mapping[str, Path] = field(default_factory=dict)
    names: Path | None = None
    style: Style = "pairs"
    seed: int = 0
    voc_pixels: str = "auto"
    follow_links: bool = False


@dataclass(frozen=True)
class Conversion:
    """What a conversion made: samples and numbers by split, the tally, and what was decided without being told."""

    samples: Mapping[str, Sequence[Sample]]
    splits: Mapping[str, Mapping[str, Any]]
    tally: Tally
    taken: Mapping[str, str]
    manifest: Manifest
    images_listed: int


def convert(
    sources: Sequence[tuple[str | None, Path]],
    out: Path,
    options: Options | None = None,
    progress: Progress = lambda *_: None,
) -> Conversion:
    """Converts annotations and writes the dataset folder.

    Args:
        sources: (train, val, test or None for by list or hash, annotation file or folder), at least one.
        out: folder for train.jsonl, val.jsonl, test.jsonl and manifest.json.
        options: how.
        progress: told how far a long step is.

    Raises:
        InputError: a source, an option or the out folder is wrong, or nothing is left to write.
        RunError: the folder cannot be written.
    """
    options = options or Options()
    _check_options(options)
    check_folder(out, splits.SPLITS)
    languages = compose.load_languages(options.langs, options.not_found, options.templates)
    called = names.load_names(options.names) if options.names else {}

    read = _read(sources, options, progress)
    records, tally, image_root = gather(read, options.negatives_from)
    listed = len(records)
    if called:
        names.check_names(called, frozenset[str]().union(*(source.classes for source in read)))
    records, found = _check_images(records, image_root, options, progress)
    tally += found
    records, found = checks.check_boxes(records)
    tally += found
    records, found = splits.assign_splits(records, options.ratios, options.group_by, options.seed)
    tally += found

    absent = dict(zip((r.name for r in records), selection.absent_classes(records), strict=True))
    chosen: dict[str, selection.Selected] = {}
    for split, members in splits.by_split(records).items():
        chosen[split], found = selection.select(members, absent, options.negatives, f"{options.seed}|{split}")
        tally += found
    advance = _counting("writing prompts", sum(len(selected.questions) for selected in chosen.values()), progress)
    samples: dict[str, list[Sample]] = {}
    for split, selected in chosen.items():
        samples[split], found = compose.compose(
            selected.questions, languages, options.not_found, options.seed, called, advance
        )
        tally += found
    if not any(samples.values()):
        raise InputError(f"nothing is left to write: {_why_empty(tally, listed)}", where=_name(sources))

    progress("counting and writing files", 0, None)
    numbers = {split: {**stats.describe(samples[split]), "not_found_wanted": chosen[split].wanted} for split in samples}
    manifest = _manifest(out, image_root, sources, options, read, tally, {"images_listed": listed, "splits": numbers})
    write_folder(out, samples, manifest, options.style)
    return Conversion(samples, numbers, tally, _taken(read, options.negatives_from), manifest, listed)


def _check_options(options: Options) -> None:
    unknown = [task for task in options.tasks if task != compose.TASK]
    if unknown or not options.tasks:
        raise InputError(f"{', '.join(unknown) or 'no task'} cannot be made; there is {compose.TASK}", where="--tasks")
    if not 0 <= options.negatives < float("inf"):
        raise InputError(f"{options.negatives} is no ratio; a number from 0 on is needed", where="--negatives")
    if options.images is not None and options.check_images and not options.images.is_dir():
        raise InputError("no such folder", where=f"--images {options.images}")


def _read(sources: Sequence[tuple[str | None, Path]], options: Options, progress: Progress) -> list[Source]:
    reader = reader_of(options.format)
    read: list[Source] = []
    for split, path in sources:
        progress(f"reading {path}", 0, None)
        settings = {"voc_pixels": options.voc_pixels, "lists": "no" if split else "yes"}
        for source in reader(path, options.images, settings):
            read.append(replace(source, split=split) if split else source)
    if not read:
        raise InputError(f"the reader of the format {options.format!r} found nothing in it", where=_name(sources))
    return read


def _check_images(
    records: list[Record], image_root: Path, options: Options, progress: Progress
) -> tuple[list[Record], Tally]:
    if not options.check_images:
        return checks.trust_sizes(records, options.frame)
    advance = _counting("reading images", len(records), progress)
    return checks.check_images(records, image_root, options.frame, options.follow_links, advance)


def _counting(step: str, total: int, progress: Progress) -> Callable[[], None]:
    """A function to call for each thing done in a step of `total` things."""
    done = itertools.count(1)
    return lambda: progress(step, next(done), total)


def _taken(read: Sequence[Source], absence: Absence | None) -> dict[str, str]:
    """What readers decided by themselves; with the source's name where there are several."""
    several = len(read) > 1
    return {
        f"{name} ({next(iter(source.inputs))})" if several else name: choice
        for source in read
        for name, choice in (*source.taken.items(), ("absence", _ABSENCE[absence or source.absence]))
    }


_ABSENCE = {
    "exhaustive": "exhaustive, a class of the source that is not annotated in an image counts as absent",
    "listed": "listed, only classes that the source names as negatives of an image count as absent",
    "none": "none, no class counts as absent",
}


def _manifest(
    out: Path,
    image_root: Path,
    sources: Sequence[tuple[str | None, Path]],
    options: Options,
    read: Sequence[Source],
    tally: Tally,
    counts: dict[str, Any],
) -> Manifest:
    """All that a reader of the dataset needs to know; no clock, so that the same call writes the same bytes."""
    inputs = {path: digest for source in read for path, digest in source.inputs.items()}
    told = [*options.templates.values(), *([options.names] if options.names else [])]
    inputs |= {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in told}
    totals = {name: sum(split[name] for split in counts["splits"].values()) for name in ("images", "samples")}
    settings = {"made_by": MADE_BY, "sources": [f"{split}={path}" if split else str(path) for split, path in sources]}
    return Manifest(
        image_root=Path(os.path.relpath(image_root, out.resolve())).as_posix(),
        not_found=dict(options.not_found),
        counts={
            **totals,
            **counts,
            "kept": tally.having("kept"),
            "mended": tally.having("mended"),
            "places": _places(tally),
        },
        refusals=tally.having("refused"),
        settings={**settings, **_plain(asdict(options)), "taken": _taken(read, options.negatives_from)},
        versions={
            "grounding": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("msgspec", "numpy", "pillow")},
        },
        inputs=inputs,
    )


def _places(tally: Tally) -> dict[str, list[str]]:
    """The first few places of every reason."""
    return {
        reason: [f"{finding.place}: {finding.found}".rstrip(": ") for finding in examples]
        for reason, examples in sorted(tally.examples.items())
    }


def _plain(value: Any) -> Any:
    """The value with paths as strings and tuples as lists, as JSON has them."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value


def _why_empty(tally: Tally, listed: int) -> str:
    """The refusals, most frequent first, each with its meaning and one place."""
    if not listed and not tally.counts:
        return "the annotations hold no image."
    refused = sorted(tally.having("refused").items(), key=lambda item: -item[1])
    lines = [
        f"\n  {count} {REASONS[reason].unit}(s) refused, {reason}: {REASONS[reason].meaning}; {_example(tally, reason)}"
        for reason, count in refused
    ]
    if "missing_image" in tally.counts:
        lines.append("\nName the folder that the file names start from with --images, or use --no-check-images.")
    return f"{listed} images, no sample." + ("".join(lines) or " No image has a box that can be asked for.")


def _example(tally: Tally, reason: str) -> str:
    first = tally.examples[reason][0]
    return f"e.g. {first.place} {first.found}".strip()


def _name(sources: Sequence[tuple[str | None, Path]]) -> str:
    return ", ".join(str(path) for _, path in sources)
