"""Which requests share a batch: each once, full batches, an image in as few batches as its requests need."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from grounding.inference.batches import plan_batches, windows

REQUESTS = st.lists(st.tuples(st.integers(1, 30), st.sampled_from([None, "a", "b", "c", "d", "e"])), max_size=40)


@given(REQUESTS, st.integers(1, 9))
def test_laws(requests: list[tuple[int, str | None]], batch_size: int) -> None:
    lengths, images = [length for length, _ in requests], [image for _, image in requests]
    batches = list(plan_batches(lengths, images, batch_size))
    assert sorted(index for batch in batches for index in batch.requests) == list(range(len(requests)))
    texts = [batch for batch in batches if batch.images == [None]]
    about_images = [batch for batch in batches if None not in batch.images]
    assert len(texts) + len(about_images) == len(batches), "no batch holds both kinds"
    for kind in (texts, about_images):
        assert all(len(batch.requests) == batch_size for batch in kind[:-1])
    encoded: dict[str | None, int] = defaultdict(int)
    going_on = None
    for batch in batches:
        assert len(batch.images) == len(set(batch.images)) == len(batch.sizes)
        named = [image for image, size in zip(batch.images, batch.sizes, strict=True) for _ in range(size)]
        assert named == [images[index] for index in batch.requests]
        if going_on is not None:
            assert batch.images[0] == going_on
        for image in batch.images:
            encoded[image] += image != going_on
        going_on = batch.goes_on
    assert going_on is None
    assert all(times == 1 for image, times in encoded.items() if image is not None)


@given(REQUESTS, st.integers(1, 9))
def test_windows_are_all_requests_and_never_part_an_image(requests: list[tuple[int, str | None]], size: int) -> None:
    images = [image for _, image in requests]
    found = list(windows(images, size))
    assert [index for window in found for index in window] == list(range(len(images)))
    assert all(len(window) >= size for window in found[:-1])
    for before, after in pairwise(found):
        assert images[after.start] is None or images[before.stop - 1] != images[after.start]
    assert list(windows(list(range(20)), 8)) == [range(8), range(8, 16), range(16, 20)]


def test_images_come_by_length_and_equal_sizes_side_by_side() -> None:
    images = ["long", "short", "two", "two", "one"]
    (batch,) = plan_batches([30, 1, 9, 8, 7], images, 8)
    assert batch.images == ["short", "one", "long", "two"]
    assert batch.sizes == [1, 1, 1, 2]
    assert batch.requests == [1, 4, 0, 3, 2]
    first, second = plan_batches([30, 1, 9, 8, 7], images, 3)
    assert first.requests == [1, 4, 3]
    assert (first.goes_on, second.images, second.sizes, second.goes_on) == ("two", ["two", "long"], [1, 1], None)
