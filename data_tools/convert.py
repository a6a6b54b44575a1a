"""The whole line on one page: read -> check -> select -> compose -> write. Imports no torch.

Each step takes records (or samples) and gives new ones with a tally of what it refused, mended or found worth a word.
"""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from data_tools import checks, names, selection, splits, tasks, wording
from data_tools import tiles as tiling
from data_tools.absence import Absent
from data_tools.caps import apply_caps
from data_tools.check_boxes import check_boxes
from data_tools.engines import Engine
from data_tools.gather import gather
from data_tools.hardness import Hardness
from data_tools.making import Making
from data_tools.options import Means, Options, check_options
from data_tools.progress import Progress, counting
from data_tools.provenance import formats_of, inputs_of, make_manifest, settings_of, taken_of
from data_tools.readers import reader_of
from data_tools.ready import UniqueIds
from data_tools.reasons import REASONS, unit_of
from data_tools.records import Finding, Record, Source, Tally
from data_tools.sources import better_named, check_sources
from data_tools.tasks import phrase_to_box
from data_tools.tasks.view import View
from data_tools.writers import style_named
from data_tools.writers.folder import Left, check_folder, check_made_alike, replaced_folder
from grounding.counted import counted
from grounding.errors import InputError
from grounding.samples import Manifest, Sample, Task

MANY_FILES, MANY_BYTES = 5000, 50 * 10**6  # of a source that takes about a second to read


@dataclass(frozen=True)
class Conversion:
    """What a conversion made: samples and numbers by split, the tally, and what was decided without being told.

    The samples are left in their files, where the style can be read again; `remarks` are about this run alone.
    """

    samples: Mapping[str, Sequence[Sample]]
    splits: Mapping[str, Mapping[str, Any]]
    tally: Tally
    taken: Mapping[str, str]
    manifest: Manifest
    images_listed: int
    remarks: Sequence[str] = ()


def convert(
    sources: Sequence[tuple[str | None, Path]],
    out: Path,
    options: Options | None = None,
    progress: Progress = lambda *_: None,
    means: Means = Means(),  # noqa: B008  (it is immutable)
) -> Conversion:
    """Converts annotations and writes the dataset folder.

    Args:
        sources: (train, val, test or None for by list or hash, annotation file or folder), at least one.
        out: folder for train.jsonl, val.jsonl, test.jsonl and manifest.json.
        options: how.
        progress: told how far a long step is.
        means: what it is done with; the bytes that are written are the same.

    Raises:
        InputError: a source, an option or the out folder is wrong, or nothing is left to write, or the folder holds
            another dataset that may not be overwritten.
        RunError: the folder cannot be written.
    """
    options = options or Options()
    check_options(options)
    reader_of(options.format)
    check_sources(sources)
    splits.group_pattern(options.group_by)
    with _garbage_left():
        return _convert(sources, out, options, progress, means)


