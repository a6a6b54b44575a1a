"""Which requests share a batch: those about one image stay together, and as far as that leaves room, those of like
length.

Knows lengths and which image each request is about; nothing of models. Without torch.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple


class Batch(NamedTuple):
    """Requests that are answered together.

    Attributes:
        requests: by number, those about one image one behind the other.
        images: each image once, in the order of the requests; None: no image.
        sizes: how many of the requests each of them has.
        goes_on: the one of these images with which the next batch goes on; None where there is none.
    """

    requests: list[int]
    images: list[Hashable | None]
    sizes: list[int]
    goes_on: Hashable | None


def windows(images: Sequence[Hashable | None], size: int) -> Iterator[range]:
    """The requests in their order, cut into ranges that are batched each for itself: of `size`, and of more where those
    about one image stand side by side, which are never parted.

    Args:
        images: what each request is about; None: text only.
    """
    start = 0
    for end in range(1, len(images) + 1):
        whole = end == len(images) or images[end] is None or images[end] != images[end - 1]
        if end == len(images) or (whole and end - start >= size):
            yield range(start, end)
            start = end


def plan_batches(lengths: Sequence[int], images: Sequence[Hashable | None], batch_size: int) -> Iterator[Batch]:
    """Batches of all requests, each request once, without a place left empty but in the last batch of either kind.

    An image whose requests do not end with a batch goes on at the beginning of the next one. Requests without an image
    have batches of their own, since what stands in front of them is shorter.

    Args:
        lengths: of the prompts, in tokens.
        images: what each request is about; None: text only.
    """
    groups: dict[Hashable | None, list[int]] = {}
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        groups.setdefault(images[index], []).append(index)
    texts = groups.pop(None, [])
    # The image with the shortest longest prompt comes first.
    ordered = sorted(groups, key=lambda image: lengths[groups[image][-1]])
    for members in ([index for image in ordered for index in groups[image]], texts):
        before = None
        for end in range(batch_size, len(members) + batch_size, batch_size):
            last = images[members[min(end, len(members)) - 1]]
            goes_on = last if end < len(members) and images[members[end]] == last else None
            yield _batch(members[end - batch_size : end], images, before, goes_on)
            before = goes_on


def _batch(
    members: list[int], images: Sequence[Hashable | None], before: Hashable | None, goes_on: Hashable | None
) -> Batch:
    """What went on from the batch before comes first; then images with equally many requests side by side, a block."""
    of_image: dict[Hashable | None, list[int]] = {}
    for index in members:
        of_image.setdefault(images[index], []).append(index)
    ordered = sorted(of_image, key=lambda image: (image != before, len(of_image[image])))
    return Batch(
        requests=[index for image in ordered for index in of_image[image]],
        images=ordered,
        sizes=[len(of_image[image]) for image in ordered],
        goes_on=goes_on,
    )
