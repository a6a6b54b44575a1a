"""A first look at a SOURCE, for `--format auto`: what kind of file it is, the keys of its JSON, the names in a folder.

Reads no annotation beyond the first of each list. Knows no format: `recognise` judges what is seen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from data_tools.readers.documents import BOM, NOT_STRICT, load_patiently, read_bytes
from grounding.errors import InputError

HEAD = 1 << 20  # bytes that a first line or first entry is looked for in
DOCUMENTS = 20  # JSON files of a folder that are looked into


class Look:
    """What is seen of a SOURCE; each part is read when it is first asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def is_folder(self) -> bool:
        return self.path.is_dir()

    @cached_property
    def lines(self) -> Mapping[str, Any]:
        """The first JSON object of a JSON Lines file; empty for anything else."""
        if self.is_folder or self.path.suffix.lower() not in (".jsonl", ".json"):
            return {}
        with self.path.open("rb") as file:
            head = file.read(HEAD).removeprefix(BOM).lstrip()
        first, _, rest = head.partition(b"\n")
        if self.path.suffix.lower() == ".json" and not rest.strip():
            return {}  # one line is one document
        try:
            found = json.loads(first)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @cached_property
    def document(self) -> Mapping[str, Any]:
        """Key -> first entry of its list (or its value) of a JSON object; {"": first entry} of a JSON list."""
        if self.is_folder or self.path.suffix.lower() != ".json":
            return {}
        content = read_bytes(self.path)
        if content.lstrip()[:1] == b"[":
            return {"": _first_entry(content)}
        try:
            values = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        except NOT_STRICT:
            return _patiently(content, self.path)
        return {key: _first_entry(bytes(memoryview(raw)[:HEAD])) for key, raw in values.items()}

    @cached_property
    def documents(self) -> list[Look]:
        """The file itself; of a folder the JSON files in it, in annotations/, and where Roboflow puts them."""
        if not self.is_folder:
            return [self]
        found = [*self.path.glob("*.json"), *self.path.glob("*.jsonl"), *self.path.glob("annotations/*.json")]
        found += self.path.glob("*/_annotations.coco.json")
        return [Look(path) for path in sorted(found)[:DOCUMENTS]]

    def below(self, pattern: str) -> list[Path]:
        """Files of a folder by a pattern, sorted; none for a file."""
        return sorted(self.path.glob(pattern)) if self.is_folder else []


def _first_entry(text: bytes) -> Any:
    """The first entry of a JSON list whose text begins here, or the value itself; None where it cannot be told."""
    start = text.decode("utf-8", errors="ignore").lstrip()
    inside = start[1:].lstrip() if start.startswith("[") else start
    try:
        return json.JSONDecoder().raw_decode(inside)[0]
    except (ValueError, RecursionError):
        return None


def _patiently(content: bytes, path: Path) -> Mapping[str, Any]:
    """As `Look.document`, for JSON with NaN in it; empty where it is no JSON at all, which its reader will say."""
    try:
        document = load_patiently(content, path)
    except InputError:
        return {}
    if not isinstance(document, dict):
        return {}
    return {key: (value or [None])[0] if isinstance(value, list) else value for key, value in document.items()}
