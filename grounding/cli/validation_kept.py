"""Validation data that a config names and that stay where the command line changes the training data alone.

Knows settings and where each was written; opens no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from grounding.settings import FinetuneSettings

if TYPE_CHECKING:
    from grounding.settings.places import Source

VAL = ("data", "val")


def is_kept(source: Source) -> bool:
    """Whether data.train was typed, and data.val stands in the file alone."""
    return source.is_typed(("data", "train")) and source.is_in_file(VAL)


def validation_kept(settings: FinetuneSettings, source: Source) -> str | None:
    """What to tell then: whoever types other training data may well think that all data are those."""
    if settings.data.val is None or not is_kept(source):
        return None
    return (
        f"data.train was typed and data.val was not: evaluated on is still {settings.data.val.path}, from "
        f"{source.place(VAL)}. Name another with data.val=PATH, or data.val=null to evaluate on nothing."
    )
