"""YAML with a place for every key: which line, or which word of the command line, each setting came from.

Knows YAML and pydantic's error form; it does not know which settings there are.
"""

from __future__ import annotations

import difflib
import re
import typing
from dataclasses import dataclass, field
from functools import total_ordering
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel

from grounding.closest import did_you_mean_path
from grounding.errors import InputError

KeyPath = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads `5e-5` as a number, as YAML 1.2 does (PyYAML's 1.1 wants `5.0e-5`)."""


FLOAT = re.compile(r"^[-+]?\d+(?:\.\d*)?[eE][-+]?\d+$")
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+0123456789"))


@total_ordering
@dataclass(frozen=True)
class Place:
    """Where a setting was written: `file.yaml:12`, or a word of the command line (line 0, sorted behind the file)."""

    name: str
    line: int

    def __str__(self) -> str:
        return f"{self.name}:{self.line}" if self.line else f"command line, {self.name}"

    def __lt__(self, other: Place) -> bool:
        return (self.line == 0, self.line, self.name) < (other.line == 0, other.line, other.name)


@dataclass
class Source:
    """Settings as read: plain data, the place of every key, and what was wrong with the text itself."""

    file: str
    data: dict[str, Any] = field(default_factory=dict)
    places: dict[KeyPath, Place] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def place(self, key: KeyPath) -> Place:
        """The place of a key, or of the nearest block around it."""
        while key and key not in self.places:
            key = key[:-1]
        return self.places.get(key, Place(self.file, 1))

    def is_typed(self, key: KeyPath) -> bool:
        """Whether a key, or something in its block, was written on the command line."""
        return any(not place.line for at, place in self.places.items() if at[: len(key)] == key)

    def is_in_file(self, key: KeyPath) -> bool:
        """Whether a key stands in the file and nothing of it was written on the command line."""
        return key in self.places and not self.is_typed(key)


def dotted(key: KeyPath) -> str:
    """`("data", "train", 0, "path")` as `data.train.0.path`, the form that an override has."""
    return ".".join(str(part) for part in key)


def load_yaml(path: Path) -> Source:
    """Read a YAML file that holds a mapping.

    Raises:
        InputError: the file is missing, not text, not YAML, or no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        closest = "The configuration comes first, then key=value." if "=" in path.name else did_you_mean_path(path)
        fix = f"{closest} Shipped configurations lie in configs/.".lstrip()
        raise InputError("there is no such file.", where=str(path), fix=fix) from None
    except IsADirectoryError:
        fix = "Name a YAML file in it."
        raise InputError("is a folder; settings are read from a YAML file.", where=str(path), fix=fix) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read as UTF-8 text: {error}", where=str(path)) from error
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"is not YAML: {error.problem}", where=f"{path}:{line}") from error
    except yaml.YAMLError as error:
        raise InputError(f"is not YAML: {error}", where=str(path)) from error
    source = Source(str(path))
    data = {} if node is None else _plain(node, (), source)
    if not isinstance(data, dict):
        raise InputError("must hold `key: value` settings", where=f"{path}:1")
    source.data = data
    return source


def _plain(node: yaml.Node, at: KeyPath, source: Source) -> Any:
    """A YAML node as plain Python data, its keys' lines noted in `source`."""
    source.places.setdefault(at, Place(source.file, node.start_mark.line + 1))
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            line = key_node.start_mark.line + 1
            if key in result:
                source.problems.append(f"{source.file}:{line}: {dotted((*at, key))} is set twice")
            source.places[(*at, key)] = Place(source.file, line)
            result[key] = _plain(value_node, (*at, key), source)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*at, index), source) for index, item in enumerate(node.value)]
    try:
        return _Loader("").construct_object(node)
    except yaml.YAMLError as error:
        source.problems.append(
            f"{source.file}:{node.start_mark.line + 1}: {dotted(at)}: {getattr(error, 'problem', error)}"
        )
        return None


