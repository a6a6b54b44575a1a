"""`grounding merge`: an adapter and the checkpoint it was trained on to one checkpoint in the published layout.

grounding merge runs/mine/adapter --out models/mine
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from grounding.cli.choice import Choice
from grounding.cli.there import check_there
from grounding.counted import counted
from grounding.errors import InputError, RunError
from grounding.models.json_files import read_json
from grounding.models.memory import free_memory
from grounding.models.presence import check_presence
from grounding.progress import Bars
from grounding.samples import atomic_path, share_files
from grounding.training.run_folder import adapter_folder, run_of

if TYPE_CHECKING:
    from grounding.inference.agreement import Greedy
    from grounding.models.cogvlm import CogVLMConfig
    from grounding.settings.schema import ModelSettings
    from grounding.tuning.merge import Merged, Recipe

PATH = click.Path(path_type=Path)
PROMPTS = ("Where is the red circle?", "Where is the dog? answer in [[x0,y0,x1,y1]] format.", "What is this?")
ANSWER_TOKENS = 16
BASES = {
    "dequantised": "as it was rounded in QLoRA, then dequantised, so that the result answers as in training; the "
    "default after QLoRA",
    "original": "as it is stored; the default otherwise",
}
ROOM = 1.2  # a model that is loaded and answers takes somewhat more than its files


@click.command(name="merge")
@click.argument("adapter", type=PATH)
@click.option("--out", type=PATH, required=True, metavar="DIR", help="The new checkpoint; must not exist.")
@click.option("--model", metavar="DIR", help="The base, where it is not the one that the run or the adapter names.")
@click.option("--tokenizer", metavar="PATH", help="Where the base ships none.")
@click.option(
    "--base",
    type=Choice(BASES),
    help="The form of the base that the adapter is added to (which base: --model). "
    + " ".join(f"{word}: {meaning}." for word, meaning in BASES.items()),
)
@click.option("--quantization", type=Choice(["nf4", "int8"]), help="Of the training, where nothing says it.")
@click.option("--shard-size", default="4GiB", show_default=True, metavar="SIZE", help="Largest file of weights.")
@click.option("--device", metavar="NAME", help="Where matrices are worked on. Default: the first GPU, else the CPU.")
@click.option(
    "--answers/--no-answers",
    default=True,
    show_default=True,
    help="Compare whole answers before and after, where the model fits into memory.",
)
def command(
    adapter: Path,
    out: Path,
    model: str | None,
    tokenizer: str | None,
    base: str | None,
    quantization: str | None,
    shard_size: str,
    device: str | None,
    answers: bool,
) -> None:
    """Merge ADAPTER (a run, any of its checkpoints, or a PEFT folder) into its base.

    Works matrix by matrix: the memory needed is two shards and no model. Each merged matrix is compared with base plus
    adapter on random input; nothing is written under --out unless all of them agree. --out gets config, index, weights
    in shards and the tokenizer, and loads like the base.
    """
    if out.exists():
        raise InputError("this exists already.", where=f"--out {out}", fix="Name a new folder.")
    shard_bytes = _bytes(shard_size)
    adapter = _adapter_folder(adapter)
    settings = _settings_of(adapter)
    path = model or _base_of(adapter, settings)
    check_presence(path, tokenizer=tokenizer)

    from grounding.models.loading import usable_device

    place = usable_device(device)
    pinned = settings.revision if settings and not model else None
    recipe, config, words = _recipe(adapter, settings, path, pinned, tokenizer, base, quantization)
    _say(recipe)
    _check_room(recipe.base, out)
    with atomic_path(out) as folder:
        folder.mkdir()
        merged = _write(recipe, config, words, folder, shard_bytes, place)
        click.echo(
            f"{counted(merged.matrices, 'matrix', 'matrices')} merged, {counted(merged.replaced, 'tensor')} replaced. "
            f"Largest relative difference from base plus adapter on random input: {merged.largest:.1e}"
            + (f" ({merged.where})." if merged.where else ".")
        )
        if answers:
            click.echo(_compare_answers(recipe, folder, words, place, merged))
    click.echo(f"Checkpoint: {out} ({counted(len(merged.files), 'file')} of weights)")


def _adapter_folder(path: Path) -> Path:
    """The folder with the adapter itself.

    Raises:
        InputError: there is none.
    """
    folder = adapter_folder(path)
    if folder is not None:
        return folder
    check_there(path, "folder", "Name a run's folder or its adapter/.")
    full = (path / "config.json").is_file() or (path / "model" / "config.json").is_file()
    raise InputError(
        "there is no adapter_config.json, so this is no PEFT adapter.",
        where=str(path),
        fix="This is a whole model: nothing is to be merged."
        if full
        else "Name a run's adapter/, one of its checkpoints/checkpoint-STEP, or another PEFT folder.",
    )


def _settings_of(adapter: Path) -> ModelSettings | None:
    """The model settings of the run that an adapter or checkpoint lies in; None for an adapter elsewhere.

    None, with a warning, where these cannot be read: the adapter's own notes say what matters most.
    """
    from grounding.settings import read_settings

    run = run_of(adapter)
    if run is None:
        return None
    try:
        return read_settings(run.settings).model
    except InputError as error:
        click.echo(f"Warning: the run's settings are left aside. {error}", err=True)
        return None


def _base_of(adapter: Path, settings: ModelSettings | None) -> str:
    """What an adapter was trained on, by its run or by itself.

    Raises:
        InputError: nothing says it.
    """
    named = settings.path if settings else None
    path = named or read_json(adapter / "adapter_config.json").get("base_model_name_or_path")
    if not path:
        raise InputError(
            "neither a run nor the adapter says what its base is.", where=str(adapter), fix="Give --model."
        )
    return str(path)


def _recipe(
    adapter: Path,
    settings: ModelSettings | None,
    path: str,
    revision: str | None,
    tokenizer: str | None,
    base: str | None,
    quantization: str | None,
) -> tuple[Recipe, CogVLMConfig, Path]:
    """What is merged, the result's config, and where its tokenizer comes from.

    Args:
        path: folder or name of the base. revision: of a name.

    Raises:
        InputError: the base is dequantised though nothing says how it was quantised.
    """
    from grounding.models.adapter_notes import NOT_QUANTIZED, read_notes
    from grounding.models.checkpoint import read_config
    from grounding.models.cogvlm.resolution import with_image_size
    from grounding.models.hub import checkpoint_folder, is_hub_name, tokenizer_place
    from grounding.models.loading import torch_dtype
    from grounding.tuning.merge import Recipe

    folder = checkpoint_folder(path, revision)
    notes = read_notes(adapter)
    told = settings or notes  # the run, else the adapter
    if told is not None and told.quantization not in (None, NOT_QUANTIZED):
        if quantization not in (None, told.quantization):
            problem = f"the adapter was trained with {told.quantization}."
            raise InputError(problem, where="--quantization", fix="Leave it out.")
        quantization = told.quantization
    if base == "dequantised" and quantization is None:
        raise InputError(
            "nothing says how the base was quantised.", where="--base dequantised", fix="Give --quantization."
        )
    for warning in notes.other_weights(folder) if notes else []:
        click.echo(f"Warning: {warning}", err=True)
    config = with_image_size(read_config(folder), notes.image_size if notes else None)
    words = tokenizer_place(folder, tokenizer or (settings.tokenizer if settings else None), fetched=is_hub_name(path))
    if settings is not None and settings.rope_dtype is not None:
        config.rope_dtype = settings.rope_dtype
    dequantised = quantization is not None and base != "original"
    compute = torch_dtype(settings.dtype) if settings else config.dtype
    recipe = Recipe(
        folder,
        adapter,
        quantization if dequantised else None,
        quantize_tower=bool(told and told.quantize_tower),
        **({} if compute is None else {"compute_dtype": compute}),
    )
    return recipe, config, words


def _say(recipe: Recipe) -> None:
    how = f"rounded to {recipe.quantization} and dequantised" if recipe.quantization else "as it is stored"
    click.echo(f"Base: {recipe.base}, {how}. Adapter: {recipe.adapter}")


def _write(recipe: Recipe, config: CogVLMConfig, words: Path, folder: Path, shard_bytes: int, place: Any) -> Merged:
    """Everything that belongs into the new checkpoint."""
    from grounding.models.checkpoint import ARCHITECTURE, expected_tensors
    from grounding.models.loading import make_processor
    from grounding.models.tokenizers import load_tokenizer
    from grounding.tuning.merge import merge

    processor = make_processor(config, load_tokenizer(words))
    with Bars() as bars, bars.step("merging", len(expected_tensors(config))) as progress:
        merged = merge(recipe, config, folder, shard_bytes=shard_bytes, device=place, progress=progress)
    config.architectures = [ARCHITECTURE]
    config.grounding_merge = {
        "base": "dequantised" if recipe.quantization else "original",
        "quantization": recipe.quantization,
        "quantized_tower": recipe.quantize_tower and recipe.quantization is not None,
        "largest_relative_difference": merged.largest,
    }
    config.save_pretrained(folder)
    processor.save_pretrained(folder)
    share_files(folder)
    return merged


def _bytes(size: str) -> int:
    """A size such as 4GiB, 500MB or 2e9 in bytes."""
    units = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?(?:[eE]\d+)?)\s*([A-Za-z]*)\s*", size)
    if match is None or match[2].upper() not in units or float(match[1]) <= 0:
        raise InputError(f"{size!r} is no size; write for example 4GiB or 500MB.", where="--shard-size")
    return max(int(float(match[1]) * units[match[2].upper()]), 1)


def _check_room(base: Path, out: Path) -> None:
    """Refuse at once what would fail on a full disk after minutes."""
    needed = sum(file.stat().st_size for file in base.glob("*.safetensors"))
    place = next(folder for folder in [out.absolute(), *out.absolute().parents] if folder.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise RunError(
            f"{out}: the checkpoint needs {needed / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free there. Free "
            "some, or name a folder on another disk."
        )


def _compare_answers(recipe: Recipe, folder: Path, words: Path, place: Any, merged: Merged) -> str:
    """Base with adapter and merged checkpoint, loaded one after the other, asked the same about one picture."""
    needed = ROOM * sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    free = free_memory(place)
    if needed > free:
        gib = f"{needed / 2**30:.1f} GiB, and {place} has {free / 2**30:.1f} GiB free"
        return f"Answers were not compared: that takes {gib}."
    from grounding.inference.agreement import SIGMAS, parting_of

    before = _answers(recipe.base, words, place, recipe)
    after = _answers(folder, folder, place, None)
    partings = [parting_of(one, other) for one, other in zip(before, after, strict=True)]
    # Differences of single matrices add up as chance does, with the root of their number.
    rounding = SIGMAS * merged.largest * merged.matrices**0.5
    lines = [
        f"Answers: {partings.count(None)} of {len(PROMPTS)} are the same, of {ANSWER_TOKENS} tokens at most, greedy."
    ]
    for prompt, parting in zip(PROMPTS, partings, strict=True):
        if parting is not None:
            why = "a near tie, which rounding decides" if parting.near_tie(rounding) else "more than rounding explains"
            gap, gap_after = parting.gaps
            lines.append(
                f"  {prompt!r} parts at token {parting.token + 1}: {why}. The two best logits are {gap:.2g} apart "
                f"before and {gap_after:.2g} after; all moved by {parting.moved:.2g}, "
                f"{parting.moved / parting.spread:.1%} of their spread."
            )
    return "\n".join(lines)


def _answers(folder: Path, words: Path, place: Any, recipe: Recipe | None) -> list[Greedy]:
    import numpy as np
    from PIL import Image

    from grounding.inference.agreement import answer_greedily
    from grounding.models.loading import load_model

    options: dict[str, Any] = {}
    if recipe is not None:
        options = {"adapter": recipe.adapter, "quantization": recipe.quantization}
        options["quantize_tower"] = recipe.quantize_tower and recipe.quantization is not None
        if recipe.quantization:
            options["dtype"] = str(recipe.compute_dtype).removeprefix("torch.")
    loaded = load_model(folder, device=place, tokenizer=words, **options)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    return answer_greedily(loaded.model.eval(), loaded.processor, noise, PROMPTS, ANSWER_TOKENS)
