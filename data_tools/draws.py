"""Picks for one question, decided by a hash of what is asked: the same in every process and on every machine.

A hash, since a question needs few picks, and seeding a generator for each takes several times as long. Knows nothing of
what is picked from.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TypeVar

T = TypeVar("T")


def number_of(about: str) -> int:
    """The sha256 of a text, a number below 2**256, to take picks from: what is asked, of which image, with the seed.

    A pick among n takes its remainder by n and leaves the quotient: the digits of the number in mixed radix, even and
    independent of each other. As long as the choices multiply to far less than 2**256, none is favoured.
    """
    return int.from_bytes(sha256(about.encode()).digest(), "big")


def pick_by(about: str, choices: Sequence[T]) -> T:
    """One of the choices, of which there is one at least; the only pick about this text."""
    return choices[number_of(about) % len(choices)]
