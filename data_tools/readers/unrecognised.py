"""Why a SOURCE is of no format that `--format auto` knows: a broken file, or a kind that is named. Knows no reader."""

from __future__ import annotations

import json

from data_tools.readers.documents import load_patiently, read_bytes
from data_tools.readers.look import Look
from data_tools.readers.yolo_yaml import find_data_yaml
from grounding.errors import InputError


def why_unknown(look: Look) -> InputError | None:
    """What to tell of a SOURCE that no format fits, None where there is nothing better than that."""
    try:
        _check_sound(look)
    except InputError as error:
        return error
    tables = look.below("*.csv") or ([look.path] if look.path.suffix.lower() == ".csv" else [])
    if tables:
        return InputError(
            "is a table; of these only the folder with the CSV files of Open Images is read",
            where=str(tables[0]),
            fix="Make COCO of it; or write a reader, as docs/readers.md shows.",
        )
    return None


def _check_sound(look: Look) -> None:
    """Raises InputError for the first JSON, JSON Lines or YAML file that is none."""
    find_data_yaml(look.path)
    for each in look.documents:
        suffix = each.path.suffix.lower()
        if each.document or each.lines:
            continue
        if suffix == ".json":
            load_patiently(read_bytes(each.path), each.path)
        elif suffix == ".jsonl":
            _check_first_line(each)


def _check_first_line(look: Look) -> None:
    lines = enumerate(read_bytes(look.path).splitlines(), start=1)
    number, first = next(((number, line) for number, line in lines if line.strip()), (1, b""))
    try:
        json.loads(first)
    except (ValueError, RecursionError) as error:
        fix = "One JSON object a line is needed."
        raise InputError(f"is no JSON: {error}", where=f"{look.path}:{number}", fix=fix) from error
