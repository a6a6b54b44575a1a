"""Does a model learn as well from steps in which prompts about one image meet, as from shuffled ones?

    OMP_NUM_THREADS=1 python -m benchmarks.packed_learning [--steps 400] [--seeds 3] [--work DIR]

The embedded model learns the parts of the demo (`grounding/pocket/lora.yaml`, a rate that stays as it is, so that a run
may be read at any time), with `training.pack` and without, and is asked about photographs that it never saw. All else
is the same both ways: data, weights, prompts a step. CPU seconds are those of the optimiser steps, images included, and
not of the evaluations.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from benchmarks.timing import report
from data_tools.convert import Options, convert
from grounding.cli.demo import RECIPE
from grounding.cli.finetune import make_evaluate
from grounding.errors import InputError
from grounding.evaluation.baselines import baselines
from grounding.evaluation.protocols import DEFAULT
from grounding.evaluation.scored import gather_truth
from grounding.models.cogvlm import CogVLMProcessor
from grounding.pocket.domain import write_photos
from grounding.samples import Dataset, Sample, read_dataset
from grounding.settings import FinetuneSettings, read_settings
from grounding.training.run import run

PHOTOS, UNSEEN, ABSENT = 600, 150, 2.0  # photographs to learn and to be asked about; absent classes for each present
WAYS = {"shuffled": False, "packed": True}
SHOWN = ("loss", "acc_50", "grec_50", "mean_iou", "not_found_f1")

Point = dict[str, float]
"""What a run had come to: `prompts` learned, `cpu_s` taken, and what the evaluation found."""


def write_data(folder: Path) -> None:
    """`train.jsonl` and, about other photographs, `val.jsonl`, as `grounding convert` makes them."""
    options = Options(format="coco", ratios=(1, 0, 0), negatives=ABSENT, langs=("en", "zh"), check_images=True)
    for seed, (name, photos) in enumerate({"train": PHOTOS, "val": UNSEEN}.items()):
        write_photos(folder / "photos" / name, "coco", photos, seed=seed)
        source = folder / "photos" / name
        images = replace(options, images=source / "images")
        convert([("train", source / "instances.json")], folder / name, images)


def settings_of(data: Path, output: Path, *, pack: bool, seed: int, steps: int, every: int) -> FinetuneSettings:
    """The demo's settings, for these data."""
    words = {
        "output": output,
        "data.train": data / "train" / "train.jsonl",
        "data.val": data / "val" / "train.jsonl",
        "training.pack": str(pack).lower(),
        "training.seed": seed,
        "training.schedule": "constant",
        "training.max_steps": steps,
        "evaluation.every": every,
        "evaluation.samples": 1_000_000,
        "evaluation.batch": 64,
        "evaluation.max_new_tokens": 96,
        "evaluation.keep_checkpoints": 1,
    }
    return read_settings(RECIPE, [f"{key}={value}" for key, value in words.items()])


class _Clock:
    """CPU seconds of optimiser steps: from the end of one, or of an evaluation, to the end of the next."""

    def __init__(self) -> None:
        self.seconds, self.mark, self.steps = 0.0, time.process_time(), 0

    def step_ended(self, *_: object) -> None:
        now = time.process_time()
        self.seconds, self.mark, self.steps = self.seconds + now - self.mark, now, self.steps + 1


def learn(settings: FinetuneSettings) -> list[Point]:
    """Train as the settings say; a point for each evaluation."""
    clock, times = _Clock(), {}

    def factory(processor: CogVLMProcessor, dataset: Dataset, progress: Callable[[int], None]) -> Any:
        evaluate = make_evaluate(
            processor,
            dataset,
            batch_size=settings.evaluation.batch,
            max_new_tokens=settings.evaluation.max_new_tokens,
            progress=progress,
        )

        def timed(model: Any) -> dict[str, float]:
            times[clock.steps] = clock.seconds
            found = evaluate(model)
            clock.mark = time.process_time()
            return found

        clock.mark = time.process_time()  # the data are read and checked
        return timed

    hook = register_optimizer_step_post_hook(clock.step_ended)
    try:
        run(settings, evaluate_factory=factory, say=lambda _: None)
    finally:
        hook.remove()
    log = (Path(settings.output) / "train_log.jsonl").read_text(encoding="utf-8").splitlines()
    found = [entry for entry in map(json.loads, log) if "eval_loss" in entry]
    return [
        {
            "prompts": entry["step"] * settings.training.effective_batch,
            "cpu_s": times[entry["step"]],
            **{name: entry[f"eval_{name}"] for name in SHOWN if f"eval_{name}" in entry},
        }
        for entry in found
    ]


