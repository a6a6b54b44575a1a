"""What the manifest of a set tells: inputs, settings, versions, counts, refusals. Knows no format and no wording."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from data_tools.readers import AUTO
from data_tools.records import Absence, Source, Tally
from data_tools.writers.folder import MADE_BY
from grounding import __version__
from grounding.samples import Manifest

PLACES = 5  # findings of one reason that the manifest names; findings.json has the others


def taken_of(read: Sequence[Source], absence: Absence | None) -> dict[str, str]:
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


def settings_of(sources: Sequence[tuple[str | None, Path]], options: Any) -> dict[str, Any]:
    """What the call said, JSON-ready; known before anything is read.

    The format is not among it, since `auto` is none: what it came to is known once the sources are read.
    """
    named = [f"{split}={path}" if split else str(path) for split, path in sources]
    told = {name: value for name, value in asdict(options).items() if name != "format"}
    return {"made_by": MADE_BY, "sources": named, **_plain(told)}


def formats_of(read: Sequence[Source], options: Any) -> list[str]:
    """The formats that the sources were read as: the one that was named, or those that `auto` came to."""
    if options.format != AUTO:
        return [options.format]
    return sorted({source.taken["format"].partition(":")[0] for source in read})


def inputs_of(read: Sequence[Source], options: Any) -> dict[str, str]:
    """The hash of each file that the set is made of, by path: annotations, and what the user says of wordings."""
    told = [*options.templates.values(), *([options.names] if options.names else [])]
    return {
        **{path: digest for source in read for path, digest in source.inputs.items()},
        **{str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in told},
    }


def make_manifest(
    out: Path,
    image_root: Path,
    sources: Sequence[tuple[str | None, Path]],
    options: Any,
    answers: dict[str, list[str]],
    read: Sequence[Source],
    tally: Tally,
    counts: dict[str, Any],
) -> Manifest:
    """All that a reader of the dataset needs to know; no clock, so that the same call writes the same bytes."""
    totals = {name: sum(split[name] for split in counts["splits"].values()) for name in ("images", "samples")}
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
        settings={
            **settings_of(sources, options),
            "format": options.format,
            "formats": formats_of(read, options),
            "taken": taken_of(read, options.negatives_from),
        },
        versions={
            "grounding": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("msgspec", "numpy", "pillow")},
        },
        inputs=inputs_of(read, options),
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
