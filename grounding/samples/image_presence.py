"""Whether the images of a dataset lie where its samples say. Knows names of files; opens none."""

from __future__ import annotations

from grounding.errors import InputError, ManyErrors
from grounding.samples.images import resolve_image
from grounding.samples.manifest import Dataset


def check_images(dataset: Dataset, *, follow_links: bool = False) -> None:
    """Sees that the file of every image is there.

    Raises:
        InputError: all those that are missing or lie outside the image root.
    """
    asker: dict[str, str] = {}
    for sample in dataset.samples:
        if sample.image is not None:
            asker.setdefault(sample.image, sample.id)
    problems = []
    for image, sample_id in asker.items():
        try:
            resolve_image(dataset.image_root, image, follow_links, where=f"sample {sample_id!r}")
        except InputError as error:
            problems.append(error)
    if problems:
        raise ManyErrors(f"{dataset.path}: images that cannot be used", problems)
