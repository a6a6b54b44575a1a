"""Samples -> LLaMA-Factory's JSON Lines in its sharegpt form, with the images of a line as a list of paths.

`conversations` alternate between human and gpt, and hold one <image> for each path of `images` (data/README.md,
"Sharegpt Format", "Multimodal Image Dataset", at commit 2ad9871; src/llamafactory/data/converter.py at 908cd68, 2025).
Boxes stay in the words of the label. Earlier turns come first, and are trained too unless `mask_history` is set there.
Knows no dataset_info.json: docs/formats.md has the entry.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from grounding.samples import Sample, write_lines

IMAGE = "<image>"
RESERVED = (IMAGE, "<video>", "<audio>")  # what LLaMA-Factory counts against the lists of files


def to_line(sample: Sample) -> dict[str, Any]:
    """The sample as a line; an image is asked about in the first turn."""
    turns = [*sample.history, (sample.prompt, sample.label)]
    messages = [
        {"from": speaker, "value": text} for turn in turns for speaker, text in zip(("human", "gpt"), turn, strict=True)
    ]
    if sample.image is not None:
        messages[0]["value"] = f"{IMAGE}\n{messages[0]['value']}"
    return {"conversations": messages, "images": [] if sample.image is None else [sample.image]}


def write_llama_factory(path: Path, samples: Iterable[Sample]) -> None:
    """Writes one line a sample, paths from the image root (LLaMA-Factory's `media_dir`).

    Raises InputError and RunError as `write_lines`.
    """
    write_lines(path, samples, to_line)
