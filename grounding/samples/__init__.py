"""Samples: the type, its files in both styles, the dataset folder, the images. Knows no model and no annotations."""

from __future__ import annotations

from grounding.samples.atomic import atomic_path, share_files, write_json_atomic, write_text_atomic
from grounding.samples.conversations import from_conversation, is_cogvlm_folder, read_cogvlm_folder, to_conversation
from grounding.samples.image_presence import check_images
from grounding.samples.images import (
    DECODING_ERRORS,
    ImageNotThere,
    LinkedOutside,
    image_key,
    image_size,
    open_image,
    resolve_image,
    small_grey,
    to_rgb,
)
from grounding.samples.jsonl import (
    Style,
    lines_of_file,
    open_samples,
    pair_lines,
    read_samples,
    sound,
    write_lines,
    write_samples,
)
from grounding.samples.lines import Lines, ids_of, pick
from grounding.samples.manifest import Dataset, Manifest, open_dataset, read_dataset, read_manifest, write_manifest
from grounding.samples.overlap import shared_images
from grounding.samples.sample import LANGUAGES, TASKS, Lang, Sample, Task, problems

__all__ = [
    "DECODING_ERRORS",
    "LANGUAGES",
    "TASKS",
    "Dataset",
    "ImageNotThere",
    "Lang",
    "Lines",
    "LinkedOutside",
    "Manifest",
    "Sample",
    "Style",
    "Task",
    "atomic_path",
    "check_images",
    "from_conversation",
    "ids_of",
    "image_key",
    "image_size",
    "is_cogvlm_folder",
    "lines_of_file",
    "open_dataset",
    "open_image",
    "open_samples",
    "pair_lines",
    "pick",
    "problems",
    "read_cogvlm_folder",
    "read_dataset",
    "read_manifest",
    "read_samples",
    "resolve_image",
    "share_files",
    "shared_images",
    "small_grey",
    "sound",
    "to_conversation",
    "to_rgb",
    "write_json_atomic",
    "write_lines",
    "write_manifest",
    "write_samples",
    "write_text_atomic",
]