def apply_override(source: Source, word: str) -> str | None:
    """Lay `a.b=value` over the settings in place; what is wrong with the word, if anything, is returned."""
    name, equals, text = word.partition("=")
    here = Place(word, 0)
    if not equals or not name.strip():
        return f"{here}: write it as key=value, for example training.epochs=5"
    try:
        value = yaml.load(text, Loader=_Loader)  # a SafeLoader
    except yaml.YAMLError:
        return f"{here}: the value is not YAML"
    key: KeyPath = tuple(int(part) if part.isdigit() else part for part in name.strip().split("."))
    node: Any = source.data
    made: list[KeyPath] = [key]
    for depth, part in enumerate(key[:-1]):
        if isinstance(node, dict):
            if node.get(str(part)) is None:
                node[str(part)] = {}
                made.append(key[: depth + 1])
            node = node[str(part)]
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            node = node[part]
        else:
            return f"{here}: {dotted(key[:depth]) or 'the file'} has no entry {part!r} to set something in"
    last = key[-1]
    if isinstance(node, dict):
        node[str(last)] = value
    elif isinstance(node, list) and isinstance(last, int) and last < len(node):
        node[last] = value
    else:
        return f"{here}: {dotted(key[:-1])} is a single value and has no {last!r}"
    source.places = {old: place for old, place in source.places.items() if old[: len(key)] != key}
    source.places |= dict.fromkeys(made, here)
    return None


_ALLOWED = {
    "string_type": "text",
    "string_too_short": "text that is not empty",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a block of settings, `key: value`",
    "model_type": "a block of settings, `key: value`",
    "literal_error": "{expected}",
    "greater_than": "greater than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "too_short": "a list of {min_length} or more",
    "too_long": "a list of {max_length} or fewer",
}
"""What a value must be, by pydantic's name of the error."""
_YAML_WORDS = {True: "true", False: "false", None: "null"}


class Mistake(NamedTuple):
    """A sentence about a key, without the key; one of several types has several that differ in what is allowed."""

    key: KeyPath
    found: str
    allowed: str


def say_pydantic_error(item: Any, root: type[BaseModel]) -> Mistake:
    """One of pydantic's errors, with the key path without its type tags."""
    key, section = _real_path(item["loc"], root)
    value, kind = item["input"], item["type"]
    if kind == "extra_forbidden":
        known = list(section.model_fields) if section else []
        close = difflib.get_close_matches(str(key[-1]), known, n=1) or _elsewhere(str(key[-1]), root)
        hint = f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(known)}"
        return Mistake(key, " is no setting;", hint)
    if kind == "missing":
        return Mistake(key, " is", f"missing; set it in the file, or type {dotted(_needed(key, section))}=...")
    shown = _YAML_WORDS[value] if value is None or isinstance(value, bool) else repr(value)
    words = _ALLOWED.get(kind)
    allowed = f"something else ({item['msg']})" if words is None else words.format(**item.get("ctx", {}))
    return Mistake(key, f" = {shown} must be", allowed)


def _needed(key: KeyPath, holder: type[BaseModel] | None) -> KeyPath:
    """What is to be set where a key is missing: of a whole block, the first setting in it that has no default."""
    block = _section_of(holder.model_fields[str(key[-1])].annotation) if holder else None
    needed = [name for name, info in block.model_fields.items() if info.is_required()] if block else []
    return (*key, *needed[:1])


def _real_path(loc: KeyPath, root: type[BaseModel]) -> tuple[KeyPath, type[BaseModel] | None]:
    """The path without the tags that pydantic adds for the members of a union, and the section of its last key."""
    section: type[BaseModel] | None = root
    holder: type[BaseModel] | None = root
    key: list[str | int] = []
    for depth, part in enumerate(loc):
        if section is None:
            if isinstance(part, int):
                key.append(part)
            continue
        holder = section
        if isinstance(part, int):
            key.append(part)
        elif part in section.model_fields:
            key.append(part)
            section = _section_of(section.model_fields[part].annotation)
        elif depth == len(loc) - 1:
            key.append(part)
    return tuple(key), holder


def _section_of(annotation: Any) -> type[BaseModel] | None:
    """The settings block that a field holds, alone or in a list; None for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in typing.get_args(annotation):
        if (found := _section_of(part)) is not None:
            return found
    return None


def _elsewhere(name: str, root: type[BaseModel]) -> list[str]:
    """`section.name` where another block has a setting of that name."""
    blocks = {block: _section_of(info.annotation) for block, info in root.model_fields.items()}
    paths = {f"{block}.{key}": key for block, section in blocks.items() if section for key in section.model_fields}
    close = difflib.get_close_matches(name, list(paths.values()), n=1, cutoff=0.8)
    return [path for path, key in paths.items() if close and key == close[0]][:1]
