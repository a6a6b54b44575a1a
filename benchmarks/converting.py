"""How fast are annotations converted? A COCO file the size of val2017, beside json and pycocotools reading it.

The other two only parse: no check, no prompt, no file is written by them.

    python -m benchmarks.converting
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import tempfile
from pathlib import Path

from pycocotools.coco import COCO

from benchmarks.timing import report, side_by_side
from data_tools.convert import Options, convert
from data_tools.readers.coco import read_coco

IMAGES, BOXES, CLASSES = 5000, 36_000, 80


def write_annotations(path: Path, seed: int = 0) -> None:
    """Random boxes with polygons, as many as in val2017."""
    rng = random.Random(seed)
    annotations = []
    for number in range(1, BOXES + 1):
        x, y, w, h = rng.uniform(0, 440), rng.uniform(0, 280), rng.uniform(8, 200), rng.uniform(8, 200)
        annotations.append(
            {
                "id": number,
                "image_id": rng.randint(1, IMAGES),
                "category_id": rng.randint(1, CLASSES),
                "bbox": [x, y, w, h],
                "area": w * h,
                "iscrowd": 0,
                "segmentation": [[rng.uniform(0, 640) for _ in range(40)]],
            }
        )
    images = [{"id": n, "file_name": f"{n:012d}.jpg", "width": 640, "height": 480} for n in range(1, IMAGES + 1)]
    categories = [{"id": n, "name": f"class {n}"} for n in range(1, CLASSES + 1)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(document), encoding="utf-8")


def pycocotools_reads(path: Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        COCO(str(path))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "instances.json"
        write_annotations(path)
        options = Options(format="coco", check_images=False)
        results = side_by_side(
            {
                "json.loads": lambda: json.loads(path.read_text(encoding="utf-8")),
                "pycocotools.COCO": lambda: pycocotools_reads(path),
                "read_coco": lambda: read_coco(path),
                "grounding convert, whole": lambda: convert([(None, path)], Path(folder) / "out", options),
            },
            rounds=3,
        )
        settings = {"images": IMAGES, "boxes": BOXES, "megabytes": round(path.stat().st_size / 1e6, 1)}
    report("converting", "Converting annotations (images not opened)", settings, results, ("msgspec", "pycocotools"))


if __name__ == "__main__":
    main()
