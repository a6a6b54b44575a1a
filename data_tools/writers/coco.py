"""Samples -> COCO instances, and answers to them -> COCO results; the same samples get the same ids in both.

COCO knows images, classes and all boxes of a class, so the samples that it can say are those that ask for them
(`phrase_to_boxes`): their class, or the phrase where they have none. What several samples say of one class in an image
is put together, a box that two of them share once. Which classes were asked for is kept in LVIS's keys: those with no
box stand in `neg_category_ids` of the image, and nothing else is said to be absent (https://cocodataset.org/#format-data,
#format-results; https://www.lvisdataset.org/dataset). Knows no answer text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from grounding import __version__
from grounding.errors import InputError
from grounding.samples import Sample, atomic_path, image_key

TASK = "phrase_to_boxes"
Box = tuple[float, ...]
Asked = tuple[int, int]  # (image id, category id)


class Answer(NamedTuple):
    """The boxes of an answer, xyxy in pixels, and a score for each: the greater, the surer."""

    boxes_px: Sequence[Sequence[float]]
    scores: Sequence[float]


class Ids(NamedTuple):
    """What samples are called in COCO: images by `image_key` from 1 in the order of the samples; classes by name."""

    images: dict[Hashable, int]
    categories: dict[str, int]

    def of(self, sample: Sample) -> Asked:
        """The image and the class that a sample asks about."""
        return self.images[image_key(sample)], self.categories[class_of(sample)]


def sayable(samples: Iterable[Sample]) -> tuple[list[int], dict[str, int]]:
    """The places of the samples that COCO can say, and how many others there are by task.

    Raises:
        InputError: there is none.
    """
    places: list[int] = []
    others: Counter[str] = Counter()
    for place, sample in enumerate(samples):
        if _is_sayable(sample):
            places.append(place)
        else:
            others[sample.task] += 1
    if not places:
        found = ", ".join(f"{count} of {task}" for task, count in sorted(others.items())) or "none at all"
        raise InputError(f"no sample asks for all boxes of a class ({TASK}); there are {found}", where="coco")
    return places, dict(sorted(others.items()))


def _is_sayable(sample: Sample) -> bool:
    return sample.task == TASK and sample.boxes is not None and bool(sample.category or sample.phrase)


def class_of(sample: Sample) -> str:
    """The name of its class in COCO."""
    return sample.category or sample.phrase or ""


def classes_of(samples: Iterable[Sample]) -> frozenset[str]:
    """The classes that sayable samples ask for."""
    return frozenset(class_of(sample) for sample in samples if _is_sayable(sample))


def number(samples: Iterable[Sample], classes: Set[str] = frozenset()) -> Ids:
    """The ids of the images and classes of sayable samples.

    Classes are numbered from 1 by name, those of `classes` with them: files of one dataset agree where each is given
    the classes of all.
    """
    images: dict[Hashable, int] = {}
    names = set(classes)
    for sample in samples:
        images.setdefault(image_key(sample), len(images) + 1)
        names.add(class_of(sample))
    return Ids(images, {name: place for place, name in enumerate(sorted(names), start=1)})


def write_instances(path: Path, samples: Iterable[Sample], classes: Set[str] = frozenset()) -> None:
    """Writes the truth of sayable samples as COCO instances: `ignore` boxes are crowds.

    Args:
        path: of the file, written under a temporary name first.
        samples: gone through more than once.
        classes: listed too, whether a sample asks for them or not.

    Raises:
        RunError: the file cannot be written.
    """
    ids = number(samples, classes)
    images: dict[int, dict[str, Any]] = {}
    for sample in samples:
        image, _ = ids.of(sample)
        images.setdefault(image, _image(image, sample))
    boxes = together(samples, ids)
    for (image, category), some in boxes.items():
        if not some:
            images[image]["neg_category_ids"].append(category)
    every = ((asked, box, crowd) for asked, some in boxes.items() for box, crowd in some.elements())
    annotations = [
        {"id": place, **_placed(asked, box), "area": (box[2] - box[0]) * (box[3] - box[1]), "iscrowd": int(crowd)}
        for place, (asked, box, crowd) in enumerate(every, start=1)
    ]
    document = {
        "info": {"description": f"truth of samples, written by grounding {__version__}"},
        "images": list(images.values()),
        "annotations": annotations,
        "categories": [{"id": place, "name": name} for name, place in ids.categories.items()],
    }
    _write(path, document)


def write_results(
    path: Path, samples: Iterable[Sample], answers: Iterable[Answer], classes: Set[str] = frozenset()
) -> int:
    """Writes answers as COCO results and says how many boxes there are.

    Args:
        path: of the file, written under a temporary name first.
        samples: sayable ones; gone through more than once.
        answers: one for each sample; without boxes where it found none, or could not be read.
        classes: numbered too, as for `write_instances`.

    Raises:
        RunError: the file cannot be written.
    """
    found = answered(samples, answers, number(samples, classes))
    _write(path, [{**_placed(asked, box), "score": score} for asked, box, score in found])
    return len(found)


def together(samples: Iterable[Sample], ids: Ids) -> dict[Asked, Counter[tuple[Box, bool]]]:
    """The truth of samples that count: for each image and class asked about its boxes, and whether to ignore it."""
    boxes: dict[Asked, Counter[tuple[Box, bool]]] = {}
    for sample in samples:
        told = [(box, False) for box in sample.boxes or []] + [(box, True) for box in sample.ignore]
        here = Counter((tuple(box), ignored) for box, ignored in told)
        asked = ids.of(sample)
        boxes[asked] = boxes.get(asked, Counter()) | here  # the union of bags: doubles within a sample stay
    return boxes


def answered(samples: Iterable[Sample], answers: Iterable[Answer], ids: Ids) -> list[tuple[Asked, Box, float]]:
    """Every box of the answers to samples that count, with its score: of those that answers share, the surest."""
    scores: dict[Asked, dict[Box, list[float]]] = {}
    for sample, answer in zip(samples, answers, strict=True):
        own: dict[Box, list[float]] = {}
        for box, score in zip(answer.boxes_px, answer.scores, strict=True):
            own.setdefault(tuple(box), []).append(score)
        known = scores.setdefault(ids.of(sample), {})
        for shared, some in own.items():
            known[shared] = max(known.get(shared, []), some, key=lambda given: (len(given), given))
    return [(asked, box, score) for asked, known in scores.items() for box, some in known.items() for score in some]


def _image(number: int, sample: Sample) -> dict[str, Any]:
    return {
        "id": number,
        "file_name": sample.image,
        "width": sample.width,
        "height": sample.height,
        "neg_category_ids": [],
        "not_exhaustive_category_ids": [],
    }


def _placed(asked: Asked, box: Box) -> dict[str, Any]:
    x0, y0, x1, y1 = box
    return {"image_id": asked[0], "category_id": asked[1], "bbox": [x0, y0, x1 - x0, y1 - y0]}


def _write(path: Path, document: Any) -> None:
    with atomic_path(Path(path)) as temporary:
        temporary.write_bytes(msgspec.json.encode(document))
