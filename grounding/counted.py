"""Numbers of things in words that users read: `1 file`, `2 files`. Knows no thing in particular."""

from __future__ import annotations


def counted(number: int, thing: str, things: str | None = None) -> str:
    """The number, thousands parted, with the noun that it asks for.

    Args:
        thing: the noun, with its verb where there is one (`sample is`).
        things: the plural, where it is more than an s.
    """
    return f"{number:,} {thing if number == 1 else things or f'{thing}s'}"
