"""The options by which a command is told which model answers and how, and the loading of it.

Knows options and names; torch is imported when a model is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from grounding.cli.choice import Choice
from grounding.inference.budget import BOXES, tokens_for
from grounding.models.presence import check_presence
from grounding.processes import is_first

if TYPE_CHECKING:
    from grounding.models.loading import LoadedModel

PATH = click.Path(path_type=Path)
ARITHMETIC = ("dtype", "quantization", "quantize_tower", "attention", "rope_dtype", "image_size")
"""What of it changes the numbers of an answer."""
LOADING = ("adapter", "tokenizer", "device", *ARITHMETIC)
"""What `load_model` is told besides the checkpoint."""

_OPTIONS = (
    click.option("--model", type=PATH, metavar="DIR", help="Checkpoint: a folder, a name on the hub, or pocket."),
    click.option("--adapter", type=PATH, metavar="DIR", help="PEFT adapter on it."),
    click.option("--max-boxes", type=click.IntRange(1), default=BOXES, show_default=True, help="Room in an answer."),
    click.option("--max-new-tokens", type=click.IntRange(1), help="Longest answer. Default: what so many boxes take."),
    click.option("--constrain", is_flag=True, help="Allow only answers that can be read; said beside them."),
    click.option("--dtype", type=Choice(["float32", "bfloat16", "float16"]), help="Default: as stored."),
    click.option("--quantization", type=Choice(["nf4", "int8"]), help="Load the decoder in 4 or 8 bits."),
    click.option("--quantize-tower", is_flag=True, help="The vision tower too."),
    click.option("--device", metavar="NAME", help="cpu, cuda, cuda:1, ... Default: the first GPU, else the CPU."),
    click.option("--attention", type=Choice(["eager", "sdpa", "flash_attention_2"]), help="Default: sdpa."),
    click.option("--tokenizer", type=PATH, metavar="PATH", help="Where the checkpoint ships no tokenizer."),
    click.option("--rope-dtype", type=Choice(["float32", "bfloat16"]), help="Default: as the checkpoint says."),
    click.option(
        "--image-size", type=click.IntRange(1), metavar="N", help="In pixels. Default: the adapter's or model's."
    ),
)


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a click command `--model` and all that belongs to it."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def answer_tokens(options: Mapping[str, Any]) -> int:
    """The longest answer in tokens, by `--max-new-tokens` or else by `--max-boxes`."""
    return tokens_for(options["max_new_tokens"], options["max_boxes"])


def check_model(options: Mapping[str, Any]) -> None:
    """Sees that what the options name is there: at once, before torch is imported and a model loaded.

    Raises:
        InputError: something is not.
    """
    check_presence(options["model"], adapter=options["adapter"], tokenizer=options["tokenizer"])


def load(options: Mapping[str, Any]) -> LoadedModel:
    """The model that the options name; says on stderr what was quantised, and what does not quite fit.

    Raises:
        InputError: something in the call or the files is wrong.
        RunError: the device's memory is too small.
    """
    from grounding.models.loading import load_model
    from grounding.models.quantization import say_quantized

    loaded = load_model(options["model"], **{name: options[name] for name in LOADING})
    for warning in loaded.warnings if is_first() else ():
        click.echo(f"Warning: {warning}", err=True)
    if options["quantization"] and is_first():
        click.echo(say_quantized(loaded.model), err=True)
    return loaded