def _convert(
    sources: Sequence[tuple[str | None, Path]], out: Path, options: Options, progress: Progress, means: Means
) -> Conversion:
    style = style_named(options.style)
    called = names.load_names(options.names) if options.names else {}
    shares = tasks.parse_shares(options.tasks)
    voices = {task: _voice(task, options, called) for task in shares}
    check_folder(out, splits.SPLITS, style)  # after all that can be wrong with the call itself
    if not means.overwrite:
        check_made_alike(out, settings_of(sources, options), {})

    read = _read(sources, options, progress, means.engine)
    if not means.overwrite:  # told before images are read, which may take hours
        check_made_alike(out, {"formats": formats_of(read, options)}, inputs_of(read, options))
    records, tally, image_root, kinds = gather(read, options.negatives_from)
    read = [replace(source, records=()) for source in read]  # they are gathered; what is not needed any more goes
    listed = len(records)
    if called:
        names.check_names(called, frozenset[str]().union(*(source.classes for source in read)))
    records, found, remarks = _check_images(records, image_root, options, progress, means)
    tally += found
    records, found = check_boxes(records)
    tally += found
    records, found = splits.assign_splits(records, options.ratios, options.group_by, options.seed, options.stratify)
    tally += found
    numerous = phrase_to_box.numerous(records, options.most_alike) if phrase_to_box.TASK in shares else frozenset()
    windows: dict[str, tiling.Window] = {}
    if options.tiles:
        records, windows, found = tiling.cut(records, tiling.parse_tiling(options.tiles))
        tally += found

    needed = options.negatives > 0 or "presence" in shares
    absent = Absent(records if needed else [])
    chosen: dict[str, Chosen] = {}
    members = splits.by_split(records)
    for split, images in members.items():
        chosen[split], found = _choose(images, absent, shares, kinds, numerous, options, f"{options.seed}|{split}")
        tally += found
    advance = counting("writing prompts", sum(len(asked.questions) for asked in chosen.values()), progress)
    made = {
        split: Making(asked.questions, members[split], voices, options.max_answer_tokens, style, advance)
        for split, asked in chosen.items()
    }
    unsure = not all(some.ids_differ() for some in made.values())
    ids = UniqueIds(lambda: (name for some in made.values() if unsure for name in some.ids()))
    plain = options.style == "pairs" and options.max_answer_tokens is None and not (unsure or windows)
    streams: dict[str, Iterator[Any]] = {
        split: some.lines() if plain else some.samples(ids) for split, some in made.items()
    }
    if not (first := _first_of(streams)):
        tally = sum((some.tally() for some in made.values()), tally)
        why = f"nothing is left to write: {_why_empty(tally, listed, in_tiles=bool(windows))}"
        raise better_named(InputError(why, where=_name(sources)), sources[0][1], options.format)
    streams |= first

    samples: dict[str, Sequence[Sample]] = {}
    if windows or not style.reads_back:
        samples = {split: list(some) for split, some in streams.items()}
        streams = {split: iter(some) for split, some in samples.items()}
    root = out.resolve() / tiling.FOLDER if windows else image_root
    with replaced_folder(out, style, overwrite=means.overwrite) as folder:
        for split, some in streams.items():
            (folder.write_lines if plain else folder.write)(split, some)
        progress("counting and writing files", 0, None)
        tally = sum((some.tally() for some in made.values()), tally)
        numbers = {split: {**some.described(), **chosen[split].numbers, **some.ready()} for split, some in made.items()}
        counts = {"images_listed": listed, "splits": numbers}
        answers = wording.answer_templates(voices, options.templates)
        manifest = make_manifest(out, root, sources, options, answers, read, tally, counts)
        folder.tell(manifest, tally)
        if windows:
            every = list(itertools.chain.from_iterable(samples.values()))
            advance = counting("cutting tiles", len({sample.image for sample in every}), progress)
            tiling.write_tiles(every, windows, image_root, out, options.follow_links, advance)
    if windows and folder.had_tiles and (others := tiling.remove_others(every, out)):
        remarks.append(f"Of the dataset that stood here before, {counted(others, 'tile is', 'tiles are')} removed.")
    remarks += [f"{name} was of the dataset that stood here before; it is removed." for name in folder.outdated]
    samples = samples or {split: Left(out / f"{split}{style.suffix}") for split in streams}
    return Conversion(samples, numbers, tally, taken_of(read, options.negatives_from), manifest, listed, remarks)


