"""LVIS JSON -> records and a tally: COCO instances whose annotators looked for named classes only.

Absence is listed, `neg_category_ids`; a class of `not_exhaustive_category_ids` is not asked for there. Images go by
`coco_url` where `file_name` is missing (v1) or has the prefix of 2014 that the files do not have (v0.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from data_tools.readers.coco import open_coco
from data_tools.records import Source


def open_lvis(source: Path, images: Path | None, options: Mapping[str, str]) -> list[Source]:
    """The reader behind `--format lvis`. Raises InputError as `open_coco`."""
    return [replace(read, absence="listed") for read in open_coco(source, images, options)]
