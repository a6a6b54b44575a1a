"""Makes the embedded model from nothing: draws, trains tower and decoder apart, then the whole by `grounding finetune`.

    python -m grounding.pocket.make runs/pocket

Each stage leaves its result in the folder; started again, the making goes on where it was stopped. Everything that is
chosen stands in `making.yaml`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import torch
import yaml

from grounding.errors import RunError
from grounding.models.loading import LoadedModel, build_model, load_model
from grounding.models.tokenizers import load_tokenizer
from grounding.pocket import checkpoint_folder
from grounding.pocket.folder import Drawing, read_drawing, write_drawing
from grounding.pocket.looking import LookingSettings, train_looking
from grounding.pocket.questions import Asking
from grounding.pocket.tower import (
    TowerSettings,
    Views,
    patch_targets,
    set_positions,
    to_pixel_values,
    train_tower,
)
from grounding.pocket.vocabulary import make_tokenizer
from grounding.samples import atomic_path, read_samples, write_samples

MAKING = Path(__file__).with_name("making.yaml")


def draw(out: Path, making: Mapping[str, Any]) -> None:
    """All scenes, each set in `out/data/NAME`."""
    for name, settings in making["drawings"].items():
        asking = {file: Asking(**way) for file, way in settings["asking"].items()}
        drawing = Drawing(**{key: value for key, value in settings.items() if key != "asking"})
        write_drawing(out / "data" / name, drawing, asking)


def fresh(out: Path, making: Mapping[str, Any]) -> LoadedModel:
    """The model before any training, with its tokenizer, which is kept in `out/tokenizer`."""
    if not (out / "tokenizer").exists():
        make_tokenizer(making["tokenizer_size"]).save_pretrained(out / "tokenizer.unfinished")
        (out / "tokenizer.unfinished").rename(out / "tokenizer")
    return build_model(
        making["architecture"],
        load_tokenizer(out / "tokenizer"),
        seed=making["seed"],
        device="cpu",
        # Written-out attention in bfloat16 is the fastest there is for these few tokens on a CPU.
        attention="eager",
    )


def scale_inputs(model: torch.nn.Module, *, words: float, patches: float) -> None:
    """Multiplies the fresh word vectors and what the projector gives.

    Drawn as small as matrices are, a word is drowned by what the first layer adds to it, and nothing behind that layer
    can look for it in the picture.
    """
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(words)
        model.model.vision.linear_proj.dense_4h_to_h.weight.mul_(patches)


def views(path: Path, patches: int, most: int | None = None) -> Views:
    """The pictures of a drawn set and what their patches show, `patches` to a side."""
    pictures, objects = read_drawing(path, most)
    size_wh = pictures.shape[2], pictures.shape[1]
    return Views(torch.from_numpy(pictures), torch.stack([patch_targets(one, size_wh, patches) for one in objects]))


def tower_stage(out: Path, making: Mapping[str, Any]) -> Path:
    """The checkpoint whose tower has learned and whose decoder has not, in `out/tower`."""
    folder = out / "tower"
    if folder.exists():
        return folder
    loaded = fresh(out, making)
    tower, config = loaded.model.model.vision, loaded.model.config
    settings = dict(making["tower"])
    data = settings.pop("data")
    patches = config.vision.image_size // config.vision.patch_size
    set_positions(tower)
    found = train_tower(
        tower,
        config.hidden_size,
        views(out / "data" / data, patches),
        views(out / "data/val/bare.jsonl", patches),
        TowerSettings(**settings),
        lambda line: note(out, line),
    )
    note(out, f"tower done {found}")
    scale_inputs(loaded.model, **making["input_scales"])
    write_checkpoint(loaded, folder)
    return folder


def looking_stage(out: Path, making: Mapping[str, Any], start: Path) -> Path:
    """The checkpoint whose decoder knows what to look for and not yet how to say where, in `out/looking`."""
    folder = out / "looking"
    if folder.exists():
        return folder
    loaded = load_model(start, dtype="float32", device="cpu", attention="eager")
    settings = dict(making["looking"])
    pictures, objects = read_drawing(out / "data" / settings.pop("data"), settings.pop("scenes"))
    vectors = image_vectors(loaded.model.model.vision, torch.from_numpy(pictures))
    train_looking(
        loaded.model, loaded.processor, vectors, objects, LookingSettings(**settings), lambda line: note(out, line)
    )
    write_checkpoint(loaded, folder)
    return folder


@torch.no_grad()
def image_vectors(tower: torch.nn.Module, pixels: torch.Tensor, batch: int = 100) -> torch.Tensor:
    """uint8[n, S, S, 3] -> float32[n, P + 2, D], what the tower gives."""
    with torch.autocast("cpu", torch.bfloat16):
        return torch.cat([tower(to_pixel_values(part)).float() for part in pixels.split(batch)])


def write_checkpoint(loaded: LoadedModel, folder: Path) -> None:
    """Model and processor in the published layout; the folder is there only when it is whole."""
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    loaded.model.save_pretrained(str(unfinished))
    loaded.processor.save_pretrained(unfinished)
    unfinished.rename(folder)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Settings laid over others, section by section."""
    both = {**below, **above}
    for key in below.keys() & above.keys():
        if isinstance(below[key], Mapping) and isinstance(above[key], Mapping):
            both[key] = merged(below[key], above[key])
    return both


