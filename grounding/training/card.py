"""The README.md of an adapter folder: what it was trained on and how it is used, in place of PEFT's empty one.

Knows settings and datasets; it does not know how anything is trained. Of paths that are absolute it shows the last part
alone: a folder that is handed on tells nothing of the machine.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import jinja2
import yaml

import grounding
from grounding.models.cogvlm import CogVLMProcessor
from grounding.models.hub import is_hub_name
from grounding.models.presence import ADAPTER_FILES
from grounding.samples import Dataset
from grounding.settings import FinetuneSettings
from grounding.text import GRID, NOT_FOUND, write_boxes
from grounding.training.choice import SCORE
from grounding.training.run_folder import adapter_folder

CARD_FILE = "README.md"
EXAMPLE = [[55.0, 259.0, 256.0, 365.0]], (640, 480)
"""A box in pixels and the size of its image, to show the form."""


class Describe(Protocol):
    """Writes the card into an adapter's folder, with what the evaluation at a step found, where that is known."""

    def __call__(self, folder: Path, step: int | None = None, metrics: Mapping[str, float] | None = None) -> None: ...


def card_writer(
    settings: FinetuneSettings,
    processor: CogVLMProcessor,
    train: Sequence[Dataset],
    val: Sequence[Dataset],
    asked: Dataset | None,
    leaks: Sequence[str],
) -> Describe:
    """What writes the card of the adapters of a run; data are hashed here, once.

    Args:
        asked: the validation samples that are answered, if any are.
        leaks: sentences to stand beside what they were judged by.
    """
    model = settings.model
    assert model.path is not None  # LoRA on random weights is refused
    base = _shown(model.path)
    quantization = None if model.quantization == "none" else model.quantization
    words = model.tokenizer and _shown(model.tokenizer)
    options = {"tokenizer": words, "quantization": quantization, "rope_dtype": model.rope_dtype}
    facts = {
        "front_matter": yaml.safe_dump(
            {
                **({"base_model": model.path} if is_hub_name(model.path) else {}),
                "library_name": "peft",
                "pipeline_tag": "image-text-to-text",
                "tags": ["cogvlm", "lora", "visual-grounding"],
            }
        ),
        "versions": f"version {grounding.__version__}, peft {version('peft')}, torch {version('torch')}",
        "base": base,
        "revision": model.revision,
        "dtype": model.dtype,
        "quantization": quantization,
        "quantize_tower": model.quantize_tower,
        "start": _start(settings.tuning.start_from),
        "image_size": processor.image_size,
        "template": processor.template_version,
        "prompt": processor.fill_template("QUERY").replace("\n", "\\n"),
        "boxes": write_boxes(*EXAMPLE).text,
        "not_found": sorted({said for data in train for said in (NOT_FOUND | data.not_found).values()}),
        "divisor": GRID.divisor,
        "last": GRID.last,
        "train": [
            _about(data) | {"share": source.share} for data, source in zip(train, settings.data.train, strict=True)
        ],
        "val": _about(val[0]) if val else None,
        "answered": len(asked.samples) if asked else 0,
        "warnings": list(leaks),
        "settings": yaml.safe_dump(_learning(settings), sort_keys=False, default_flow_style=None, allow_unicode=True),
        "options": "".join(f" --{name.replace('_', '-')} {shlex.quote(said)}" for name, said in options.items() if said)
        + (" --quantize-tower" if model.quantize_tower else ""),
        "arguments": "".join(
            f', {name}="{said}"' for name, said in (options | {"revision": model.revision}).items() if said
        )
        + (", quantize_tower=True" if model.quantize_tower else "")
        + f", image_size={processor.image_size}",
    }
    template = _template()

    def describe(folder: Path, step: int | None = None, metrics: Mapping[str, float] | None = None) -> None:
        found = {name.removeprefix("eval_"): value for name, value in (metrics or {}).items() if name != SCORE}
        (folder / CARD_FILE).write_text(template.render(facts, step=step, metrics=found), encoding="utf-8")

    return describe


def no_card(folder: Path, step: int | None = None, metrics: Mapping[str, float] | None = None) -> None:
    """Writes nothing: for a whole model, and for processes other than the first."""


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "templates"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("adapter_card.md.j2")


def _start(named: str | None) -> dict[str, str | None] | None:
    """The adapter that a run began from; without its hash where it is gone, which a run that goes on does not mind."""
    if named is None:
        return None
    folder = adapter_folder(Path(named))
    return {"name": _shown(named), "sha256": _sha256(folder / ADAPTER_FILES[1]) if folder else None}


def _learning(settings: FinetuneSettings) -> dict[str, Any]:
    """How it was learned: no path among it."""
    chosen = settings.model_dump(include={"tuning": True, "training": True, "data": {"flip", "flatten_history"}})
    del chosen["tuning"]["start_from"]
    return chosen


def _about(data: Dataset) -> dict[str, Any]:
    images = {sample.image for sample in data.samples if sample.image is not None}
    return {"name": data.path.name, "samples": len(data.samples), "images": len(images), "sha256": _sha256(data.path)}


def _sha256(path: Path) -> str:
    """Of a file; of a folder, of its label files and their names."""
    if path.is_file():
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    labels = sorted(file for file in path.rglob("*.json") if file.is_file())
    told = "".join(f"{file.relative_to(path).as_posix()} {_sha256(file)}\n" for file in labels)
    return hashlib.sha256(told.encode()).hexdigest()


def _shown(path: str) -> str:
    return Path(path).name if Path(path).is_absolute() else path
