"""An option that takes one of a few words, and says which of them was meant by another. Knows no command."""

from __future__ import annotations

from typing import Any

import click

from grounding.closest import did_you_mean


class Choice(click.Choice[str]):
    """As click's, with the closest of its words offered beside them all."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        return f"{super().get_invalid_choice_message(value, ctx)} {did_you_mean(str(value), self.choices)}".rstrip()
