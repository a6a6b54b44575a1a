"""The `grounding` command: a table of subcommands, loaded when called, and the one place where errors become messages.

It knows the names and one-line summaries of the subcommands; it does not know what they do, and `grounding --help`
imports none of them.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import warnings
from importlib import import_module
from typing import Any, NamedTuple

import click

from grounding import __version__
from grounding.closest import did_you_mean
from grounding.errors import GroundingError
from grounding.processes import ending_all, is_first_to_fail


class Subcommand(NamedTuple):
    """Where a subcommand lives (a module whose `command` is a click command) and its line in `grounding --help`."""

    module: str
    summary: str


SUBCOMMANDS = {
    "demo": Subcommand(
        "grounding.cli.demo", "All of it in minutes, without a download: a tiny model learns new things."
    ),
    "convert": Subcommand(
        "grounding.cli.convert", "Annotations (COCO, VOC, YOLO, Open Images, ...) to prompt/label pairs."
    ),
    "inspect": Subcommand("grounding.cli.inspect", "What a dataset holds and what to look at in it, as a page."),
    "validate": Subcommand("grounding.cli.validate", "Can this dataset be trained on, and its numbers be believed?"),
    "export": Subcommand(
        "grounding.cli.export", "A dataset, or answers to it, for another program (ms-swift, COCO, ...)."
    ),
    "finetune": Subcommand(
        "grounding.cli.finetune", "Specialise a CogVLM checkpoint on such pairs (LoRA, QLoRA or full)."
    ),
    "benchmark": Subcommand("grounding.cli.benchmark", "Answer a dataset, or score predictions, and report by IoU."),
    "compare": Subcommand(
        "grounding.cli.compare", "What became better or worse from one run to another, and is it chance."
    ),
    "predict": Subcommand("grounding.cli.predict", "Find phrases in an image, or in a folder of them."),
    "check": Subcommand("grounding.cli.check", "Is this folder a CogVLM checkpoint? Says exactly what differs."),
    "merge": Subcommand("grounding.cli.merge", "An adapter and its base to one checkpoint in the published layout."),
    "plan": Subcommand("grounding.cli.plan", "What a fine-tuning run will need: memory, tokens, steps."),
    "doctor": Subcommand("grounding.cli.doctor", "What this machine can do."),
}

DEBUG = "grounding.debug"


def _debug_option() -> click.Option:
    """`--debug`, for the group and for every subcommand, so that it works wherever it is typed."""

    def remember(context: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            context.find_root().meta[DEBUG] = True

    return click.Option(
        ["--debug"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=remember,
        help="Show the traceback of an error.",
    )


class LazyGroup(click.Group):
    """A click group that imports a subcommand when it is called, and prints the project's errors as one message."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in SUBCOMMANDS:
            return None
        command: click.Command = import_module(SUBCOMMANDS[cmd_name].module).command
        if not any(parameter.opts == ["--debug"] for parameter in command.params):
            command.params.append(_debug_option())
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in SUBCOMMANDS and not name.startswith("-"):
            ctx.fail(f"There is no command {name!r}. {did_you_mean(name, SUBCOMMANDS)}".rstrip())
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, subcommand.summary) for name, subcommand in SUBCOMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (GroundingError, OSError, KeyboardInterrupt) as error:
            if ctx.meta.get(DEBUG):
                raise
            message, status = explain(error)
            if is_first_to_fail():
                click.echo(message, err=True)
            ctx.exit(status)
        except click.ClickException:
            if is_first_to_fail():
                raise
            ctx.exit(2)


def explain(error: BaseException) -> tuple[str, int]:
    """The message and the exit status (1: the run failed; 2: the call or its input is wrong) of an error."""
    if isinstance(error, GroundingError):
        return f"Error: {error}", error.exit_status
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted. No half-written file was left under a final name.", 1
    if isinstance(error, BrokenPipeError):
        # What read our output is gone: leave quietly, and keep Python from failing again when it flushes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return "Error: the output was closed before everything was written.", 1
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        place = error.filename or "the disk"
        return f"Error: {place}: no space left on the device. Free some and run the same command again.", 1
    if isinstance(error, OSError) and error.filename:
        return f"Error: {error.filename}: {error.strerror or error}.", 1
    return f"Error: {error}", 1


@click.group(cls=LazyGroup, params=[_debug_option()], context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="grounding")
def group() -> None:
    """Specialise CogVLM grounding models to your own images, and measure how well they find things.

    \b
    grounding convert    annotations  ->  train.jsonl val.jsonl test.jsonl
    grounding finetune   a config     ->  an adapter (or a full model)
    grounding benchmark  a dataset    ->  report.html with accuracy by IoU
    """


def main() -> None:
    """Entry point of the console script."""
    # bitsandbytes warns at import that an optional CPU kernel package is absent: nothing that the user could mend.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    # PEFT asks transformers for a property by its older name.
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
    # What DDP says of a gradient of one row, whose strides mean nothing.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    with ending_all():
        group(prog_name="grounding")
