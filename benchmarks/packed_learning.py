"""Does a network learn as well from steps in which prompts about one image meet, as from shuffled ones?

    OMP_NUM_THREADS=1 python -m benchmarks.packed_learning [--steps 1000] [--seeds 3] [--work DIR]

The network of `configs/tiny_cpu.yaml` learns drawn scenes from random weights, with `training.pack` and without, and
answers scenes that it has not seen. A scene has two coloured squares on a coarse lattice, which a network of this size
learns to find within minutes, and four prompts, one a colour: boxes where it is there, the not-found sentence where it
is not. Everything else is the same: data, weights, prompts a step, a rate that stays as it is, so that a run may be
read at any time. CPU seconds are those of the optimiser steps, images included, evaluations not.
"""

from __future__ import annotations

import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from PIL import Image
from torch.optim.optimizer import register_optimizer_step_post_hook

from benchmarks.timing import report
from grounding.cli.finetune import make_evaluate
from grounding.errors import InputError
from grounding.evaluation.baselines import baselines
from grounding.evaluation.protocols import DEFAULT
from grounding.evaluation.scored import gather_truth
from grounding.models.cogvlm import CogVLMProcessor
from grounding.pocket.scenes import COLOURS
from grounding.samples import Dataset, Manifest, Sample, read_dataset, write_manifest, write_samples
from grounding.settings import FinetuneSettings, read_settings
from grounding.text import NOT_FOUND, write_boxes
from grounding.training.run import run

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "tiny_cpu.yaml"
SIDE, SQUARE, STEP = 112, 56, 28
"""Of the picture, of a square, and of the lattice that squares stand on, in pixels."""
WAYS = {"shuffled": False, "packed": True}
SHOWN = ("loss", "acc_50", "grec_50", "mean_iou", "not_found_f1")

Point = dict[str, float]
"""What a run had come to: `prompts` learned, `cpu_s` taken, and what the evaluation found."""


def draw_squares(rng: random.Random) -> tuple[Image.Image, dict[str, list[list[float]]]]:
    """A picture with two squares that do not overlap, and the boxes (xyxy_px) of each colour."""
    places = [(x, y) for y in range(0, SIDE - SQUARE + 1, STEP) for x in range(0, SIDE - SQUARE + 1, STEP)]
    pairs = [(one, other) for one, other in combinations(places, 2) if not _overlap(one, other)]
    image = Image.new("RGB", (SIDE, SIDE), (235, 235, 235))
    boxes: dict[str, list[list[float]]] = {colour: [] for colour in sorted(COLOURS)}
    for x, y in rng.choice(pairs):
        colour = rng.choice(sorted(COLOURS))
        image.paste(COLOURS[colour], (x, y, x + SQUARE, y + SQUARE))
        boxes[colour].append([float(edge) for edge in (x, y, x + SQUARE, y + SQUARE)])
    return image, boxes


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return abs(one[0] - other[0]) < SQUARE and abs(one[1] - other[1]) < SQUARE


def write_data(folder: Path, *, train: int, val: int) -> None:
    """`train.jsonl` and `val.jsonl` over so many pictures each, a prompt for each colour; none of val is in train."""
    folder.mkdir(parents=True)
    seen: set[bytes] = set()
    for split, count in (("val", val), ("train", train)):
        rng, samples, number = random.Random(split), [], 0
        while number < count:
            image, boxes = draw_squares(rng)
            if image.tobytes() in seen:
                continue
            if split == "val":
                seen.add(image.tobytes())
            name, number = f"{split}{number}", number + 1
            image.save(folder / f"{name}.png")
            for colour, found in boxes.items():
                label = write_boxes(found, (SIDE, SIDE)).text if found else NOT_FOUND["en"]
                asked = {"prompt": f"Where is {colour}?", "label": label, "phrase": colour, "boxes": found}
                samples.append(Sample(id=f"{name}/{colour}", image=f"{name}.png", width=SIDE, height=SIDE, **asked))
        write_samples(folder / f"{split}.jsonl", samples)
    write_manifest(folder / "manifest.json", Manifest(image_root="."))


def settings_of(data: Path, output: Path, *, pack: bool, seed: int, steps: int, every: int) -> FinetuneSettings:
    """The shipped settings of the tiny network, for these data."""
    words = {
        "output": output,
        "data.train": data / "train.jsonl",
        "data.val": data / "val.jsonl",
        "training.pack": str(pack).lower(),
        "training.seed": seed,
        "training.schedule": "constant",
        "training.max_steps": steps,
        "evaluation.every": every,
        "evaluation.samples": 1_000_000,
        "evaluation.max_new_tokens": 40,
        "evaluation.keep_checkpoints": 1,
    }
    return read_settings(CONFIG, [f"{key}={value}" for key, value in words.items()])


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
@click.option("--steps", default=1000, show_default=True, help="Optimiser steps of each run, 16 prompts each.")
@click.option("--every", default=125, show_default=True, help="Steps between two evaluations.")
@click.option("--seeds", default=3, show_default=True, help="Runs each way.")
@click.option("--scenes", default=1000, show_default=True, help="To learn from.")
@click.option("--unseen", default=40, show_default=True, help="Scenes to be tested on.")
@click.option("--work", type=click.Path(path_type=Path), help="Keep data and runs in this folder; done ones are read.")
def main(steps: int, every: int, seeds: int, scenes: int, unseen: int, work: Path | None) -> None:
    """Train each way with each seed and write benchmarks/results/packed_learning.json."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = work or Path(temporary)
        if not (folder / "data").exists():
            write_data(folder / "data", train=scenes, val=unseen)
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
        "The tiny network on unseen scenes: packed steps and shuffled ones",
        {
            "config": CONFIG.name,
            "steps": steps,
            "prompts_a_step": 16,
            "seeds": seeds,
            "scenes": scenes,
            "prompts_a_scene": len(COLOURS),
            "unseen_scenes": unseen,
            "threads": torch.get_num_threads(),
            "without_looking": without_looking(read_dataset(folder / "data" / "val.jsonl").samples),
            "curves": curves,
        },
        compared(curves),
        ("torch", "transformers"),
    )


if __name__ == "__main__":
    main()
