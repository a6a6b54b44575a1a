"""How well does the embedded model ground? 1,000 scenes that nothing was chosen by, English and Chinese apart.

Each class of a scene is asked for once, and as many that are not there, half of them near misses; wordings are drawn
from all that `grounding convert` has. The best constant box, chosen on these very scenes, stands beside.

    python -m benchmarks.pocket
"""

from __future__ import annotations

import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.timing import RESULTS
from grounding.evaluation.evaluate import evaluate
from grounding.evaluation.predict import predict
from grounding.models.loading import load_model
from grounding.pocket import checkpoint_folder
from grounding.pocket.folder import Drawing, write_drawing
from grounding.pocket.questions import Asking
from grounding.samples import LANGUAGES, read_dataset, write_json_atomic

HELD_OUT_SEED = 20_000_003
MAX_NEW_TOKENS = 96


def rates(metrics: dict[str, Any]) -> dict[str, Any]:
    """The headline of a report's metrics, with 95 % intervals."""
    return {
        "n": metrics["n"],
        "acc_50": metrics["acc_50"],
        "grec_50": metrics["grec_50"],
        "mean_iou": metrics["mean_iou"],
        "not_found_f1": metrics["not_found"]["f1"],
        "hallucination_rate": metrics["hallucination_rate"],
        "miss_rate": metrics["miss_rate"],
        "unparsable_rate": metrics["unparsable"]["rate"],
    }


def measure(model: Path, scenes: int, seed: int, folder: Path) -> dict[str, Any]:
    """Draws the scenes into a folder, answers all questions about them and scores the answers."""
    write_drawing(folder, Drawing(scenes, seed), {"full": Asking()})
    dataset = read_dataset(folder / "full.jsonl")
    loaded = load_model(model, dtype="float32", device="cpu", attention="sdpa")
    begun = time.process_time()
    answers = predict(
        loaded.model,  # type: ignore[arg-type]
        loaded.processor,
        dataset,
        folder / "predictions.jsonl",
        fingerprint="held_out",
        batch_size=64,
        max_new_tokens=MAX_NEW_TOKENS,
    )
    answering = time.process_time() - begun
    table: dict[str, Any] = {}
    for name in ("all", *LANGUAGES):
        both = [pair for pair in zip(dataset.samples, answers, strict=True) if name in ("all", pair[0].lang)]
        metrics = evaluate([one for one, _ in both], [one for _, one in both], not_found=dataset.not_found).metrics
        table[name] = rates(metrics)
        table[f"{name}, best constant box"] = rates(metrics["baselines"]["constant_best_box"])
    parameters = sum(one.numel() for one in loaded.model.parameters())
    return {"results": table, "answering_cpu_s": answering, "parameters": parameters}


def show(table: dict[str, Any]) -> None:
    """Prints the table, each rate with its interval."""
    columns = [key for key in table["all"] if key != "n"]
    shown = Table("", "n", *columns, title="The embedded model on held-out scenes")
    for name, row in table.items():
        cells = [f"{row[key]['value']:.3f} [{row[key]['ci95'][0]:.3f}, {row[key]['ci95'][1]:.3f}]"
                 if row[key]["value"] is not None else "-" for key in columns]  # fmt: skip
        shown.add_row(name, str(row["n"]), *cells)
    Console(width=200).print(shown)


@click.command()
@click.option("--model", type=click.Path(path_type=Path, exists=True), default=None, help="Instead of the embedded.")
@click.option("--scenes", type=int, default=1000, show_default=True)
@click.option("--seed", type=int, default=HELD_OUT_SEED, show_default=True, help="Another one to choose recipes by.")
@click.option("--save/--no-save", default=True, show_default=True, help="Write benchmarks/results/pocket.json.")
def command(model: Path | None, scenes: int, seed: int, save: bool) -> None:
    """Measure the embedded model, or another one, on drawn scenes."""
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(model or checkpoint_folder(), scenes, seed, Path(folder) / "scenes")
    show(measured["results"])
    if save:
        packages = {name: version(name) for name in ("torch", "transformers")}
        machine = {"python": platform.python_version(), "machine": platform.machine()}
        settings = {"scenes": scenes, "seed": seed, "max_new_tokens": MAX_NEW_TOKENS}
        RESULTS.mkdir(exist_ok=True)
        write_json_atomic(
            RESULTS / "pocket.json", {"settings": settings, "machine": machine, "versions": packages, **measured}
        )


if __name__ == "__main__":
    command()
