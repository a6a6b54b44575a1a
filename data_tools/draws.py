"""Picks for one question, decided by a hash of what is asked: the same in every process and on every machine.

A hash, since a question needs few picks, and seeding a generator for each takes several times as long. Knows nothing of
what is picked from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """Even picks, independent of each other, that a text decides.

    The sha256 of the text is a number below 2**256. A pick among n takes its remainder by n and leaves the quotient:
    the digits of the number in mixed radix. As long as the choices multiply to far less than 2**256, none is favoured.

    Args:
        about: what is asked, and of which image, with the seed.
    """

    __slots__ = ("_left",)

    def __init__(self, about: str) -> None:
        self._left = int.from_bytes(hashlib.sha256(about.encode()).digest(), "big")

    def pick(self, choices: Sequence[T]) -> T:
        """One of the choices, of which there is one at least."""
        self._left, place = divmod(self._left, len(choices))
        return choices[place]
