"""Pictures that look alike: a perceptual hash of each, and all pairs a few bits apart without comparing every two.

The hash is pHash with 256 bits in place of 64 (C. Zauner, Implementation and benchmarking of perceptual image hash
functions, 2010): the signs of the low frequencies of a small grey picture about their median. Re-encoded, resized or
brightened copies differ by up to about 16 bits, neighbouring frames by some 20, photographs of different things by 90
and more. Cropped and mirrored copies are not found. Knows pictures; does not know splits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn

SIDE = 64  # pixels of the square that a picture is squashed to
LOW = 16  # frequencies kept along each side
WORDS = LOW * LOW // 16  # uint16 of a fingerprint
NEAR = 31  # bits by which pictures that look alike may differ, the most that `near_pairs` can promise to find
FLAT = 2.0  # standard deviation, of 255 grey levels, below which a picture has no structure to compare
_FLIPS = (0, *(1 << bit for bit in range(16)))
_AT_ONCE = 1 << 20  # pairs compared at a time

Words = NDArray[np.uint16]


class Pairs(NamedTuple):
    """int64[P, 2], the places of two pictures, the smaller first; int64[P], bits that differ; closest first."""

    places: NDArray[np.int64]
    distance: NDArray[np.int64]


def fingerprint(picture: Image.Image) -> Words | None:
    """uint16[16] of a grey picture; None where it is flat and would look like any other flat one."""
    grey = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS), dtype=np.float32)
    if grey.std() < FLAT:
        return None
    low = dctn(grey, norm="ortho")[:LOW, :LOW].ravel()
    return np.packbits(low > np.median(low)).view(np.uint16)


def near_pairs(prints: NDArray[np.uint16], most: int = NEAR) -> Pairs:
    """All pairs of fingerprints uint16[N, 16] that differ by at most so many bits, at most `NEAR`.

    Multi-index hashing (M. Norouzi, A. Punjani, D. Fleet, Fast search in Hamming space with multi-index hashing, CVPR
    2012): of two fingerprints less than 2 * 16 bits apart, one of the 16 words differs by one bit at most, so only
    fingerprints that share a word, or all but a bit of it, are compared.
    """
    assert most <= NEAR, "more bits apart, a pair need not share a word"
    found = [pair for word in prints.T for pair in _sharing(prints, word, most)]
    pairs = np.unique(np.concatenate(found), axis=0) if found else np.zeros((0, 2), dtype=np.int64)
    distance = _distance(prints, pairs)
    order = np.argsort(distance, kind="stable")
    return Pairs(pairs[order], distance[order])


def _sharing(prints: NDArray[np.uint16], word: NDArray[np.uint16], most: int) -> Iterator[NDArray[np.int64]]:
    """Pairs int64[P, 2] near enough among those whose `word` (uint16[N]) differs by one bit at most."""
    order = np.argsort(word, kind="stable")
    having = np.bincount(word, minlength=1 << 16)
    start_of = np.cumsum(having) - having  # in `order`, of those that have a word
    for flip in _FLIPS:
        wanted = word ^ np.uint16(flip)
        first, number = start_of[wanted], having[wanted]
        reached = np.cumsum(number)
        for start in range(0, int(reached[-1]) if len(reached) else 0, _AT_ONCE):
            at = np.arange(start, min(start + _AT_ONCE, int(reached[-1])))
            one = np.searchsorted(reached, at, side="right")
            other = order[first[one] + at - (reached - number)[one]]
            pairs = np.column_stack([one, other])[one < other]
            yield pairs[_distance(prints, pairs) <= most]


def _distance(prints: NDArray[np.uint16], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64[P]: the bits that differ."""
    differing = prints[pairs[:, 0]] ^ prints[pairs[:, 1]]
    return np.bitwise_count(differing).sum(axis=1, dtype=np.int64)
