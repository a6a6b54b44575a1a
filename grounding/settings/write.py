"""Writes settings as YAML (with or without their help), and compares those of a stopped run with its continuation's.

Knows the shape of the settings, not their meaning.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from grounding.settings.places import FLOAT, KeyPath, dotted
from grounding.settings.schema import MAY_CHANGE_ON_RESUME, DataSource, FinetuneSettings, Section


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes text which `places` would read as a number, such as `0E0`."""


_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+0123456789"))


def settings_yaml(settings: FinetuneSettings, *, comments: bool = False) -> str:
    """The settings as YAML that `read_settings` reads back to equal ones; with comments, each key under its help."""
    return "\n".join(_lines(settings, 0, comments)) + "\n"


def _lines(section: Section, depth: int, comments: bool) -> Iterator[str]:
    pad = "  " * depth
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if comments and field.description:
            yield f"{pad}# {field.description}"
        if isinstance(value, Section) and not isinstance(value, DataSource):
            yield f"{pad}{name}:"
            yield from _lines(value, depth + 1, comments)
        else:
            flow = None if isinstance(value, list) else False  # a list of numbers stays on its line
            plain = section.model_dump(include={name}, exclude_none=isinstance(value, list | Section))
            text = yaml.dump(
                plain, Dumper=_Dumper, allow_unicode=True, default_flow_style=flow, sort_keys=False, width=1000
            )
            yield from (pad + line for line in text.splitlines())


def template_settings() -> FinetuneSettings:
    """Settings with every default, for `--print-settings`."""
    return FinetuneSettings.model_validate(
        {"output": "runs/mine", "model": {"path": "PATH/TO/CHECKPOINT"}, "data": {"train": "data/train.jsonl"}}
    )


def differences(old: FinetuneSettings, new: FinetuneSettings) -> list[str]:
    """What a stopped run and its continuation must not differ in, but do: `key: old -> new`."""
    return [
        f"{dotted(key)}: {before!r} -> {after!r}"
        for key, before, after in _pairs(old.model_dump(), new.model_dump(), ())
        if dotted(key) not in MAY_CHANGE_ON_RESUME
    ]


def _pairs(old: Any, new: Any, at: KeyPath) -> Iterator[tuple[KeyPath, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old | new:
            yield from _pairs(old.get(key), new.get(key), (*at, key))
    elif old != new:
        yield at, old, new
