"""`grounding convert`: reads the options, calls `data_tools.convert`, and prints what was done. Imports no torch.

grounding convert instances.json --format coco --out data/parts
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from data_tools import convert as line
from data_tools.caps import Caps
from data_tools.readers import OWN
from data_tools.readers.box_form import FORMS
from data_tools.readers.voc import PIXELS
from data_tools.reasons import REASONS
from data_tools.records import EXAMPLES, Tally
from data_tools.splits import SPLITS, parse_ratios
from data_tools.stats import BUDGET
from data_tools.tasks import TASKS
from data_tools.tasks.view import MOST_ALIKE
from data_tools.writers import STYLES
from data_tools.writers.findings import FINDINGS
from grounding.cli.bars import bars
from grounding.errors import InputError
from grounding.samples import Style
from grounding.text import NOT_FOUND

SHOWN = 3  # examples of samples, and of findings of one reason
CLASSES_SHOWN = 12


@click.command("convert")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE [SPLIT=SOURCE ...]")
@click.option(
    "--format",
    "form",
    default="auto",
    show_default=True,
    metavar="NAME",
    help=f"{', '.join(OWN)}, datumaro:NAME, or a format that a package adds.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the dataset.")
@click.option("--images", type=click.Path(path_type=Path), help="Folder that the annotations' file names start from.")
@click.option("--check-images/--no-check-images", default=True, show_default=True, help="Read every image to its end.")
@click.option("--split", "ratios", default="0.8,0.1,0.1", show_default=True, help="Shares of train, val and test.")
@click.option(
    "--group-by", metavar="REGEX", help="What it captures of an image's path stays in one split (patient, video)."
)
@click.option("--stratify", is_flag=True, help="Give each split its share of every class, groups kept whole.")
@click.option(
    "--negatives", type=float, default=0.25, show_default=True, metavar="R", help="Not-found samples per found one."
)
@click.option(
    "--negatives-from",
    type=click.Choice(["exhaustive", "listed", "none"]),
    help="What is absent: all that is not annotated; only named negatives; nothing. Default: as the source says.",
)
@click.option(
    "--lang", default="en", show_default=True, metavar="LANG[,LANG]", help="Languages of the prompts: en, zh."
)
@click.option(
    "--hard-negatives",
    type=float,
    default=0.0,
    show_default=True,
    metavar="SHARE",
    help="Of the not-found samples, asked where the class could well be: what often stands with it, or is of its kind.",
)
@click.option(
    "--tasks",
    default="phrase_to_boxes",
    show_default=True,
    metavar="TASK[=SHARE],...",
    help=f"What to ask for, the first task whole, the others in proportion: {', '.join(TASKS)}.",
)
@click.option(
    "--most-alike",
    type=int,
    default=MOST_ALIKE,
    show_default=True,
    metavar="N",
    help='Objects of a class up to which phrase_to_box says "the leftmost"; raise it where none is left unannotated.',
)
@click.option(
    "--max-answer-tokens",
    type=int,
    metavar="N",
    help="A longer answer is split into steps where next_box is among --tasks, else refused; never cut.",
)
@click.option("--max-per-class", type=int, metavar="N", help="Most samples of a class in a split.")
@click.option("--max-per-image", type=int, metavar="N", help="Most samples about an image.")
@click.option(
    "--balance",
    type=float,
    default=0.0,
    show_default=True,
    metavar="0..1",
    help="Thin frequent classes: 0 not at all, 1 down to the median class.",
)
@click.option(
    "--tiles",
    metavar="SIDE[,OVERLAP[,VISIBLE]]",
    help="Cut images into overlapping tiles of SIDE px; a tile has an object of which it shows VISIBLE (0.5).",
)
@click.option(
    "--templates",
    multiple=True,
    metavar="[TASK:][LANG=]FILE",
    help="A file of your own wordings, `prompt => answer`, for phrase_to_boxes unless a TASK is named.",
)
@click.option(
    "--names",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A YAML file that says what classes are called: `rbc_01: {en: [red blood cell], zh: 红细胞}`.",
)
@click.option(
    "--frame",
    type=click.Choice(["stored", "upright"]),
    help="Frame of the boxes where EXIF turns an image. Default: the one whose size is stated.",
)
@click.option(
    "--voc-pixels", type=click.Choice(PIXELS), default="auto", show_default=True, help="How VOC counts pixels."
)
@click.option(
    "--box-form",
    type=click.Choice(FORMS),
    default="auto",
    show_default=True,
    help="What the four numbers of a COCO or VOC box are. auto: as the format says, unless only the other form fits.",
)
@click.option("--not-found-en", default=NOT_FOUND["en"], show_default=True, metavar="TEXT", help="Answer when absent.")
@click.option("--not-found-zh", default=NOT_FOUND["zh"], show_default=True, metavar="TEXT", help="The same in Chinese.")
@click.option(
    "--style",
    type=click.Choice(list(STYLES)),
    default="pairs",
    show_default=True,
    help="How samples are written. finetune and benchmark read pairs and conversations.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--follow-links", is_flag=True, help="Allow symbolic links out of the image root.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    sources: tuple[str, ...],
    form: str,
    out: Path,
    ratios: str,
    lang: str,
    tasks: str,
    templates: tuple[str, ...],
    not_found_en: str,
    not_found_zh: str,
    max_per_class: int | None,
    max_per_image: int | None,
    balance: float,
    quiet: bool,
    **rest: Any,
) -> None:
    """Turn annotations into prompt/label pairs: train.jsonl, val.jsonl, test.jsonl and manifest.json in --out.

    SOURCE is an annotation file, or the folder of a dataset; what it holds is recognised, and said, unless --format
    names it. Several are put together; SPLIT=SOURCE (train=, val= or test=) says which split all of its images are.
    """
    langs = _names(lang)
    options = line.Options(
        format=form,
        ratios=parse_ratios(ratios),
        langs=langs,
        tasks=_names(tasks),
        caps=Caps(max_per_class, max_per_image, balance),
        templates=_templates(templates, langs),
        not_found={"en": not_found_en, "zh": not_found_zh},
        **rest,
    )
    with bars(quiet) as progress:
        conversion = line.convert([_source(source) for source in sources], out, options, progress)
    if not quiet:
        _tell(Console(), conversion, options, out)


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _source(text: str) -> tuple[str | None, Path]:
    """(split, path) of `train=PATH`, or (None, path); a path may have an = of its own."""
    split, _, path = text.partition("=")
    return (split, Path(path)) if split in SPLITS and path else (None, Path(text))


def _templates(values: Sequence[str], langs: Sequence[str]) -> dict[str, Path]:
    """Template files of `FILE`, `en=FILE`, `phrase_to_box:en=FILE`, by language, with the task before it if named."""
    files: dict[str, Path] = {}
    for value in values:
        task, colon, rest = value.partition(":")
        task, rest = (task, rest) if colon and task in TASKS else ("", value)
        lang, _, path = rest.partition("=")
        if lang not in NOT_FOUND or not path:
            if len(langs) != 1:
                raise InputError(
                    f"{value!r} does not say its language, and --lang has {len(langs)}",
                    where="--templates",
                    fix=f"Write --templates {task}{colon if task else ''}{'|'.join(langs)}={rest}.",
                )
            lang, path = langs[0], rest
        key = f"{task}:{lang}" if task else lang
        if key in files:
            raise InputError(f"two files for {key}: {files[key]} and {path}", where="--templates")
        files[key] = Path(path)
    return files


def _tell(console: Console, conversion: line.Conversion, options: line.Options, out: Path) -> None:
    """What was done, and everything a user should look at before training."""
    counts = conversion.manifest.counts
    console.print(
        f"[bold]{escape(str(out))}[/]: {conversion.images_listed:,} images listed, "
        f"{counts['images']:,} of them in {counts['samples']:,} samples"
    )
    console.print(_split_table(conversion.splits))
    for name, choice in conversion.taken.items():
        console.print(f"[bold]{escape(name)}[/]: {escape(choice)}", highlight=False)
    _tell_tally(console, conversion.tally, out / FINDINGS)
    console.print(_class_table(conversion.splits))
    for warning in _warnings(conversion, options):
        console.print(f"[yellow]Note:[/] {escape(warning)}", highlight=False)
    console.print("[bold]Examples[/]")
    for sample in _examples(conversion):
        console.print(
            f"  {escape(sample.id)}\n    {escape(sample.prompt)}\n    [green]{escape(sample.label)}[/]", highlight=False
        )


def _split_table(splits: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table("split", title="Samples", title_justify="left")
    for heading in ("images", "found", "not found", "boxes", "label tokens (max)", "grid ceiling"):
        table.add_column(heading, justify="right")
    for split, numbers in splits.items():
        tokens, ceiling = numbers["label_tokens"], numbers["grid_ceiling"]
        table.add_row(
            split,
            f"{numbers['images']:,}",
            f"{numbers['found']:,}",
            f"{numbers['not_found']:,}",
            f"{numbers['boxes']:,}",
            f"{tokens['total']:,} ({tokens['max']:,})",
            "-" if ceiling is None else f"{ceiling:.4f}",
        )
    table.caption = (
        "tokens: 16 a box and 1, and eos; words around boxes estimated. Grid ceiling: IoU of a perfect answer."
    )
    table.caption_justify = "left"
    return table


def _tell_tally(console: Console, tally: Tally, findings: Path) -> None:
    """Each reason that was met: outcome, number, meaning, a few places."""
    table = Table("outcome", "reason", "of", title="What was not plainly right", title_justify="left")
    table.add_column("n", justify="right")
    table.add_column("rule and examples", overflow="fold")
    colours = {"refused": "red", "mended": "yellow", "kept": "green"}
    for outcome, colour in colours.items():
        for reason, count in tally.having(outcome).items():  # type: ignore[arg-type]  # the keys are the outcomes
            examples = [f"{finding.place}: {finding.found}".rstrip(": ") for finding in tally.examples[reason][:SHOWN]]
            text = "\n".join([escape(REASONS[reason].meaning), *(f"[dim]{escape(example)}[/]" for example in examples)])
            table.add_row(f"[{colour}]{outcome}[/]", reason, REASONS[reason].unit, f"{count:,}", text)
    console.print(table if table.row_count else "Nothing was refused or mended.")
    if table.row_count:
        cut = any(count > len(tally.examples[reason]) for reason, count in tally.counts.items())
        most = f", of each reason the first {EXAMPLES:,}" if cut else ""
        console.print(f"All places{most}: {escape(str(findings))}", highlight=False)


def _class_table(splits: Mapping[str, Mapping[str, Any]]) -> Table:
    """The most and, of many, the rarest classes of all splits together."""
    totals: dict[str, list[int]] = {}
    for numbers in splits.values():
        for category, counted in numbers["classes"].items():
            total = totals.setdefault(category, [0, 0, 0])
            for column, name in enumerate(("found", "not_found", "boxes")):
                total[column] += counted[name]
    ordered = sorted(totals.items(), key=lambda item: (-item[1][2], item[0]))
    table = Table("class", title=f"Classes ({len(ordered)})", title_justify="left")
    for heading in ("found", "not found", "boxes"):
        table.add_column(heading, justify="right")
    half = CLASSES_SHOWN // 2
    shown = ordered if len(ordered) <= CLASSES_SHOWN else [*ordered[:half], ("...", []), *ordered[-half:]]
    for category, total in shown:
        table.add_row(escape(category), *(f"{number:,}" for number in total))
    return table


def _warnings(conversion: line.Conversion, options: line.Options) -> Iterator[str]:
    """What a user would rather know before training than after."""
    shaped = options.caps != Caps() or options.tasks != line.Options().tasks
    for split, numbers in conversion.splits.items():
        if not numbers["samples"]:
            yield f"{split} has no sample; {split}.jsonl is empty."
        elif numbers["not_found_drawn"] < numbers["not_found_wanted"]:
            yield (
                f"{split} has {numbers['not_found_drawn']} not-found samples, not the {numbers['not_found_wanted']} "
                "asked for: no more classes are known to be absent from its images."
            )
        for task, wanted in numbers.get("tasks_wanted", {}).items():
            if (possible := numbers["tasks_possible"][task]) < wanted:
                yield f"{split} allows {possible} samples of {task}, not the {wanted} of its share."
        if shaped and (ready := numbers.get("ready", 0)):
            yield f"{split} has {ready} samples as the source holds them: --tasks, shares and caps do not touch them."
        over = numbers["label_tokens"]["over_budget"]
        if over:
            yield f"{split} has {over} labels of more than {BUDGET} tokens: raise finetune's token budget for them."
    chose_splits = options.group_by is not None or options.ratios != line.Options().ratios
    if chose_splits and any(choice.startswith("official") for choice in conversion.taken.values()):
        yield "official lists decide the splits: --split and --group-by have no say over the images that they name."
    if options.style not in get_args(Style):
        yield f"finetune and benchmark read {' and '.join(get_args(Style))}; {options.style} is for other programs."
    if not options.check_images:
        yield "images were not read: missing, broken and turned ones stay in, and copies may be in two splits."
    if options.negatives_from == "exhaustive" and any("named negatives" in name for name in conversion.taken):
        yield "the source names its negatives: with exhaustive absence, classes may be called absent that are there."


def _examples(conversion: line.Conversion) -> list[Any]:
    """A few found samples and one not found, from the first split that has any."""
    samples = next(samples for samples in conversion.samples.values() if samples)
    found = [sample for sample in samples if sample.boxes]
    absent = [sample for sample in samples if not sample.boxes]
    few = found[:: max(1, len(found) // SHOWN)][:SHOWN]
    return few + absent[:1]
