"""A tiny CogVLM, drawn scenes as samples, and settings that train the one on the other in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from grounding.pocket.scenes import draw_scenes
from grounding.samples import Manifest, Sample, write_manifest, write_samples
from grounding.settings import FinetuneSettings
from grounding.text import NOT_FOUND, write_boxes
from grounding.training.run import run

ARCHITECTURE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "initializer_range": 0.05,
    "vision_config": {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    },
}
NAMES = ("red circle", "blue square")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in the same order in every run: the laws here are about equal bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def scene_samples(folder: Path, count: int, *, seed: int = 0, prefix: str = "s") -> list[Sample]:
    """One found and one not-found sample for each drawn scene; the pictures are written to `folder/images`."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    samples = []
    for number, scene in enumerate(draw_scenes(count, seed=seed, size_wh=(40, 30), objects=(1, 1))):
        name = f"images/{prefix}{number}.png"
        scene.image.save(folder / name)
        (drawn,) = scene.objects
        box = [float(edge) for edge in drawn.xyxy_px]
        frame: dict[str, Any] = {"image": name, "width": 40, "height": 30}
        samples.append(
            Sample(
                id=f"{prefix}{number}/found",
                prompt=f"Where is {drawn.category}?",
                label=write_boxes([box], (40, 30)).text,
                phrase=drawn.category,
                boxes=[box],
                **frame,
            )
        )
        samples.append(
            Sample(
                id=f"{prefix}{number}/absent",
                prompt="Where is purple star?",
                label=NOT_FOUND["en"],
                phrase="purple star",
                boxes=[],
                **frame,
            )
        )
    return samples


def text_samples(count: int) -> list[Sample]:
    """Samples without an image."""
    return [
        Sample(
            id=f"text{number}",
            image=None,
            width=None,
            height=None,
            prompt=f"Say {number}.",
            label=f"It is {number}.",
            boxes=None,
            task="text",
        )
        for number in range(count)
    ]


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder: train.jsonl (6 samples with images, 2 without), val.jsonl (4), other.jsonl (10 texts)."""
    folder = tmp_path_factory.mktemp("scenes")
    write_samples(folder / "train.jsonl", [*scene_samples(folder, 3), *text_samples(2)])
    write_samples(folder / "val.jsonl", scene_samples(folder, 2, seed=1, prefix="v"))
    write_samples(folder / "other.jsonl", text_samples(10))
    write_manifest(folder / "manifest.json", Manifest(image_root="."))
    return folder


@pytest.fixture
def base(make_settings: MakeSettings, tmp_path: Path) -> Path:
    """A checkpoint to adapt, made by a short full run."""
    settings = make_settings(output=str(tmp_path / "base"), training={"max_steps": 1})
    return run(settings, say=lambda _: None).result


def lora(base: Path, **model: Any) -> dict[str, Any]:
    """Settings that put LoRA on a checkpoint."""
    return {
        "model": {"architecture": None, "path": str(base), **model},
        "tuning": {"method": "lora", "rank": 4, "alpha": 8},
    }


MakeSettings = Callable[..., FinetuneSettings]


@pytest.fixture
def make_settings(scenes: Path, tmp_path: Path) -> MakeSettings:
    """Settings of a run of a few steps; keyword arguments `section={...}` are laid over them."""

    def make(**changes: Any) -> FinetuneSettings:
        base: dict[str, Any] = {
            "output": str(tmp_path / "run"),
            "model": {"architecture": ARCHITECTURE, "tokenizer_size": 320, "dtype": "float32", "device": "cpu"},
            "tuning": {"method": "full"},
            "data": {"train": str(scenes / "train.jsonl"), "val": str(scenes / "val.jsonl")},
            "training": {
                "learning_rate": 3e-3,
                "effective_batch": 4,
                "micro_batch": 2,
                "workers": 0,
                "gradient_checkpointing": False,
                "log_every": 1,
            },
            "evaluation": {"samples": 4, "batch": 4, "max_new_tokens": 4},
        }
        for name, value in changes.items():
            base[name] = base[name] | value if isinstance(value, dict) else value
        return FinetuneSettings.model_validate(base)

    return make
