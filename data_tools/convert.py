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
from typing import Any, NamedTuple

from data_tools import checks, compose, names, selection, splits, stats, tasks, wording
from data_tools import tiles as tiling
from data_tools.absence import Absent
from data_tools.caps import Caps, apply_caps, check_caps
from data_tools.gather import gather
from data_tools.hardness import Hardness
from data_tools.readers import reader_of
from data_tools.ready import ready_samples, unique_ids
from data_tools.reasons import REASONS
from data_tools.records import Absence, Finding, Record, Source, Tally
from data_tools.tasks import phrase_to_box
from data_tools.tasks.view import MOST_ALIKE, View
from data_tools.writers import style_named, writable
from data_tools.writers.findings import FINDINGS, write_findings
from data_tools.writers.folder import MADE_BY, check_folder, write_folder
from grounding import __version__
from grounding.errors import InputError
from grounding.samples import Manifest, Sample, Task
from grounding.text import NOT_FOUND

PLACES = 5  # findings of one reason that the manifest names; findings.json has the others
LEAST_ANSWER = stats.TOKENS_PER_BOX + 2  # a box, its group and eos
Progress = Callable[[str, int, "int | None"], None]  # (what is done, how far, out of how many or None)


@dataclass(frozen=True)
class Options:
    """How annotations become samples; the words are those of `grounding convert --help`."""

    format: str = "coco"
    images: Path | None = None
    check_images: bool = True
    ratios: tuple[float, float, float] = (0.8, 0.1, 0.1)
    group_by: str | None = None
    stratify: bool = False
    negatives: float = 0.25
    hard_negatives: float = 0.0
    negatives_from: Absence | None = None
    langs: tuple[str, ...] = ("en",)
    tasks: tuple[str, ...] = (wording.TASK,)
    max_answer_tokens: int | None = None
    caps: Caps = field(default_factory=Caps)
    most_alike: int = MOST_ALIKE
    tiles: str | None = None
    frame: checks.Frame | None = None
    not_found: Mapping[str, str] = field(default_factory=lambda: dict(NOT_FOUND))
    templates: Mapping[str, Path] = field(default_factory=dict)
    names: Path | None = None
    style: str = "pairs"
    seed: int = 0
    voc_pixels: str = "auto"
    box_form: str = "auto"
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
    style = style_named(options.style)
    check_folder(out, splits.SPLITS, style)
    called = names.load_names(options.names) if options.names else {}
    shares = tasks.parse_shares(options.tasks)
    voices = {task: _voice(task, options, called) for task in shares}

    read = _read(sources, options, progress)
    records, tally, image_root, kinds = gather(read, options.negatives_from)
    listed = len(records)
    if called:
        names.check_names(called, frozenset[str]().union(*(source.classes for source in read)))
    records, found = _check_images(records, image_root, options, progress)
    tally += found
    records, found = checks.check_boxes(records)
    tally += found
    records, found = splits.assign_splits(records, options.ratios, options.group_by, options.seed, options.stratify)
    tally += found
    numerous = phrase_to_box.numerous(records, options.most_alike)
    windows: dict[str, tiling.Window] = {}
    if options.tiles:
        records, windows, found = tiling.cut(records, tiling.parse_tiling(options.tiles))
        tally += found

    absent = Absent(records)
    chosen: dict[str, Chosen] = {}
    members = splits.by_split(records)
    for split, images in members.items():
        chosen[split], found = _choose(images, absent, shares, kinds, numerous, options, f"{options.seed}|{split}")
        tally += found
    advance = _counting("writing prompts", sum(len(asked.questions) for asked in chosen.values()), progress)
    samples: dict[str, list[Sample]] = {}
    untouched: dict[str, dict[str, int]] = {}
    for split, asked in chosen.items():
        ready, told = ready_samples(members[split], options.max_answer_tokens)
        samples[split], found = compose.compose(asked.questions, voices, options.max_answer_tokens, advance)
        unsaid: list[Finding] = []
        samples[split] = list(writable([*samples[split], *ready], style, unsaid))
        untouched[split] = {"ready": len(ready)} if ready else {}
        tally += found + told + Tally.of(unsaid)
    samples = unique_ids(samples)
    if not any(samples.values()):
        raise InputError(f"nothing is left to write: {_why_empty(tally, listed)}", where=_name(sources))

    if windows:
        every = list(itertools.chain.from_iterable(samples.values()))
        advance = _counting("cutting tiles", len({sample.image for sample in every}), progress)
        tiling.write_tiles(every, windows, image_root, out, options.follow_links, advance)
        image_root = out.resolve() / tiling.FOLDER
    progress("counting and writing files", 0, None)
    numbers = {s: {**stats.describe(samples[s]), **chosen[s].numbers, **untouched[s]} for s in samples}
    counts = {"images_listed": listed, "splits": numbers}
    answers = wording.answer_templates(voices, options.templates)
    manifest = _manifest(out, image_root, sources, options, answers, read, tally, counts)
    write_folder(out, samples, manifest, style)
    write_findings(out / FINDINGS, tally)
    return Conversion(samples, numbers, tally, _taken(read, options.negatives_from), manifest, listed)


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
    drawn = sum(not question.present for question in selected.questions)
    numbers = {"not_found_wanted": selected.wanted, "not_found_drawn": drawn}
    if len(shares) > 1:
        numbers |= {"tasks_wanted": planned.wanted, "tasks_possible": planned.possible}  # type: ignore[dict-item]
    return Chosen(questions, numbers), tally + capped + _not_asked(members, shares)