def at(points: Sequence[Point], axis: str, value: float) -> Point:
    """What a run had come to at so many prompts or CPU seconds, between two evaluations on a straight line.

    Raises:
        InputError: it was not evaluated before and behind.
    """
    places = [point[axis] for point in points]
    if not places[0] <= value <= places[-1] + 1e-9:
        raise InputError(f"the run was evaluated from {places[0]:.4g} to {places[-1]:.4g} {axis}, not at {value:.4g}.")
    return {name: float(np.interp(value, places, [point[name] for point in points])) for name in points[0]}


def compared(curves: Mapping[str, Sequence[Sequence[Point]]]) -> dict[str, dict[str, float]]:
    """Both ways at the last prompt of all runs, and at the CPU time at which the faster one was there; over the seeds.

    Args:
        curves: of each way its runs, one a seed, in the same order.
    """
    rows: dict[str, dict[str, float]] = {}
    ends = [min(runs, key=lambda points: points[-1]["cpu_s"])[-1] for runs in zip(*curves.values(), strict=True)]
    for name, axis in (("equal prompts", "prompts"), ("equal CPU time", "cpu_s")):
        for way, runs in curves.items():
            reached = [at(points, axis, end[axis]) for points, end in zip(runs, ends, strict=True)]
            row = {}
            for key in reached[0]:
                values = [point[key] for point in reached]
                row[key] = statistics.mean(values)
                if key in SHOWN:
                    row[f"{key}_sd"] = statistics.stdev(values) if len(values) > 1 else 0.0
            rows[f"{name}, {way}"] = row
    return rows


def without_looking(samples: Sequence[Sample]) -> dict[str, float]:
    """What the one box that fits best gets, and never finding anything."""
    found = baselines(gather_truth(samples), DEFAULT)
    return {f"{name} {key}": found[name][key]["value"] for name in found for key in ("acc_50", "grec_50")}


@click.command()
@click.option("--steps", default=400, show_default=True, help="Optimiser steps of each run.")
@click.option("--every", default=80, show_default=True, help="Steps between two evaluations.")
@click.option("--seeds", default=3, show_default=True, help="Runs each way.")
@click.option("--work", type=click.Path(path_type=Path), help="Keep data and runs in this folder; done ones are read.")
def main(steps: int, every: int, seeds: int, work: Path | None) -> None:
    """Train each way with each seed and write benchmarks/results/packed_learning.json."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = work or Path(temporary)
        if not (folder / "data").exists():
            write_data(folder / "data")
        data = {name: read_dataset(folder / "data" / name / "train.jsonl").samples for name in ("train", "val")}
        curves: dict[str, list[list[Point]]] = {way: [] for way in WAYS}
        for seed in range(seeds):
            for way, pack in WAYS.items():
                done = folder / f"{way}-{seed}.json"
                if not done.exists():
                    output = folder / f"run-{way}-{seed}"
                    made = settings_of(folder / "data", output, pack=pack, seed=seed, steps=steps, every=every)
                    done.write_text(json.dumps(learn(made)), encoding="utf-8")
                points = json.loads(done.read_text(encoding="utf-8"))
                click.echo(f"{way}, seed {seed}: {points[-1]}")
                curves[way].append(points)
    report(
        "packed_learning",
        "The embedded model on the demo's parts, asked about unseen photographs: packed steps and shuffled ones",
        {
            "config": RECIPE.name,
            "steps": steps,
            "prompts_a_step": read_settings(RECIPE, ["data.train=x.jsonl", "output=x"]).training.effective_batch,
            "seeds": seeds,
            "photographs": {"train": PHOTOS, "val": UNSEEN},
            "prompts": {name: len(data[name]) for name in data},
            "threads": torch.get_num_threads(),
            "without_looking": without_looking(data["val"]),
            "curves": curves,
        },
        compared(curves),
        ("torch", "transformers"),
    )


if __name__ == "__main__":
    main()
