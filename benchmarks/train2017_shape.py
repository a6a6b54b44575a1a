"""Writes a COCO file of the shape of train2017, and a VOC folder: random boxes, the real file's numbers and sizes.

118,287 images, 860,001 annotations in 80 classes, with polygons, in the key order and number style of the real file:
about 450 MB. Knows no reader. The annotations of an image are of few classes, as in the real file (2.9 on average).

    python -m benchmarks.train2017_shape instances_train2017.json
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

IMAGES, BOXES, CLASSES = 118_287, 860_001, 80
CLASSES_AN_IMAGE = (1, 1, 2, 2, 3, 3, 4, 6)  # drawn from for each image
POINTS = 20  # of a polygon; the real file has 24 on average, some with fewer digits
CROWD = 84  # one annotation in so many is a crowd with a run-length code
VOC_OBJECTS = (1, 1, 1, 2, 2, 3, 4, 6)


def write_train2017(path: Path, images: int = IMAGES, boxes: int = BOXES, seed: int = 0) -> None:
    """Writes the file, annotation by annotation; smaller where fewer images and boxes are asked for."""
    rng = random.Random(seed)
    classes = [rng.sample(range(1, CLASSES + 1), rng.choice(CLASSES_AN_IMAGE)) for _ in range(images)]
    sizes = [rng.choice(((640, 480), (480, 640), (640, 427), (500, 375))) for _ in range(images)]
    with path.open("w", encoding="utf-8") as file:
        file.write('{"info": {"description": "random boxes of the shape of train2017"}, "licenses": [], "images": [')
        for number, (width, height) in enumerate(sizes):
            url = f"http://images.cocodataset.org/train2017/{number:012d}.jpg"
            file.write(
                f'{", " if number else ""}{{"license": 3, "file_name": "{number:012d}.jpg", "coco_url": "{url}", '
                f'"height": {height}, "width": {width}, "date_captured": "2013-11-14 11:18:45", '
                f'"flickr_url": "http://farm9.staticflickr.com/8186/8119368305_{number:010x}_z.jpg", "id": {number}}}'
            )
        file.write('], "annotations": [')
        for number in range(boxes):
            image = rng.randrange(images)
            file.write(", " if number else "")
            file.write(_annotation(number, image, rng.choice(classes[image]), sizes[image], rng))
        named = ", ".join(
            f'{{"supercategory": "kind {n % 12}", "id": {n}, "name": "class {n}"}}' for n in range(1, CLASSES + 1)
        )
        file.write(f'], "categories": [{named}]}}')


def _annotation(number: int, image: int, category: int, size_wh: tuple[int, int], rng: random.Random) -> str:
    width, height = size_wh
    w, h = round(4 + rng.random() ** 2 * (width - 8), 2), round(4 + rng.random() ** 2 * (height - 8), 2)
    x, y = round(rng.random() * (width - w), 2), round(rng.random() * (height - h), 2)
    if number % CROWD:
        points = ", ".join(f"{x + rng.random() * w:.2f}, {y + rng.random() * h:.2f}" for _ in range(POINTS))
        mask, crowd = f"[[{points}]]", 0
    else:
        counts = ", ".join(str(rng.randrange(500)) for _ in range(3 * POINTS))
        mask, crowd = f'{{"counts": [{counts}], "size": [{height}, {width}]}}', 1
    return (
        f'{{"segmentation": {mask}, "area": {w * h * 0.6:.4f}, "iscrowd": {crowd}, "image_id": {image}, '
        f'"bbox": [{x}, {y}, {w}, {h}], "category_id": {category}, "id": {number + 1}}}'
    )


def write_voc(folder: Path, files: int, seed: int = 0) -> None:
    """Writes `Annotations/*.xml` of VOC2012's shape, without images."""
    rng = random.Random(seed)
    (folder / "Annotations").mkdir(parents=True)
    for number in range(files):
        things = "".join(_object(rng) for _ in range(rng.choice(VOC_OBJECTS)))
        (folder / "Annotations" / f"2012_{number:06d}.xml").write_text(
            f"<annotation>\n\t<folder>VOC2012</folder>\n\t<filename>2012_{number:06d}.jpg</filename>\n\t<source>\n"
            "\t\t<database>The VOC2012 Database</database>\n\t\t<annotation>PASCAL VOC2012</annotation>\n"
            "\t\t<image>flickr</image>\n\t</source>\n\t<size>\n\t\t<width>500</width>\n\t\t<height>375</height>\n"
            f"\t\t<depth>3</depth>\n\t</size>\n\t<segmented>0</segmented>\n{things}</annotation>\n",
            encoding="utf-8",
        )


def _object(rng: random.Random) -> str:
    x, y = rng.randint(1, 300), rng.randint(1, 200)
    return (
        f"\t<object>\n\t\t<name>class {rng.randint(1, 20)}</name>\n\t\t<pose>Unspecified</pose>\n"
        "\t\t<truncated>0</truncated>\n\t\t<difficult>0</difficult>\n\t\t<bndbox>\n"
        f"\t\t\t<xmin>{x}</xmin>\n\t\t\t<ymin>{y}</ymin>\n\t\t\t<xmax>{x + rng.randint(5, 190)}</xmax>\n"
        f"\t\t\t<ymax>{y + rng.randint(5, 170)}</ymax>\n\t\t</bndbox>\n\t</object>\n"
    )


if __name__ == "__main__":
    write_train2017(Path(sys.argv[1]))