def _not_asked(members: Sequence[Record], shares: Mapping[Task, float]) -> Tally:
    """Every phrase, where the one task that asks for phrases is not made."""
    phrases = [] if wording.TASK in shares else [phrase for record in members for phrase in record.phrases]
    return Tally.of(Finding("phrase_not_asked", phrase.place, phrase.text) for phrase in phrases)


def _voice(task: Task, options: Options, called: names.ClassNames) -> wording.Voice:
    """What the prompts of a task are drawn from."""
    files = wording.templates_of(options.templates, task)
    languages = wording.load_languages(options.langs, options.not_found, files, task)
    return wording.Voice(languages, options.not_found, options.seed, called)


def _check_options(options: Options) -> None:
    check_caps(options.caps)
    if options.tiles:
        tiling.parse_tiling(options.tiles)
    wording.check_templates(options.templates, tasks.parse_shares(options.tasks))
    if options.max_answer_tokens is not None and options.max_answer_tokens < LEAST_ANSWER:
        raise InputError(
            f"{options.max_answer_tokens} is less than one box takes ({LEAST_ANSWER})", where="--max-answer-tokens"
        )
    if options.most_alike < 2:
        raise InputError(f"{options.most_alike} cannot be told apart; from 2 on there is one to single out",
                         where="--most-alike")  # fmt: skip
    if not 0 <= options.hard_negatives <= 1:
        raise InputError(
            f"{options.hard_negatives} is no share; a number from 0 to 1 is needed", where="--hard-negatives"
        )
    if not 0 <= options.negatives < float("inf"):
        raise InputError(f"{options.negatives} is no ratio; a number from 0 on is needed", where="--negatives")
    if options.images is not None and options.check_images and not options.images.is_dir():
        raise InputError("no such folder", where=f"--images {options.images}")


def _read(sources: Sequence[tuple[str | None, Path]], options: Options, progress: Progress) -> list[Source]:
    reader = reader_of(options.format)
    read: list[Source] = []
    for split, path in sources:
        progress(f"reading {path}", 0, None)
        settings = {
            "voc_pixels": options.voc_pixels,
            "box_form": options.box_form,
            "frame": options.frame or "",
            "lists": "no" if split else "yes",
        }
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
    answers: dict[str, list[str]],
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
        answers=answers,
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
        reason: [f"{finding.place}: {finding.found}".rstrip(": ") for finding in examples[:PLACES]]
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
