"""Samples -> a YOLO folder: labels, lists of images by split, data.yaml; answers -> labels with a confidence.

A row is `class cx cy w h` in fractions of the image's sides; the labels of images/a.png are labels/a.txt
(https://docs.ultralytics.com/datasets/detect). YOLO knows classes alone and no box to ignore; what has no row is
absent. What several samples say of one class in an image is put together as for COCO. Knows no answer text.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import yaml
from PIL import ExifTags, Image

from data_tools.entries import clean_name
from data_tools.readers.yolo import label_name
from data_tools.writers import coco
from grounding.errors import InputError
from grounding.samples import DECODING_ERRORS, Sample, atomic_path, image_key, open_image, pick, resolve_image

DATA = "data.yaml"
FOLDER = "images"  # whose counterpart is `labels`


class Pictures(NamedTuple):
    """Where the images are that shall be in the folder too, and whether links may lead out of there."""

    image_root: Path
    follow_links: bool = False


def sayable(samples: Sequence[Sample]) -> tuple[list[int], dict[str, int]]:
    """The places of the samples that YOLO can say, and how many others there are: by task, or phrases of no class.

    Raises:
        InputError: there is none.
    """
    places, others = coco.sayable(samples)
    said = [place for place, sample in zip(places, pick(samples, places), strict=True) if sample.category]
    if not said:
        raise InputError(f"no sample asks for a class; there are {len(places)} phrases of none", where="yolo")
    return said, others | ({"phrases of no class": len(places) - len(said)} if len(said) < len(places) else {})


def classes_of(samples: Iterable[Sample]) -> frozenset[str]:
    """The classes that sayable samples ask for."""
    return coco.classes_of(sample for sample in samples if sample.category)


def write_truth(
    out: Path, splits: Mapping[str, Sequence[Sample]], classes: Set[str] = frozenset(), pictures: Pictures | None = None
) -> int:
    """Writes the truth of sayable samples, and says how many boxes to ignore are left out.

    Args:
        out: the folder, written under a temporary name first; nothing stands there, or an empty folder.
        splits: train, val or test -> its samples.
        classes: numbered too, whether a sample asks for them or not.
        pictures: copied into the folder. One that EXIF turns, with boxes in the frame as stored, is written anew in
            that frame, since who reads YOLO turns it.

    Raises:
        InputError: the name of an image leads out of the folder, two would share their labels, or one is not there or
            cannot be read.
        RunError: the folder cannot be written.
    """
    samples = list(chain.from_iterable(splits.values()))
    ids = coco.number(samples, classes)
    images = _images(samples, ids)
    rows: dict[int, list[str]] = {image: [] for image in images}
    ignored = 0
    for (image, category), boxes in coco.together(samples, ids).items():
        kept = [box for box, aside in boxes.elements() if not aside]
        rows[image] += [_row(category, box, images[image]) for box in kept]
        ignored += boxes.total() - len(kept)
    with atomic_path(out) as folder:
        _write_labels(folder, images, rows)
        for split, some in splits.items():
            names = dict.fromkeys(_place(sample) for sample in some)
            _write_text(folder / f"{split}.txt", "".join(f"./{name}\n" for name in names))
        _write_yaml(folder, {split: f"{split}.txt" for split in splits}, ids)
        if pictures is not None:
            for sample in images.values():
                _lay(sample, pictures, folder / _place(sample))
    return ignored


def write_results(
    out: Path, samples: Sequence[Sample], answers: Iterable[coco.Answer], classes: Set[str] = frozenset()
) -> int:
    """Writes answers as labels whose last column is the score, and says how many boxes there are.

    Args and errors as `write_truth` has them; `answers` has one for each sample.
    """
    ids = coco.number(samples, classes)
    images = _images(samples, ids)
    rows: dict[int, list[str]] = {image: [] for image in images}
    found = coco.answered(samples, answers, ids)
    for (image, category), box, score in found:
        rows[image].append(f"{_row(category, box, images[image])} {score:.9g}")
    with atomic_path(out) as folder:
        _write_labels(folder, images, rows)
        _write_yaml(folder, {}, ids)
    return len(found)


def _images(samples: Iterable[Sample], ids: coco.Ids) -> dict[int, Sample]:
    """A sample about each image, by the image's id."""
    return {ids.images[image_key(sample)]: sample for sample in samples}


def _place(sample: Sample) -> str:
    """The path of an image in the folder: below `images`, if its name has no such folder of its own."""
    name = clean_name(sample.image)
    if name is None:
        raise InputError(f"the image name {sample.image!r} is no path below a folder", where=f"sample {sample.id!r}")
    return name if FOLDER in PurePosixPath(name).parts[:-1] else f"{FOLDER}/{name}"


def _row(category: int, box: coco.Box, sample: Sample) -> str:
    """Class numbers begin at 0; nine digits are more than a pixel of any image needs."""
    assert sample.width is not None and sample.height is not None  # a sample with boxes has a frame
    x0, y0, x1, y1 = box
    width, height = sample.width, sample.height
    fractions = ((x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height)
    return " ".join([str(category - 1), *(f"{fraction:.9g}" for fraction in fractions)])


def _write_labels(folder: Path, images: Mapping[int, Sample], rows: Mapping[int, Sequence[str]]) -> None:
    """The label file of each image; an empty one where nothing is there."""
    named: dict[str, str | None] = {}
    for image, sample in images.items():
        path = label_name(_place(sample))
        if path in named:
            problem = f"the labels of {sample.image!r} and {named[path]!r} would be one file, {path}"
            raise InputError(problem, where="yolo", fix="Names that differ in their suffix alone must not.")
        named[path] = sample.image
        _write_text(folder / path, "".join(f"{row}\n" for row in rows[image]))


def _write_yaml(folder: Path, splits: Mapping[str, str], ids: coco.Ids) -> None:
    """Without `path`: the folder of the file itself is then what lists and names start from."""
    names = {number - 1: name for name, number in ids.categories.items()}
    _write_text(folder / DATA, yaml.safe_dump({**splits, "names": names}, allow_unicode=True, sort_keys=False))


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def _lay(sample: Sample, pictures: Pictures, place: Path) -> None:
    """Copies the image of a sample; one that would be turned out of the frame of its boxes is written anew in it."""
    assert sample.image is not None
    file = resolve_image(pictures.image_root, sample.image, pictures.follow_links, where=f"sample {sample.id!r}")
    place.parent.mkdir(parents=True, exist_ok=True)
    if not sample.upright and _is_turned(file):
        open_image(pictures.image_root, sample, pictures.follow_links).save(place, quality=95)
    else:
        shutil.copyfile(file, place)


def _is_turned(file: Path) -> bool:
    """Whether EXIF turns or mirrors an image. Raises InputError where it is none."""
    try:
        with Image.open(file) as picture:
            return picture.getexif().get(ExifTags.Base.Orientation, 1) != 1
    except DECODING_ERRORS as error:
        raise InputError(f"is no image that can be read: {error}", where=str(file)) from error
