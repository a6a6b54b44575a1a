"""Samples -> one parquet file through `datasets`, a row a sample, with the keys of a Sample as typed columns.

Needs the optional extra `grounding[parquet]`. Rows go to the file in batches: a set may be larger than the memory. With
`image_root` a last column `picture` holds the image files themselves (`datasets.Image`), so that the file can go where
the images cannot; an image then stands there once for each of its samples. Knows no annotation.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from grounding.errors import InputError
from grounding.samples import Sample, atomic_path, resolve_image, sound
from grounding.samples.sample import KEYS

PICTURE = "picture"


def write_parquet(
    path: Path, samples: Iterable[Sample], image_root: Path | None = None, follow_links: bool = False
) -> None:
    """Writes the file under a temporary name first.

    Args:
        path: of the file.
        samples: ids must be unique.
        image_root: where the images are, if they shall be in the file.
        follow_links: allow symbolic links that lead out of the image root.

    Raises:
        InputError: `datasets` is not installed; a sample could not be read again; an image is not there.
        RunError: the file cannot be written.
    """
    try:
        from datasets import Features, Image, List, Value
        from datasets.arrow_writer import ParquetWriter
    except ImportError as error:
        raise InputError(
            f"datasets cannot be imported: {error}", where="parquet", fix="Install it: pip install 'grounding[parquet]'"
        ) from error

    text, size, box = Value("string"), Value("int32"), List(Value("float64"))
    special = {
        **dict.fromkeys(("width", "height"), size),
        **dict.fromkeys(("boxes", "ignore"), List(box)),
        "categories": List(text),
        "upright": Value("bool"),
        "history": List(List(text)),
    }
    columns = {key: special.get(key, text) for key in KEYS}
    if image_root is not None:
        columns[PICTURE] = Image()
    with atomic_path(Path(path)) as temporary, ParquetWriter(path=str(temporary), features=Features(columns)) as writer:
        for sample in sound(samples):
            row: dict[str, Any] = {key: getattr(sample, key) for key in KEYS}
            if image_root is not None:
                row[PICTURE] = _picture(image_root, sample, follow_links)
            writer.write(row)
        writer.finalize()


def _picture(image_root: Path, sample: Sample, follow_links: bool) -> dict[str, Any] | None:
    """The bytes of a sample's image file as `datasets.Image` has them."""
    if sample.image is None:
        return None
    file = resolve_image(image_root, sample.image, follow_links, where=f"sample {sample.id!r}")
    return {"path": sample.image, "bytes": file.read_bytes()}
