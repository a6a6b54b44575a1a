"""`grounding check`: a checkpoint folder against the architecture, before anything large is read.

grounding check models/cogvlm-grounding-generalist-hf
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from grounding.counted import counted
from grounding.errors import InputError, ManyErrors
from grounding.models.presence import check_presence

if TYPE_CHECKING:
    from grounding.models.checkpoint import TensorComparison
    from grounding.models.cogvlm import CogVLMConfig


@click.command(name="check")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--tokenizer", type=click.Path(path_type=Path), metavar="PATH", help="Where the folder has none.")
@click.option("--revision", metavar="COMMIT", help="Of a name on the hub.")
def command(model: Path, tokenizer: Path | None, revision: str | None) -> None:
    """Look whether MODEL (a folder, or a name on the hub) is a whole CogVLM checkpoint.

    Config, every tensor's name and shape, rope frequencies and the tokenizer are compared with the architecture; only
    headers are read. Exit status 0: it will load. 2: everything that differs was told.
    """
    check_presence(model)
    from grounding.models.checkpoint import compare_tensors, read_config
    from grounding.models.hub import checkpoint_folder, is_hub_name, resolved_revision, tokenizer_place

    folder = checkpoint_folder(model, revision)
    commit = resolved_revision(folder)
    click.echo(f"Folder: {folder}" + (f" (commit {commit})" if commit else ""))
    config = read_config(folder)
    for line in _config_lines(config):
        click.echo(line)
    problems: list[str] = []
    try:
        tensors = compare_tensors(folder, config)
        click.echo(_tensor_line(tensors))
        problems += tensors.problems
    except InputError as error:
        problems.append(str(error))
    try:
        place = tokenizer_place(folder, tokenizer, fetched=is_hub_name(model))
        click.echo(_tokenizer_line(place, config))
    except InputError as error:
        problems.append(f"tokenizer: {error}")
    if problems:
        raise ManyErrors(f"{folder} cannot be loaded as it is", problems, shown=100)
    click.echo("Nothing is missing, nothing is left over: it will load.")


def _config_lines(config: CogVLMConfig) -> Iterator[str]:
    """What the config describes, and where it departs from the published 490-pixel model."""
    from grounding.models.checkpoint import expected_tensors
    from grounding.models.cogvlm import CogVLMConfig

    shapes = expected_tensors(config)
    count = sum(math.prod(shape) for name, shape in shapes.items() if not name.endswith(".inv_freq"))
    vision = config.vision
    yield (
        f"Config: {count:,} parameters; {counted(config.num_hidden_layers, 'decoder layer')} of width "
        f"{config.hidden_size}, {counted(vision.num_hidden_layers, 'tower layer')} of width {vision.hidden_size}; "
        f"images of {vision.image_size} pixels in {counted(vision.patch_count, 'patch', 'patches')}; "
        f"template {config.template_version!r}"
    )
    published = CogVLMConfig(rms_norm_eps=1e-5)
    theirs, ours = published.to_dict() | {"architectures": None}, config.to_dict() | {"architectures": None}
    differing = [f"{key} {ours[key]!r}" for key in sorted(theirs) if _plain(key) and ours.get(key) != theirs[key]]
    theirs, ours = theirs["vision_config"], ours["vision_config"]
    differing += [f"vision_config.{key} {ours[key]!r}" for key in sorted(theirs) if ours.get(key) != theirs[key]]
    if differing:
        yield f"  Other than in the published 490-pixel model: {', '.join(differing)}"


def _plain(key: str) -> bool:
    """Whether a config key says what the model is, and not how it was stored or answers."""
    return key not in {
        "vision_config",
        "dtype",
        "torch_dtype",
        "transformers_version",
        "template_version",
        "_name_or_path",
    }


def _tensor_line(tensors: TensorComparison) -> str:
    files = counted(len(tensors.files), "file")
    if not tensors.found:
        return f"Tensors: none could be read of {tensors.expected:,} in the architecture, in {files}"
    dtypes = ", ".join(f"{number:,} {name}" for name, number in sorted(tensors.dtypes.items()))
    buffers = counted(tensors.frequencies, "inv_freq buffer")
    rope = buffers if tensors.frequencies else "no inv_freq buffers (they may be absent)"
    return (
        f"Tensors: {tensors.found:,} found, {tensors.expected:,} in the architecture, {rope}; {dtypes}; "
        f"{_size(tensors.size)} in {files}"
    )


def _size(count: int) -> str:
    """Bytes in the unit that shows some digits of them."""
    return f"{count / 2**30:.2f} GiB" if count >= 0.1 * 2**30 else f"{count / 2**20:.2f} MiB"


def _tokenizer_line(place: Path, config: CogVLMConfig) -> str:
    """The tokenizer's line, once it is sure that its ids are the config's.

    Raises:
        InputError: no tokenizer, one of another kind, or one with other ids.
    """
    from grounding.models.loading import make_processor
    from grounding.models.tokenizers import load_tokenizer

    words = load_tokenizer(place)
    make_processor(config, words)
    return f"Tokenizer: {place}, {words.vocab_size:,} pieces of {config.vocab_size:,}"
