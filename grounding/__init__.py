"""Specialise CogVLM grounding models to a domain: convert annotations, fine-tune, and measure localisation honestly."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("grounding")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
