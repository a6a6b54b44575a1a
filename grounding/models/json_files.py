"""Reads the small JSON files that lie beside weights. Knows no key of any of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from grounding.errors import InputError


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        InputError: not JSON, or no object.
    """
    fix = "Mend this file, or copy it again."
    try:
        document = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise InputError(f"this is no valid JSON ({error}).", where=str(file), fix=fix) from error
    if not isinstance(document, dict):
        raise InputError("this JSON file holds no object.", where=str(file), fix=fix)
    return document
