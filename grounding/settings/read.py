"""Reads settings from a YAML file and `key=value` words, and tells every mistake at once with its place.

Knows how mistakes are found and told; the settings themselves are in `schema`, the lines in `places`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from grounding.errors import InputError, ManyErrors
from grounding.settings.places import (
    KeyPath,
    Place,
    Source,
    apply_override,
    dotted,
    load_yaml,
    say_pydantic_error,
)
from grounding.settings.schema import FinetuneSettings, contradictions


def read_settings(path: Path | str, overrides: Sequence[str] = ()) -> FinetuneSettings:
    """Settings of a YAML file, `dotted.key=value` words laid over it (values are YAML: `[0.9, 0.95]`, `true`, `5e-5`).

    Raises:
        InputError: the file is missing or not YAML.
        ManyErrors: everything that is wrong, each with file and line, or the word of the command line.
    """
    return read_with_places(path, overrides)[0]


def read_with_places(path: Path | str, overrides: Sequence[str] = ()) -> tuple[FinetuneSettings, Source]:
    """The same, and where each setting was written, for what is found wrong with a value only later.

    Raises:
        InputError, ManyErrors: as `read_settings`.
    """
    source = load_yaml(Path(path))
    problems = list(source.problems)
    for override in overrides:
        if problem := apply_override(source, override):
            problems.append(problem)
    settings, found = _check(source)
    problems += found
    if settings is None or problems:
        raise ManyErrors(f"{path}: these settings cannot be used", problems,
                         fix="`grounding finetune --print-settings` shows every setting with its meaning.")  # fmt: skip
    return settings, source


def _check(source: Source) -> tuple[FinetuneSettings | None, list[str]]:
    """Validates twice: as given, then without the faulty keys, so that contradictions elsewhere are told as well."""
    problems: dict[Place, list[str]] = {}
    wrong: set[KeyPath] = set()
    settings = None
    try:
        settings = FinetuneSettings.model_validate(source.data)
    except ValidationError as error:
        told: dict[tuple[KeyPath, str], list[str]] = {}
        for key, found, allowed in (say_pydantic_error(item, FinetuneSettings) for item in error.errors()):
            told.setdefault((key, found), []).append(allowed)
        wrong = {key for key, _ in told}
        for (key, found), choices in told.items():  # several for a key that may be of several types
            problems.setdefault(source.place(key), []).append(f"{dotted(key)}{found} {' or '.join(choices)}")
    candidate = settings or _without(source.data, wrong)
    if candidate is not None:
        for key, text in contradictions(candidate):
            if not any(key == bad[: len(key)] or bad == key[: len(bad)] for bad in wrong):
                problems.setdefault(source.place(key), []).append(f"{dotted(key)} {text}")
    return settings, [f"{place}: {text}" for place in sorted(problems) for text in problems[place]]


def _without(data: dict[str, Any], wrong: set[KeyPath]) -> FinetuneSettings | None:
    """The settings with faulty keys at their defaults (required ones filled in), or None where that is not possible."""
    cleaned = _prune(data, {_whole_list(key) for key in wrong})
    cleaned.setdefault("output", "?")
    if isinstance(cleaned.setdefault("data", {}), dict):
        cleaned["data"].setdefault("train", "?")
    try:
        return FinetuneSettings.model_validate(cleaned)
    except ValidationError:
        return None


def _whole_list(key: KeyPath) -> KeyPath:
    """A key inside a list stands for the list: without one entry it could be too short."""
    return next((key[:depth] for depth, part in enumerate(key) if isinstance(part, int)), key)


def _prune(node: dict[str, Any], wrong: set[KeyPath], at: KeyPath = ()) -> dict[str, Any]:
    return {
        key: _prune(value, wrong, (*at, key)) if isinstance(value, dict) else value
        for key, value in node.items()
        if (*at, key) not in wrong
    }


def read_architecture(value: dict[str, Any] | str) -> dict[str, Any]:
    """The keys of `model.architecture`, given as they are or as a YAML or JSON file.

    Raises:
        InputError: the file is missing or does not hold a mapping.
    """
    if isinstance(value, dict):
        return value
    source = load_yaml(Path(value))
    if source.problems:
        raise InputError(source.problems[0])
    return source.data
