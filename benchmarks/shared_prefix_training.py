"""How much faster, and in how much less memory, do prompts train that share their image in one row?

    OMP_NUM_THREADS=2 python -m benchmarks.shared_prefix_training speed [--patches 256] [--patches 1225] [--rounds 3]
    OMP_NUM_THREADS=2 python -m benchmarks.shared_prefix_training memory
    OMP_NUM_THREADS=2 python -m benchmarks.shared_prefix_training real

A decoder and tower of 93 million random weights, one picture of noise, prompts of 64 tokens of which the last 32 are
labels; forward and backward in float32, all parameters learn, no optimiser. The contender to beat is CogVLM's published
way (`benchmarks/published_way.py`), checked here to have the same loss and gradients.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor

from benchmarks import published_way
from benchmarks.timing import report, side_by_side
from grounding.models.cogvlm import CogVLMConfig, CogVLMForCausalLM
from grounding.training.steps import step_sizes, together

PACKAGES = ("torch", "transformers")
TEXT, LABELS = 64, 32
SIDES = {256: 224, 1225: 490}
"""Patches of a picture to its side in pixels."""
MODEL: dict[str, Any] = {
    "vocab_size": 32000,
    "hidden_size": 512,
    "intermediate_size": 1408,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "rms_norm_eps": 1e-5,
}
TOWER = {"hidden_size": 256, "intermediate_size": 1024, "num_heads": 4, "num_hidden_layers": 8, "patch_size": 14}
TARGETS = {(256, 1): 1.2, (256, 8): 5.0, (256, 16): 6.5, (1225, 1): 1.2, (1225, 8): 7.0, (1225, 16): 10.0}
"""The speed-up wanted for so many patches and prompts."""
PUBLISHED_SECONDS = {(256, 1): 0.835, (256, 8): 7.005, (256, 16): 14.345, (1225, 1): 3.431, (1225, 8): 28.131}
"""What the published code itself took, two threads of an Intel Xeon at 2.5 GHz, seconds by the clock."""

# Prompts an image -> images, as `grounding convert` makes them with its defaults: 46 images of COCO 2017, 80 of BCCD.
HISTOGRAMS = {
    "coco": {1: 1, 2: 8, 3: 7, 4: 5, 5: 7, 6: 7, 7: 3, 8: 2, 9: 3, 10: 1, 11: 1, 12: 1},
    "bccd": {2: 2, 3: 78},
}
EFFECTIVE_BATCH = 16


def make_model(patches: int) -> CogVLMForCausalLM:
    """The 93-million-parameter model in training mode, drawn from seed 0."""
    torch.manual_seed(0)
    config = CogVLMConfig(**MODEL, vision_config={**TOWER, "image_size": SIDES[patches]})
    return CogVLMForCausalLM(config).train()


def make_rows(model: CogVLMForCausalLM, prompts: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The same prompts about one picture: packed into one row, and as a batch of sequences."""
    draw = torch.Generator().manual_seed(0)
    side, prefix = model.config.vision.image_size, 1 + model.config.image_token_count
    texts = torch.randint(3, model.config.vocab_size, (prompts, TEXT), generator=draw)
    image = torch.randn(1, 3, side, side, generator=draw)
    begin = torch.zeros(prompts, prefix, dtype=torch.long)
    begin[:, 0] = 1
    types = torch.zeros(prompts, prefix + TEXT, dtype=torch.long)
    types[:, 1:prefix] = 1
    text_labels = texts.clone()
    text_labels[:, : TEXT - LABELS] = -100
    apart = {
        "input_ids": torch.cat([begin, texts], dim=1),
        "token_type_ids": types,
        "labels": torch.cat([torch.full_like(begin, -100), text_labels], dim=1),
        "pixel_values": image.expand(prompts, -1, -1, -1),
    }
    branches = torch.arange(1, prompts + 1).repeat_interleave(TEXT)
    packed = {
        "input_ids": torch.cat([begin[0], texts.flatten()])[None],
        "token_type_ids": torch.cat([types[0, :prefix], torch.zeros_like(branches)])[None],
        "labels": torch.cat([torch.full((prefix,), -100), text_labels.flatten()])[None],
        "branch_ids": torch.cat([torch.zeros(prefix, dtype=torch.long), branches])[None],
        "pixel_values": image,
    }
    return packed, apart


def published(model: CogVLMForCausalLM, apart: dict[str, Tensor], at_once: int = 1) -> None:
    """The published way: `at_once` sequences a forward and backward, gradients added up."""
    model.zero_grad(set_to_none=True)
    prompts = len(apart["input_ids"])
    for start in range(0, prompts, at_once):
        batch = {name: values[start : start + at_once] for name, values in apart.items()}
        (published_way.forward(model, **batch) * (at_once / prompts)).backward()


def shared(model: CogVLMForCausalLM, packed: dict[str, Tensor]) -> None:
    """This project's way: one row."""
    model.zero_grad(set_to_none=True)
    loss = model(**packed, label_logits_only=True).loss
    loss.backward()


def gradient_distance(model: CogVLMForCausalLM, one: Callable[[], None], other: Callable[[], None]) -> float:
    """The largest ||difference|| / ||gradient|| over all tensors that have one."""
    one()
    expected = {name: own.grad.clone() for name, own in model.named_parameters() if own.grad is not None}
    other()
    found = {name: own.grad for name, own in model.named_parameters() if own.grad is not None}
    norms = {name: float(value.norm()) for name, value in expected.items()}
    return max(float((found[name] - expected[name]).norm()) / norm for name, norm in norms.items() if norm)


@click.group(help=__doc__)
def main() -> None:
    """One command a question."""