def piece_settings(out: Path, making: Mapping[str, Any], piece: Mapping[str, Any], start: Path) -> dict[str, Any]:
    """The settings of one run of `grounding finetune`, from the weights in `start`."""
    own = {key: value for key, value in piece.items() if key not in ("name", "train", "scenes", "val")}
    settings = merged(making["finetune"], own)
    train = part_of(out / "data" / piece["train"], *piece["scenes"])
    data = {"train": str(train), "val": str(out / "data" / piece["val"])}
    place = {"output": str(out / "runs" / piece["name"]), "model": {"path": str(start)}, "data": data}
    return merged(settings, place)


def part_of(path: Path, first: int, last: int) -> Path:
    """The questions about scenes `first` to `last` - 1 of a set, in a file beside it."""
    part = path.with_name(f"{path.stem}_{first}_{last}.jsonl")
    if not part.exists():
        chosen = [one for one in read_samples(path) if first <= int(Path(one.image or "").stem) < last]
        with atomic_path(part) as unfinished:
            write_samples(unfinished, chosen)
    return part


def run_pieces(out: Path, making: Mapping[str, Any], start: Path) -> Path:
    """The runs one after the other; the last one's checkpoint folder.

    Raises:
        RunError: one of them failed, or was stopped; the same command goes on with it.
    """
    (out / "pieces").mkdir(exist_ok=True)
    for piece in making["pieces"]:
        path = out / "pieces" / f"{piece['name']}.yaml"
        settings = piece_settings(out, making, piece, start)
        path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
        begun = time.time()
        finished = subprocess.run([sys.executable, "-m", "grounding", "finetune", str(path)], check=False)
        if finished.returncode:
            raise RunError(f"the run of {path} ended with status {finished.returncode}.")
        start = Path(settings["output"]) / "model"
        note(out, f"piece {piece['name']} wall_s {time.time() - begun:.0f}")
    return start


def export(trained: Path, folder: Path) -> None:
    """The trained weights in bfloat16, in place of what the folder holds."""
    loaded = load_model(trained, dtype="bfloat16", device="cpu")
    new = folder.with_name(f"{folder.name}.new")
    write_checkpoint(loaded, new)
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)


def note(out: Path, line: str) -> None:
    """A line for the reader and for the log of the making."""
    click.echo(line)
    with (out / "making.log").open("a", encoding="utf-8") as log:
        log.write(line + "\n")


@click.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--making", "path", type=click.Path(path_type=Path), default=MAKING, help="What to make.")
@click.option("--checkpoint", type=click.Path(path_type=Path), default=None, help="Where the result goes.")
def command(out: Path, path: Path, checkpoint: Path | None) -> None:
    """Make the embedded model in OUT and put it into the package, or to --checkpoint."""
    making = yaml.safe_load(path.read_text(encoding="utf-8"))
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    draw(out, making)
    trained = run_pieces(out, making, looking_stage(out, making, tower_stage(out, making)))
    export(trained, checkpoint or checkpoint_folder())


if __name__ == "__main__":
    command()