@contextmanager
def _garbage_left() -> Iterator[None]:
    """Without the search for circles among objects: there are hundreds of thousands, and none is in a circle."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _first_of(streams: Mapping[str, Iterator[Any]]) -> dict[str, Iterator[Any]]:
    """The first of the streams that has a sample, or a line, whole again; empty where none has. Those before are used
    up.
    """
    for split, some in streams.items():
        for one in filter(None, some):
            return {split: itertools.chain([one], some)}
    return {}


class Chosen(NamedTuple):
    """The questions of a split, and what of them the manifest tells."""

    questions: Sequence[selection.Question]
    numbers: Mapping[str, Any]


def _choose(
    members: Sequence[Record],
    absent: Absent,
    shares: Mapping[Task, float],
    kinds: Mapping[str, str],
    numerous: frozenset[str],
    options: Options,
    seed: str,
) -> tuple[Chosen, Tally]:
    """What is asked of the images of a split: classes there and absent, phrases, tasks by their shares, caps."""
    hardness = Hardness(members, kinds, options.hard_negatives) if options.hard_negatives else None
    selected, tally = selection.select(members, absent, options.negatives, seed, hardness)
    view = View(members, absent, selected.questions, options.negatives, seed, hardness, options.most_alike, numerous)
    planned = tasks.plan(shares, view)
    questions, capped = apply_caps(planned.questions, options.caps, seed)
    fewer = len(questions) < len(planned.questions)
    capped_absent = _absent_in(planned.questions) - _absent_in(questions) if fewer else 0
    numbers = {"not_found_wanted": selected.wanted, "not_found_drawn": selected.drawn - capped_absent}
    if len(shares) > 1:
        numbers |= {"tasks_wanted": planned.wanted, "tasks_possible": planned.possible}  # type: ignore[dict-item]
    return Chosen(questions, numbers), tally + capped + _not_asked(members, shares)


def _absent_in(questions: Sequence[selection.Question]) -> int:
    """How many ask for all boxes of a class that is not there."""
    return sum(not question.present and question.task == wording.TASK for question in questions)


def _not_asked(members: Sequence[Record], shares: Mapping[Task, float]) -> Tally:
    """Every phrase, where the one task that asks for phrases is not made."""
    phrases = [] if wording.TASK in shares else [phrase for record in members for phrase in record.phrases]
    return Tally.of(Finding("phrase_not_asked", phrase.place, phrase.text) for phrase in phrases)


def _voice(task: Task, options: Options, called: names.ClassNames) -> wording.Voice:
    """What the prompts of a task are drawn from."""
    files = wording.templates_of(options.templates, task)
    languages = wording.load_languages(options.langs, options.not_found, files, task)
    return wording.Voice(languages, options.not_found, options.seed, called)


def _read(
    sources: Sequence[tuple[str | None, Path]], options: Options, progress: Progress, engine: Engine
) -> list[Source]:
    parts = [_Part(split, path, options) for split, path in sources]
    large = sum(_is_large(path) for _, path in sources) > 1
    results = engine.map(_read_one, parts) if large or engine.name != "local" else map(_read_one, parts)
    read: list[Source] = []
    for _, path in sources:
        progress(f"reading {path}", 0, None)
        read += next(results)
    if not read:
        raise InputError(f"the reader of the format {options.format!r} found nothing in it", where=_name(sources))
    return read


def _is_large(path: Path) -> bool:
    """Whether a source takes so long to read that a process of its own, a second to start, is worth it."""
    if path.is_dir():
        return len(list(itertools.islice(path.rglob("*"), MANY_FILES))) == MANY_FILES
    return path.is_file() and path.stat().st_size >= MANY_BYTES


class _Part(NamedTuple):
    """A source to be read, and how."""

    split: str | None
    path: Path
    options: Options


def _read_one(part: _Part) -> list[Source]:
    """What a source holds; it depends on nothing but the source, so that sources can be read anywhere."""
    settings = {
        "voc_pixels": part.options.voc_pixels,
        "box_form": part.options.box_form,
        "frame": part.options.frame or "",
        "lists": "no" if part.split else "yes",
    }
    try:
        read = reader_of(part.options.format)(part.path, part.options.images, settings)
    except InputError as error:
        raise better_named(error, part.path, part.options.format) from error
    return [replace(source, split=part.split) if part.split else source for source in read]


def _check_images(
    records: list[Record], image_root: Path, options: Options, progress: Progress, means: Means
) -> tuple[list[Record], Tally, list[str]]:
    if not options.check_images:
        return *checks.trust_sizes(records, options.frame), []
    advance = counting("reading images", len(records), progress)
    checked = checks.check_images(
        records, image_root, options.frame, options.follow_links, advance, means.engine, means.cache
    )
    return checked.records, checked.tally, [checked.fault] if checked.fault else []


def _why_empty(tally: Tally, listed: int, *, in_tiles: bool) -> str:
    """The refusals, most frequent first, each with its meaning and one place."""
    if not listed and not tally.counts:
        return "the annotations hold no image."
    refused = sorted(tally.having("refused").items(), key=lambda item: -item[1])
    lines = [
        f"\n  {count} {unit_of(reason, in_tiles=in_tiles)}(s) refused, {reason}: {REASONS[reason].meaning}; "
        + _example(tally, reason)
        for reason, count in refused
    ]
    if "missing_image" in tally.counts:
        lines.append("\nName the folder that the file names start from with --images, or use --no-check-images.")
    return f"{counted(listed, 'image')}, no sample." + ("".join(lines) or " No image has a box that can be asked for.")


def _example(tally: Tally, reason: str) -> str:
    first = tally.examples[reason][0]
    return f"e.g. {first.place} {first.found}".strip()


def _name(sources: Sequence[tuple[str | None, Path]]) -> str:
    return ", ".join(str(path) for _, path in sources)
