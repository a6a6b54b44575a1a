"""The classes of Open Images: names by label, and which class is a kind of which by the published hierarchy.

The hierarchy is a tree in JSON, `{"LabelName": ..., "Subcategory": [...]}`; a class may stand in it several times. Only
"Subcategory" is followed: a "Part" (a human face) is no kind of its whole
(https://storage.googleapis.com/openimages/web/download_v7.html#all-hierarchy). Knows no image and no box.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any, NamedTuple

from data_tools.entries import class_name
from data_tools.readers.documents import load_patiently, read_bytes
from grounding.errors import InputError


class Classes(NamedTuple):
    """Label -> name; name -> the names of all kinds above it, and below it; files by what they hold."""

    names: Mapping[str, str]
    above: Mapping[str, frozenset[str]]
    below: Mapping[str, frozenset[str]]
    files: Mapping[Path, bytes]
    hierarchy: Path | None

    def all_above(self, classes: Set[str]) -> frozenset[str]:
        """Every kind that one of these classes is of."""
        return frozenset[str]().union(*(self.above.get(name, frozenset()) for name in classes))

    def all_below(self, classes: Set[str]) -> frozenset[str]:
        """Every class that is a kind of one of these."""
        return frozenset[str]().union(*(self.below.get(name, frozenset()) for name in classes))


def read_classes(descriptions: tuple[Path, ...], folder: Path) -> Classes:
    """The classes of a folder: its class-descriptions files, and the one `*hierarchy*.json` if there is one.

    Raises InputError where a file cannot be read, or where there are several hierarchies.
    """
    files = {path: read_bytes(path) for path in descriptions}
    names = {label: name for path, content in files.items() for label, name in _names(text_in(content, path))}
    found = sorted(folder.rglob("*hierarchy*.json"))
    if len(found) > 1:
        listed = ", ".join(str(path.relative_to(folder)) for path in found)
        raise InputError(f"there are {len(found)} hierarchies: {listed}", where=str(folder), fix="Leave one there.")
    if not found:
        return Classes(names, {}, {}, files, None)
    content = read_bytes(found[0])
    try:
        pairs = set(_pairs(load_patiently(content, found[0]), (), names))
    except RecursionError as error:
        raise InputError("is nested too deeply to be a class hierarchy", where=str(found[0])) from error
    above = {name: frozenset(over for under, over in pairs if under == name) for name in {pair[0] for pair in pairs}}
    below = {name: frozenset(under for under, over in pairs if over == name) for name in {pair[1] for pair in pairs}}
    return Classes(names, above, below, {**files, found[0]: content}, found[0])


def text_in(content: bytes, path: Path) -> str:
    """The text of a CSV file. Raises InputError naming the line that is not UTF-8."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"is not UTF-8 text: byte 0x{content[error.start]:02x}", where=f"{path}:{line}", fix="Save it as UTF-8."
        ) from error


def _names(text: str) -> Iterator[tuple[str, str]]:
    """(label, name) of each line of a class-descriptions file, which may have a head line or not."""
    for row in csv.reader(io.StringIO(text)):
        if len(row) >= 2 and row[0] != "LabelName" and (name := class_name(row[1])) is not None:
            yield row[0], name


def _pairs(node: Any, over: tuple[str, ...], names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(class, a kind above it) for every node of the tree below this one; nodes without a name count for none."""
    if not isinstance(node, dict):
        return
    name = names.get(str(node.get("LabelName")))
    if name is not None:
        yield from ((name, kind) for kind in over if kind != name)
        over = (*over, name)
    below = node.get("Subcategory")
    for child in below if isinstance(below, list) else []:
        yield from _pairs(child, over, names)
