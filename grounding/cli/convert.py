"""`grounding convert`: reads the options, calls `data_tools.convert`, and prints what was done. Imports no torch.

grounding convert instances.json --format coco --out data/parts
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from data_tools import convert as line
from data_tools.caps import Caps
from data_tools.engines import ENGINES, engine_of
from data_tools.readers import OWN
from data_tools.readers.box_form import FORMS
from data_tools.readers.voc import PIXELS
from data_tools.splits import SPLITS, parse_ratios
from data_tools.tasks import TASKS
from data_tools.tasks.view import MOST_ALIKE
from data_tools.writers import STYLES
from grounding.cli.bars import bars
from grounding.cli.choice import Choice
from grounding.cli.conversion_told import tell
from grounding.cli.tables import output
from grounding.errors import InputError
from grounding.text import NOT_FOUND


@click.command("convert")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE [SPLIT=SOURCE ...]")
@click.option(
    "--format",
    "form",
    default="auto",
    show_default=True,
    metavar="NAME",
    help=f"{', '.join(OWN)}, datumaro:NAME (CVAT, DOTA, ...), or one that a package adds. auto: as recognised.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the dataset.")
@click.option(
    "--images", type=click.Path(path_type=Path), help="Folder that file names start from. Default: by the format."
)
@click.option(
    "--check-images/--no-check-images",
    default=True,
    show_default=True,
    help="Read every image to its end. Headers are read anyway where a format states no size.",
)
@click.option(
    "--split",
    "ratios",
    default="0.8,0.1,0.1",
    show_default=True,
    help="Shares of train, val and test, of images that no official list names.",
)
@click.option(
    "--group-by", metavar="REGEX", help="What it captures of an image's path stays in one split (patient, video)."
)
@click.option("--stratify", is_flag=True, help="Give each split its share of every class, groups kept whole.")
@click.option(
    "--negatives", type=float, default=0.25, show_default=True, metavar="R", help="Not-found samples per found one."
)
@click.option(
    "--negatives-from",
    type=Choice(["exhaustive", "listed", "none"]),
    help="What is absent: all that is not annotated; only named negatives; nothing. Default: by the format.",
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
    help="A YAML file that says what classes are called, of any format: `rbc_01: {en: [red blood cell], zh: 红细胞}`.",
)
@click.option(
    "--frame",
    type=Choice(["stored", "upright"]),
    help="Frame of the boxes where EXIF turns an image. Default: the one whose size is stated, else the format's.",
)
@click.option("--voc-pixels", type=Choice(PIXELS), default="auto", show_default=True, help="How VOC counts pixels.")
@click.option(
    "--box-form",
    type=Choice(FORMS),
    default="auto",
    show_default=True,
    help="What the four numbers of a COCO, LVIS or VOC box are. auto: as the format says, unless only the other fits.",
)
@click.option("--not-found-en", default=NOT_FOUND["en"], show_default=True, metavar="TEXT", help="Answer when absent.")
@click.option("--not-found-zh", default=NOT_FOUND["zh"], show_default=True, metavar="TEXT", help="The same in Chinese.")
@click.option(
    "--style",
    type=Choice(list(STYLES)),
    default="pairs",
    show_default=True,
    help="How samples are written. finetune and benchmark read pairs and conversations.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of splits, wordings and draws.")
@click.option("--follow-links", is_flag=True, help="Allow symbolic links out of the image root.")
@click.option(
    "--workers",
    type=int,
    metavar="N",
    help="Images, or sources, read at a time. The same is written whatever N is. Default: the cores there are.",
)
@click.option(
    "--engine",
    type=Choice(ENGINES),
    default="local",
    show_default=True,
    help="Where they are read: this machine, or a Ray cluster (RAY_ADDRESS), which must see the same files.",
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where read images are remembered; one of the same size and time is not read again. Default: user's cache.",
)
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace a dataset in --out that is not the one made now: other annotations or settings, or edited since.",
)
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
    workers: int | None,
    engine: str,
    cache: Path | None,
    overwrite: bool,
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
    means = line.Means(engine_of(engine, workers), cache or _user_cache(), overwrite)
    with bars(quiet) as progress:
        conversion = line.convert([_source(source) for source in sources], out, options, progress, means)
    if not quiet:
        tell(output(), conversion, options, out)


def _user_cache() -> Path:
    """Where the user's programs keep what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "grounding" / "looks"


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
