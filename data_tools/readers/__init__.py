"""The formats that `grounding convert --format` knows: those of this package, and those that other packages bring.

Another package adds a format by an entry point of the group `grounding.readers`, whose name is the format's name and
whose object is a `data_tools.records.Reader`, or a `Format` where `--format auto` shall know it too (docs/readers.md):

    [project.entry-points."grounding.readers"]
    my_format = "my_package.my_module:open_my_format"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import NamedTuple

from data_tools.readers.look import Look
from data_tools.records import Reader, Source
from grounding.closest import did_you_mean
from grounding.errors import InputError

GROUP = "grounding.readers"
AUTO = "auto"
PREFIX = "datumaro:"


class Format(NamedTuple):
    """A reader, and how its sources are known: what was seen in words, or None. Without it `auto` never takes it."""

    open: Reader
    recognise: Callable[[Look], str | None] | None = None


OWN = (
    "coco",
    "voc",
    "yolo",
    "labelme",
    "lvis",
    "openimages",
    "referring",
    "visual_genome",
    "odvg",
    "swift",
    "conversations",
)
"""Each has a module of its name beside this one, with `open_NAME`, and a function of its name in `recognise`."""


def formats() -> list[str]:
    """The names that `reader_of` takes, this package's own first; `auto` and `datumaro:NAME` are taken besides."""
    return [*OWN, *sorted(_brought().keys() - set(OWN))]


def reader_of(name: str) -> Reader:
    """The reader of a format. Raises InputError where there is none, or where it cannot be imported."""
    if name == AUTO:
        return open_auto
    if name.startswith(PREFIX):
        from data_tools.readers.via_datumaro import open_datumaro

        return partial(open_datumaro, form=name.removeprefix(PREFIX))
    return _format_of(name).open


def open_auto(source: Path, images: Path | None, options: Mapping[str, str]) -> Sequence[Source]:
    """The reader behind `--format auto`: that of the one format that is recognised; how it was is told in `taken`.

    Raises InputError where none is recognised, or several are.
    """
    if not source.exists():
        raise InputError("no such file or folder", where=str(source))
    look = Look(source)
    seen = _seen(look)
    if not seen:
        from data_tools.readers.unrecognised import what_is_near, why_unknown

        near = what_is_near(source, recognised)
        if cause := why_unknown(look):
            raise InputError(cause.problem, where=cause.where, fix=near or cause.fix)
        if near:
            raise InputError("its format is not recognised", where=str(source), fix=near)
    if len(seen) != 1:
        found = "; ".join(f"{name}: {how}" for name, how in seen.items())
        raise InputError(
            f"it could be of {len(seen)} formats: {found}" if seen else "its format is not recognised",
            where=str(source),
            fix=f"Say --format NAME, one of: {', '.join(seen or formats())}.",
        )
    ((name, how),) = seen.items()
    sources = _format_of(name).open(source, images, options)
    return [replace(read, taken={"format": f"{name}: {how}", **read.taken}) for read in sources]


def recognised(source: Path) -> str:
    """The one format that a source is recognised as, and how; empty where it is none, several, or cannot be told."""
    try:
        seen = _seen(Look(source))
    except (InputError, OSError):
        return ""
    return "; ".join(f"{name}: {how}" for name, how in seen.items()) if len(seen) == 1 else ""


def _seen(look: Look) -> dict[str, str]:
    """Format -> how it is recognised, of those that fit."""
    known = ((name, _format_of(name).recognise) for name in formats())
    return {name: how for name, judge in known if judge is not None and (how := judge(look)) is not None}


def _format_of(name: str) -> Format:
    if name in OWN:
        return _own(name)
    if name not in _brought():
        allowed = ", ".join([*formats(), AUTO, f"{PREFIX}NAME"])
        problem = f"no reader for the format {name!r}; there are: {allowed}"
        raise InputError(problem, where="--format", fix=did_you_mean(name, formats()))
    try:
        brought = _brought()[name].load()
    except (ImportError, AttributeError) as error:
        raise InputError(f"the reader of the format {name!r} cannot be imported: {error}", where="--format") from error
    return brought if isinstance(brought, Format) else Format(brought)


def _own(name: str) -> Format:
    """A format of this package. Only the reader that is used is imported, which makes a call start quicker."""
    reader, judges = (import_module(f"{__name__}.{module}") for module in (name, "recognise"))
    return Format(getattr(reader, f"open_{name}"), getattr(judges, name))


def _brought() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
