"""What looks alike is found, what does not is not, and no pair is missed for want of comparing all."""

from __future__ import annotations

import io
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from data_tools.inspection.fingerprints import NEAR, WORDS, fingerprint, near_pairs
from tests.data_tools.inspection.making import photo


def bits_apart(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.bitwise_count(one ^ other).sum())


def jpeg(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file)


def marked(picture: Image.Image) -> np.ndarray:
    found = fingerprint(picture.convert("L"))
    assert found is not None
    return found


@pytest.mark.parametrize("seed", range(5))
def test_copies_are_near(seed: int) -> None:
    picture = photo(seed, (320, 240))
    own = marked(picture)
    for copy in (
        jpeg(picture, 90),
        jpeg(picture, 30),
        picture.resize((160, 120)),
        ImageEnhance.Brightness(picture).enhance(0.9),
    ):
        assert bits_apart(own, marked(copy)) <= NEAR


def test_other_pictures_are_far() -> None:
    prints = [marked(photo(seed)) for seed in range(30)]
    assert min(bits_apart(one, other) for one, other in combinations(prints, 2)) > 2 * NEAR


def test_what_has_no_structure_has_no_fingerprint() -> None:
    assert fingerprint(Image.new("L", (50, 40), 200)) is None


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.lists(st.tuples(st.integers(0, 5), st.integers(0, NEAR + 12)), max_size=30))
def test_the_pairs_are_those_of_comparing_all(seed: int, made: list[tuple[int, int]]) -> None:
    """Fingerprints at some distance from one of a few, so that many are near each other and many nearly."""
    rng = np.random.default_rng(seed)
    few = rng.integers(0, 2, (6, 16 * WORDS), dtype=np.uint8)
    bits = [few[origin] ^ (rng.permutation(16 * WORDS) < flips) for origin, flips in made]
    prints = np.packbits(np.array(bits, dtype=np.uint8).reshape(-1, 16 * WORDS), axis=1).view(np.uint16)
    apart = {(i, j): bits_apart(prints[i], prints[j]) for i, j in combinations(range(len(prints)), 2)}
    found = near_pairs(prints)
    told = dict(zip(map(tuple, found.places.tolist()), found.distance.tolist(), strict=True))
    assert told == {pair: distance for pair, distance in apart.items() if distance <= NEAR}
    assert found.distance.tolist() == sorted(found.distance.tolist())
