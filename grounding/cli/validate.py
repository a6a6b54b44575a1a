"""`grounding validate`: can a dataset be trained on, and can numbers measured on it be believed? Loads no weights.

grounding validate data/mine --model pocket
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape

from data_tools.inspection.opening import split_files
from data_tools.inspection.words import words_in
from data_tools.stats import BUDGET
from grounding.cli.bars import bars
from grounding.cli.choice import Choice
from grounding.cli.inspect import told_amounts, told_findings
from grounding.cli.tables import output
from grounding.errors import InputError
from grounding.page.words import Words, say
from grounding.samples import LANGUAGES

if TYPE_CHECKING:
    from data_tools.progress import Progress
    from data_tools.validation.judging import Lengths, Measure
    from grounding.samples import Sample


@click.command("validate")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--model", type=click.Path(path_type=Path), metavar="DIR", help="Whose tokenizer measures the labels.")
@click.option("--tokenizer", type=click.Path(path_type=Path), metavar="PATH", help="Where the checkpoint ships none.")
@click.option("--max-label-tokens", type=click.IntRange(1), default=BUDGET, show_default=True, help="As in finetune.")
@click.option("--images", type=click.Path(path_type=Path), help="Folder of the images, if not as the manifest says.")
@click.option("--check-images/--no-check-images", default=True, show_default=True, help="Read every image.")
@click.option("--group-by", metavar="REGEX", help="What may not be in two splits. Default: as converted.")
@click.option("--follow-links", is_flag=True, help="Allow symbolic links out of the image root.")
@click.option("--lang", type=Choice(LANGUAGES), default="en", show_default=True, help="Words of what is printed.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON, and nothing else.")
@click.pass_context
def command(
    context: click.Context,
    dataset: Path,
    model: Path | None,
    tokenizer: Path | None,
    max_label_tokens: int,
    lang: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Judge DATASET: a folder that `grounding convert` made, or one JSONL file.

    Labels read back to their boxes, boxes lie in their images, images are there and whole, nothing is in two splits,
    no prompt gives its answer away, and no label is too long: by the tokenizer of --model, else estimated. `inspect`
    tells what is rare, uneven or small. Exit status 0: sound, perhaps with warnings; 1: something spoils training or
    makes its numbers false; 2: there is no dataset.
    """
    from data_tools.validation.judging import estimate
    from data_tools.validation.validate import validate

    if tokenizer is not None and model is None:
        raise InputError("it measures labels for a model, and none is named", where="--tokenizer", fix="Add --model.")
    split_files(dataset)  # one that is not there is told before a model is looked for
    places = None if model is None else _places(model, tokenizer)
    with bars(quiet=as_json) as progress:
        measure = estimate if places is None else _measure(*places, max_label_tokens, progress)
        found = validate(
            dataset, measure=measure, max_label_tokens=max_label_tokens, lang=lang, progress=progress, **options
        )
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        _tell(output(), found, dataset, model, words_in(lang), options["check_images"])
    context.exit(0 if found["sound"] else 1)


def _places(model: Path, tokenizer: Path | None) -> tuple[Path, Path]:
    """Where checkpoint and tokenizer lie, fetched where they are names on the hub, which shows bars of its own.

    Raises InputError where they cannot be fetched.
    """
    from grounding.models.hub import checkpoint_folder, is_hub_name, tokenizer_place

    folder = checkpoint_folder(model)
    return folder, tokenizer_place(folder, tokenizer, fetched=is_hub_name(model))


def _measure(folder: Path, tokenizer: Path, max_label_tokens: int, progress: Progress) -> Measure:
    """How long a sample is for a model, and what of it cannot be trained on, as `finetune` looks before it begins.

    Raises:
        InputError: there is no such checkpoint, or no tokenizer that belongs to it.
    """
    progress("loading the tokenizer", 0, None)  # and what reads it, which takes longer
    from data_tools.validation.judging import Lengths
    from grounding.models.checkpoint import read_config
    from grounding.models.loading import make_processor
    from grounding.models.tokenizers import load_tokenizer
    from grounding.training.checks import measure_sample

    config = read_config(folder)
    processor = make_processor(config, load_tokenizer(tokenizer))

    def measure(sample: Sample) -> tuple[Lengths, Sequence[str]]:
        if sample.history and not processor.supports_history:
            place = f"the template {processor.template_version!r} has no place for its earlier turns"
            return Lengths(0), [f"{place} (data.flatten_history=true writes them into the prompt)"]
        tokens, problems = measure_sample(sample, processor, max_label_tokens, config.max_position_embeddings)
        return Lengths(tokens.label, tokens.positions), problems

    return measure


def _tell(
    console: Console, found: dict[str, Any], dataset: Path, model: Path | None, words: Words, images_read: bool
) -> None:
    told = words["validate"]
    by = say(words, "validate", "measured", model=model) if model else told["estimated"]
    amounts = {"samples": found["samples"], "images": found["images"], "tokens": found["longest"]["label"]}
    lead = say(words, "validate", "lead", **told_amounts(words, amounts), by=by)
    console.print(f"[bold]{escape(str(dataset))}[/]: {escape(lead)}", highlight=False)
    for line in told_findings(found["findings"], words):
        console.print(line, highlight=False)
    if not found["findings"]:
        console.print(f"  {told['nothing' if images_read else 'nothing_unread']}", highlight=False)
    if not images_read:
        console.print(f"  {words['unread']}")
    console.print(f"[green]{told['sound']}[/]" if found["sound"] else f"[bold red]{told['unsound']}[/]")
    console.print(escape(say(words, "validate", "advice", dataset=dataset)), highlight=False, soft_wrap=True)
