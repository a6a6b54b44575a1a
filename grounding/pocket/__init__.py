"""The small things that come with the package, so that the whole line can be tried without a download: a tiny CogVLM
that finds drawn shapes, and what draws them."""

from __future__ import annotations

from importlib import resources
from pathlib import Path


def checkpoint_folder() -> Path:
    """The folder of the embedded checkpoint: weights, config, tokenizer and processor settings, as `load_model` reads
    them."""
    return Path(str(resources.files(__package__) / "checkpoint"))
