"""Picks for one question, decided by a hash of what is asked: the same in every process and on every machine.

A hash, since a question needs few picks, and seeding a generator for each takes several times as long. Knows nothing of
what is picked from.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
_WORD = 1 << 64  # a digest is four words of so many values, the first one counting most


def number_of(about: str) -> int:
    """The sha256 of a text, a number below 2**256, to take picks from: what is asked, of which image, with the seed.

    A pick among n takes its remainder by n and leaves the quotient: the digits of the number in mixed radix, even and
    independent of each other. As long as the choices multiply to far less than 2**256, none is favoured.
    """
    return int.from_bytes(sha256(about.encode()).digest(), "big")


def pick_by(about: str, choices: Sequence[T]) -> T:
    """One of the choices, of which there is one at least; the only pick about this text."""
    return choices[number_of(about) % len(choices)]


def digests_of(abouts: Sequence[str]) -> NDArray[np.uint64]:
    """uint64[N, 4], the numbers of many texts as `number_of` has them, in words of 64 bits."""
    digests = b"".join([sha256(about.encode()).digest() for about in abouts])
    return np.frombuffer(digests, dtype=">u8").astype(np.uint64).reshape(-1, 4)


def remainders(digests: NDArray[np.uint64], divisor: int) -> NDArray[np.int64]:
    """int64[N], the remainders of numbers uint64[N, 4] by 1..2**31, word by word, so that nothing exceeds 64 bits."""
    left = np.zeros(len(digests), dtype=np.uint64)
    for word in digests.T:
        left = (left * np.uint64(_WORD % divisor) + word % np.uint64(divisor)) % np.uint64(divisor)
    return left.astype(np.int64)
