"""The whole line at a billion parameters on the CPU: a sharded checkpoint, two QLoRA steps, merged, the same answers.

    python -m benchmarks.billion [--work DIR]

Once stored and worked in bfloat16, as the published checkpoint is, and once in float32, where merging rounds nothing
and every answer must stay: random weights have near ties, which rounding decides. Everything is random but the line
itself. Prints what each command says, with its peak of anonymous resident memory. Linux only: it reads /proc.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.checkpoints import write_random_checkpoint
from benchmarks.timing import report
from grounding.pocket.scenes import draw_scenes
from grounding.samples import Manifest, Sample, write_manifest, write_samples
from grounding.text import write_boxes

SETTINGS = """output: {work}/run
model: {{path: {work}/base, quantization: nf4, dtype: {dtype}, device: cpu}}
tuning: {{rank: 16, alpha: 32}}
data: {{train: {work}/data/train.jsonl}}
training: {{effective_batch: 1, max_steps: 2, learning_rate: 1e-3, workers: 0, log_every: 1}}
"""


def peak_of(command: list[str]) -> tuple[str, float, float]:
    """What a command says, its peak of anonymous memory in MiB (seen every 20 ms) and its seconds."""
    started, peak = time.perf_counter(), 0
    environment = os.environ | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"), "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=environment)
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            lines = status.read_text().splitlines() if status.exists() else []
            peak = max([peak, *(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))])
            time.sleep(0.02)
        said.seek(0)
        text = said.read()
    if process.returncode:
        raise SystemExit(text)
    return text, peak / 1024, time.perf_counter() - started


def make_data(folder: Path) -> None:
    """Two samples about drawn scenes."""
    folder.mkdir(parents=True)
    samples = []
    for number, scene in enumerate(draw_scenes(2, seed=0, size_wh=(224, 224), objects=(1, 1))):
        scene.image.save(folder / f"{number}.png")
        box = [float(edge) for edge in scene.objects[0].xyxy_px]
        label = write_boxes([box], (224, 224)).text
        frame = {"image": f"{number}.png", "width": 224, "height": 224, "boxes": [box]}
        samples.append(Sample(id=str(number), prompt=f"Where is {scene.objects[0].category}?", label=label, **frame))
    write_samples(folder / "train.jsonl", samples)
    write_manifest(folder / "manifest.json", Manifest(image_root="."))


def lines_of(work: Path) -> dict[str, list[str]]:
    """The commands of the line, by what they do."""
    base, run = str(work / "base"), str(work / "run")
    apart = [str(work / "merged"), "--shard-size", "256MiB", "--no-answers"]
    return {
        "check": ["check", base],
        "finetune": ["finetune", str(work / "settings.yaml")],
        "merge": ["merge", run, "--out", *apart],
        "merge, answers compared": ["merge", run, "--out", str(work / "again")],
        "check merged": ["check", str(work / "merged")],
    }


def walk(work: Path, dtype: str) -> tuple[int, dict[str, dict[str, float]]]:
    """Goes the line in a folder; the number of parameters, and what each command took and how many answers stayed."""
    count = write_random_checkpoint(work / "base", dtype=getattr(torch, dtype))
    make_data(work / "data")
    (work / "settings.yaml").write_text(SETTINGS.format(work=work, dtype=dtype))
    results = {}
    for name, words in lines_of(work).items():
        text, peak, seconds = peak_of([sys.executable, "-m", "grounding", *words])
        print(f"$ grounding {' '.join(words)}\n{text}", flush=True)
        results[f"{dtype}, {name}"] = {"peak_anonymous_mib": peak, "seconds": seconds}
        if answers := re.search(r"Answers: (\d+) of (\d+) are the same", text):
            same, asked = map(int, answers.groups())
            parted = {"same_answers": same, "near_ties": text.count("a near tie"), "prompts": asked}
            results[f"{dtype}, {name}"] |= parted
    return count, results


def main() -> None:
    """Walk the line in a temporary folder (or in --work, which must be empty) and write its numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path)
    given = parser.parse_args().work
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for dtype in ("bfloat16", "float32"):
            folder = (given or Path(temporary)) / dtype
            folder.mkdir()
            count, taken = walk(folder, dtype)
            results |= taken
    report(
        "billion",
        f"{count:,} parameters on the CPU: check, two QLoRA steps, merge",
        {"parameters": count, "shards_mib": 256, "quantization": "nf4"},
        results,
        ("torch", "transformers", "peft", "bitsandbytes"),
    )


if __name__ == "__main__":
    main()
