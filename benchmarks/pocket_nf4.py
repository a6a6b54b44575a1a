"""Does the demo's recipe learn as well on a base held in 4 bits? The same data, seed and settings, nf4 beside float32.

    grounding demo --out runs/demo
    python -m benchmarks.pocket_nf4 runs/demo

The float32 figures are those of the demo; the nf4 ones are run here, into the same folder. Knows reports, not models.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from benchmarks.timing import report
from grounding.cli.demo import ANSWERS, MODEL, RECIPE
from grounding.cli.stages import run_command
from grounding.errors import InputError
from grounding.pocket import checkpoint_folder
from grounding.settings import read_settings

TEST_SETS = {"parts": "data/voc/test.jsonl", "general": "data/general/general.jsonl"}


def run_nf4(demo: Path) -> None:
    """The demo's measurements and its run with replay, the decoder's frozen weights in nf4; what is there stays."""
    told = read_settings(demo / "runs/after/settings.yaml")
    sources = json.dumps([source.model_dump(exclude_none=True) for source in told.data.train])
    adapter = demo / "runs/nf4/adapter"
    if not adapter.exists():
        words = ["finetune", RECIPE, f"data.train={sources}", f"output={adapter.parent}", "model.quantization=nf4"]
        run_command([*words, f"training.seed={told.training.seed}"], demo / "logs/finetune-nf4.txt")
    for data, file in TEST_SETS.items():
        for name, tuned in (("before", []), ("after", ["--adapter", adapter])):
            out = demo / f"reports/nf4-{name}-{data}"
            words = ["benchmark", "--data", demo / file, "--out", out, "--model", MODEL, *ANSWERS, *tuned]
            if not (out / "report.html").exists():
                run_command([*words, "--quantization", "nf4"], demo / f"logs/benchmark-nf4-{name}-{data}.txt")


def figures(demo: Path, prefix: str) -> dict[str, float]:
    """The measures of one base and state, on parts and on general scenes."""
    parts, general = (
        json.loads((demo / f"reports/{prefix}-{data}/report.json").read_text("utf-8"))["metrics"] for data in TEST_SETS
    )
    low, high = parts["acc_50"]["ci95"]
    return {
        "acc_50": parts["acc_50"]["value"],
        "low": low,
        "high": high,
        "grec_50": parts["grec_50"]["value"],
        "mean_iou": parts["mean_iou"]["value"],
        "not_found_f1": parts["not_found"]["f1"]["value"],
        "general_acc_50": general["acc_50"]["value"],
    }


@click.command()
@click.argument("demo", type=click.Path(path_type=Path, file_okay=False))
def command(demo: Path) -> None:
    """Compare nf4 with float32 in DEMO, the folder of a finished demo."""
    if not (demo / "summary.json").is_file():
        raise InputError("is no folder of a finished demo.", where=str(demo), fix="Run `grounding demo` first.")
    run_nf4(demo)
    rows = {
        f"{base}, {state}": figures(demo, f"{prefix}{state}")
        for base, prefix in (("float32", ""), ("nf4", "nf4-"))
        for state in ("before", "after")
    }
    settings = {
        "recipe": read_settings(demo / "runs/after/settings.yaml").model_dump(exclude={"output", "data"}),
        "checkpoint_bytes": (checkpoint_folder() / "model.safetensors").stat().st_size,
        "test_questions": {
            data: json.loads((demo / f"reports/after-{data}/report.json").read_text("utf-8"))["metrics"]["n"]
            for data in TEST_SETS
        },
    }
    question = "LoRA on a base in nf4 and in float32: the same recipe, data and seed, measured on parts on a workbench"
    report("pocket_nf4", question, settings, rows, ("torch", "bitsandbytes", "peft"))


if __name__ == "__main__":
    command()