@main.command()
@click.option("--patches", type=click.Choice([256, 1225]), multiple=True, default=(256, 1225))
@click.option("--prompts", type=int, multiple=True, default=(1, 8, 16))
@click.option("--rounds", default=3)
def speed(patches: Sequence[int], prompts: Sequence[int], rounds: int) -> None:
    """The published way and the shared row, turn by turn, for several numbers of prompts."""
    results: dict[str, dict[str, float]] = {}
    for size in patches:
        model = make_model(size)
        for count in prompts:
            packed, apart = make_rows(model, count)
            ours, theirs = lambda: shared(model, packed), lambda: published(model, apart)  # noqa: B023
            distance = gradient_distance(model, theirs, ours)
            figures = side_by_side({"published": theirs, "shared": ours}, rounds=rounds)
            for name, row in figures.items():
                results[f"{size} x {count} {name}"] = {
                    **row,
                    "speed_up": 1 / row["ratio"],
                    "target": TARGETS.get((size, count), 1.0) if name == "shared" else 1.0,
                    "gradient_distance": distance if name == "shared" else 0.0,
                }
    seconds = {f"{size} x {count}": value for (size, count), value in PUBLISHED_SECONDS.items()}
    report(
        f"shared_prefix_training_{'_'.join(map(str, patches))}",
        "Forward and backward of prompts about one picture",
        {**_settings(), "rounds": rounds, "published_code_elsewhere_s": seconds},
        results,
        PACKAGES,
    )


@main.command()
@click.option("--only", type=click.Choice(["published", "shared"]), hidden=True)
def memory(only: str | None) -> None:
    """Peak resident memory above that before the model was made, of 8 prompts, each way in a process of its own."""
    if only is not None:
        click.echo(json.dumps(_peak(only)))
        return
    results = {}
    for name in ("published", "shared"):
        command = [sys.executable, "-m", "benchmarks.shared_prefix_training", "memory", "--only", name]
        finished = subprocess.run(command, check=True, capture_output=True, text=True)
        results[name] = json.loads(finished.stdout.splitlines()[-1])
    first = results["published"]
    for row in results.values():
        row["ratio"] = row["peak_mib"] / first["peak_mib"]
        row["activations_ratio"] = row["activations_mib"] / first["activations_mib"]
    report(
        "shared_prefix_training_memory",
        "Peak memory of 8 prompts about one picture: the published way as one batch, and one shared row",
        {**_settings(), "patches": 256, "target_ratio": 0.5},
        results,
        PACKAGES,
    )


def _peak(name: str) -> dict[str, float]:
    page, mib = resource.getpagesize(), 2**20
    before = int(Path("/proc/self/statm").read_text().split()[1]) * page / mib
    model = make_model(256)
    packed, apart = make_rows(model, 8)
    for _ in range(2):
        if name == "published":
            published(model, apart, at_once=8)
        else:
            shared(model, packed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before  # Linux counts in KiB
    weights = sum(parameter.numel() for parameter in model.parameters()) * 4 / mib
    return {
        "peak_mib": peak,
        "weights_mib": weights,
        "gradients_mib": weights,
        "activations_mib": peak - 2 * weights,
    }


@main.command()
@click.option("--steps", default=3, help="Optimiser steps that are timed, spread over an epoch.")
@click.option("--rounds", default=1)
def real(steps: int, rounds: int) -> None:
    """Optimiser steps of 16 prompts as an epoch over real data has them, so many prompts an image."""
    model = make_model(256)
    rows = {count: make_rows(model, count) for count in range(1, EFFECTIVE_BATCH + 1)}
    results: dict[str, dict[str, float]] = {}
    for name, histogram in HISTOGRAMS.items():
        counts = _rows_of_steps(histogram, steps)

        def theirs(counts: Sequence[int] = counts) -> None:
            for count in counts:
                published(model, rows[count][1])

        def ours(counts: Sequence[int] = counts) -> None:
            for count in counts:
                shared(model, rows[count][0])

        figures = side_by_side({"published": theirs, "shared": ours}, rounds=rounds)
        mean = sum(count * images for count, images in histogram.items()) / sum(histogram.values())
        for way, row in figures.items():
            results[f"{name}, {way}"] = {
                **row,
                "speed_up": 1 / row["ratio"],
                "prompts_an_image": mean,
                "prompts_a_row": sum(counts) / len(counts),
            }
    report(
        "shared_prefix_training_real",
        "Forward and backward of optimiser steps of 16 prompts at real numbers of prompts an image",
        {**_settings(), "patches": 256, "steps": steps, "rounds": rounds, "histograms": HISTOGRAMS},
        results,
        PACKAGES,
    )


def _rows_of_steps(histogram: dict[int, int], steps: int) -> list[int]:
    """Prompts of each row of some steps, evenly spread over an epoch of such data."""
    sizes = [count for count, images in histogram.items() for _ in range(images)]
    pictures = [picture for picture, count in enumerate(sizes) for _ in range(count)]
    whole = step_sizes(len(pictures), EFFECTIVE_BATCH)
    order = together(np.arange(len(pictures)), pictures, whole, np.random.default_rng(0))
    rows = []
    for number in np.linspace(0, len(pictures) // EFFECTIVE_BATCH - 1, steps).astype(int).tolist():
        start = number * EFFECTIVE_BATCH
        step = [pictures[index] for index in order[start : start + EFFECTIVE_BATCH]]
        rows += [step.count(picture) for picture in dict.fromkeys(step)]
    return rows


def _settings() -> dict[str, Any]:
    return {
        "model": MODEL,
        "tower": TOWER,
        "text_tokens": TEXT,
        "label_tokens": LABELS,
        "threads": torch.get_num_threads(),
        "dtype": "float32",
    }


if __name__ == "__main__":
    main()
