"""Options that take one of a few words, and say which of them was meant by another. Knows no command."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from grounding.closest import did_you_mean
from grounding.text import COGVLM, DIALECTS


class Choice(click.Choice[str]):
    """As click's, with the closest of its words offered beside them all.

    Args:
        choices: the words; where they are given with a meaning each, a wrong one is answered with these too.
    """

    def __init__(self, choices: Iterable[str] | Mapping[str, str]) -> None:
        super().__init__(list(choices))
        self.meanings = choices if isinstance(choices, Mapping) else {}

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        told = [super().get_invalid_choice_message(value, ctx), did_you_mean(str(value), self.choices)]
        told += [f"{word}: {meaning}." for word, meaning in self.meanings.items()]
        return " ".join(filter(None, told))


# No `Choice`, since a dialect may have settings behind its name; `dialect_named` reads both.
dialect_option = click.option(
    "--dialect",
    default=COGVLM.name,
    show_default=True,
    metavar="NAME",
    help=f"Form of the boxes in --predictions: {', '.join(DIALECTS)} (qwen2.5-vl:max_pixels=N where it was set).",
)
