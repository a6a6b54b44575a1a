"""Report folders read back, and the refusal of those that are not about the same samples.

Knows report folders as `report.write` leaves them; does not know how anything is measured.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from grounding.closest import did_you_mean_path
from grounding.counted import counted
from grounding.errors import InputError, ManyErrors
from grounding.evaluation.predictions import Prediction
from grounding.evaluation.report.rows import read_rows
from grounding.samples import Sample

NAMED = 5  # ids that a refusal names before it only counts
ALSO = "also"  # folder of the reports of the sets that rode along

# What must be the same of two samples, in words, and how it is looked up.
TRUTH: dict[str, Callable[[Sample], Any]] = {
    "another image": lambda sample: sample.image,
    "another size": lambda sample: None if sample.boxes is None else (sample.width, sample.height, sample.upright),
    "other true boxes": lambda sample: sample.boxes,
    "other ignored areas": lambda sample: None if sample.boxes is None else sample.ignore,
    "another class": lambda sample: (sample.category, sample.categories),
    "another task or language": lambda sample: (sample.task, sample.lang),
    "another label": lambda sample: sample.label if sample.boxes is None else None,
}


@dataclass(frozen=True)
class Run:
    """One report folder.

    Attributes:
        heading: of its column.
        folder: where it lies.
        report: what report.json holds.
        samples: what was asked, with its truth.
        predictions: the answer to each; None where there was none.
    """

    heading: str
    folder: Path
    report: Mapping[str, Any]
    samples: Sequence[Sample]
    predictions: Sequence[Prediction | None]

    @property
    def protocol(self) -> str:
        return str(self.report["protocol"]["name"])

    @property
    def dialect(self) -> str:
        return str(self.report["dialect"]["name"])


def read_report(folder: Path) -> dict[str, Any]:
    """What report.json of a report folder holds.

    Raises:
        InputError: it is not there, or it is none.
    """
    try:
        report: dict[str, Any] = json.loads((folder / "report.json").read_text("utf-8"))
        return {**report, **{part: dict(report[part]) for part in ("data", "dialect", "metrics", "protocol")}}
    except (OSError, ValueError, KeyError, TypeError) as error:
        meant = "" if folder.exists() else did_you_mean_path(folder)
        leaves = "A report folder is what `grounding benchmark --out` leaves: report.json and samples.jsonl."
        fix = f"{meant} {leaves}".lstrip()
        why = "there is no report.json" if isinstance(error, FileNotFoundError) else f"{type(error).__name__}: {error}"
        raise InputError(f"is no report folder ({why}).", where=str(folder), fix=fix) from error


def read_run(folder: Path, heading: str | None = None) -> Run:
    """A report folder.

    Raises:
        InputError: report.json or samples.jsonl is not there or broken.
    """
    report = read_report(folder)
    rows = read_rows(folder / "samples.jsonl")
    samples, predictions = [row.sample() for row in rows], [row.prediction() for row in rows]
    return Run(heading or folder.resolve().name, folder, report, samples, predictions)


def read_runs(folders: Sequence[tuple[str | None, Path]]) -> list[Run]:
    """Several, with headings that differ, the samples of all in the order of the first.

    Args:
        folders: a heading, or None for the folder's name (with as much of its path as tells it from the others).

    Raises:
        InputError: as `read_run` and `in_order_of`.
    """
    headings = _headings(folders)
    base, *others = (read_run(folder, heading) for heading, (_, folder) in zip(headings, folders, strict=True))
    return [base, *(in_order_of(base, other) for other in others)]


def also_of(runs: Sequence[Run]) -> Iterator[tuple[str, list[Run]]]:
    """The sets that rode along with every one of the runs, by name, and their runs."""
    for name in runs[0].report.get(ALSO, {}):
        if all(name in run.report.get(ALSO, {}) for run in runs):
            yield name, read_runs([(run.heading, run.folder / ALSO / name) for run in runs])


def in_order_of(base: Run, other: Run) -> Run:
    """The other run with its samples in the order of the base's.

    Raises:
        InputError: they are not the same samples, or were not measured by the same protocol; what differs and how many.
    """
    check_same(base.samples, other.samples, str(base.folder), str(other.folder))
    if base.protocol != other.protocol:
        raise InputError(
            f"was measured by the protocol {other.protocol!r}, {base.folder} by {base.protocol!r}.",
            where=str(other.folder),
            fix="Run `grounding benchmark` with the same --protocol on one of them.",
        )
    place = {sample.id: number for number, sample in enumerate(other.samples)}
    order = [place[sample.id] for sample in base.samples]
    asked = zip(base.samples, (other.samples[number] for number in order), strict=True)
    return replace(
        other,
        samples=[one if one == two else two for one, two in asked],  # equal ones, which most are, are kept once
        predictions=[other.predictions[number] for number in order],
    )


def check_same(base: Sequence[Sample], other: Sequence[Sample], base_name: str, other_name: str) -> None:
    """Sees that two runs are about the same samples: the same ids, and the same truth of each.

    Raises:
        InputError: they are not: what differs, in how many samples, and the first of them.
    """
    known, asked = {sample.id: sample for sample in base}, {sample.id for sample in other}
    only_base = [name for name in known if name not in asked]
    only_other = [sample.id for sample in other if sample.id not in known]
    both = len(known) - len(only_base)
    problems = [
        f"{len(ids):,} of {counted(total, 'sample')} {words}: {_named(ids)}"
        for words, ids, total in (
            (f"of {base_name} not in {other_name}", only_base, len(base)),
            (f"of {other_name} not in {base_name}", only_other, len(other)),
            *((f"in both with {what}", list(ids), both) for what, ids in _differing(known, other)),
        )
        if ids
    ]
    if problems:
        fix = "Only runs over the same samples can be compared: the same --data, and the same --limit."
        raise ManyErrors(f"{other_name}: not the samples of {base_name}", problems, fix=fix)


def notes(runs: Sequence[Run]) -> list[str]:
    """What a reader must know of how the runs differ beside their answers."""
    said = []
    base, *others = runs
    data = base.report["data"]
    if len(base.samples) < data.get("samples_in_file", 0):
        measured = counted(len(base.samples), "sample was", "samples were")
        said.append(f"Only the first {measured} measured (--limit): a trial, not a benchmark.")
    for other in others:
        prompts = sum(one.prompt != two.prompt for one, two in zip(base.samples, other.samples, strict=True))
        if prompts:
            one, many = f"prompt of {other.heading} is", f"prompts of {other.heading} are"
            said.append(f"{counted(prompts, one, many)} worded otherwise than those of {base.heading}.")
        if base.dialect != other.dialect:
            said.append(f"{other.heading} was read as {other.dialect} writes boxes, {base.heading} as {base.dialect}.")
        if base.report["data"].get("sha256") != other.report["data"].get("sha256"):
            said.append(f"The data file of {other.heading} is another than that of {base.heading}; its truth is equal.")
        if base.report["data"].get("not_found") != other.report["data"].get("not_found"):
            said.append(f"{other.heading} and {base.heading} have different sentences for “not found”.")
    return [*said, *_only_along_with_some(runs)]


def _only_along_with_some(runs: Sequence[Run]) -> Iterator[str]:
    """The sets that rode along with some runs and are compared with nothing, since the others lack them."""
    along = {run.heading: run.report.get(ALSO, {}) for run in runs}
    for name in dict.fromkeys(name for sets in along.values() for name in sets):
        lacking = [heading for heading, sets in along.items() if name not in sets]
        if lacking:
            without = " and ".join(lacking)
            yield f"Nothing is compared on the set {name}: it did not ride along (--also) with {without}."


def settings_that_differ(runs: Sequence[Run]) -> dict[str, list[str]]:
    """What report.json says of model, settings and versions, where it is not the same for all runs; one text a run."""
    told = [
        {
            f"{part}: {name}": "" if value is None else str(value)
            for part in ("answers", "settings", "versions")
            for name, value in run.report.get(part, {}).items()
        }
        for run in runs
    ]
    names = dict.fromkeys(name for table in told for name in table)
    return {
        name: [table.get(name, "") for table in told]
        for name in names
        if len({table.get(name, "") for table in told}) > 1
    }


def _differing(known: Mapping[str, Sample], other: Sequence[Sample]) -> Iterator[tuple[str, Iterator[str]]]:
    common = [(known[sample.id], sample) for sample in other if sample.id in known]
    for what, of in TRUTH.items():
        yield what, (one.id for one, two in common if of(one) != of(two))


def _named(ids: Sequence[str]) -> str:
    return ", ".join(map(repr, ids[:NAMED])) + (", ..." if len(ids) > NAMED else "")


def _headings(folders: Sequence[tuple[str | None, Path]]) -> list[str]:
    """The given headings, else the ends of the paths; a folder that is given twice is numbered."""
    paths = [folder.resolve() for _, folder in folders]
    short = _ends({path for (heading, _), path in zip(folders, paths, strict=True) if not heading})
    names = [heading or short[path] for (heading, _), path in zip(folders, paths, strict=True)]
    return [
        f"{name} ({names[: place + 1].count(name)})" if names.count(name) > 1 else name
        for place, name in enumerate(names)
    ]


def _ends(paths: Collection[Path]) -> dict[Path, str]:
    """The ends of paths that differ, as short as they can be and still differ."""
    length, ends = 1, {path: path.name for path in paths}
    while len(set(ends.values())) < len(paths):
        length += 1
        ends = {path: Path(*path.parts[-length:]).as_posix() for path in paths}
    return ends
