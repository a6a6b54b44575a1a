"""What `grounding convert` prints when it is done: numbers, what was not plainly right, notes. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from data_tools import convert as line
from data_tools.caps import Caps
from data_tools.reasons import REASONS, unit_of
from data_tools.records import EXAMPLES, Tally
from data_tools.stats import BUDGET
from data_tools.tasks import parse_shares
from data_tools.wording import TASK
from data_tools.writers.findings import FINDINGS
from grounding.cli.tables import print_whole
from grounding.counted import counted
from grounding.samples import TASKS, Style

BOXES_IN_ANSWERS = "boxes in answers"  # as `inspect` calls them
SHOWN = 3  # examples of samples, and of findings of one reason
CLASSES_SHOWN = 12
MANY_MISSING = 0.1  # of the images listed, from which the folder, not a file, is likely to be wrong


def tell(console: Console, conversion: line.Conversion, options: line.Options, out: Path) -> None:
    """What was done, and everything a user should look at before training."""
    counts = conversion.manifest.counts
    of_them = "tiles of them" if options.tiles else "of them"
    console.print(
        f"[bold]{escape(str(out))}[/]: {counted(conversion.images_listed, 'image')} listed, "
        f"{counts['images']:,} {of_them} in {counted(counts['samples'], 'sample')}"
    )
    print_whole(console, _split_table(conversion.splits))
    if set(parse_shares(options.tasks)) != {TASK}:
        print_whole(console, _task_table(conversion.splits))
    for name, choice in conversion.taken.items():
        console.print(f"[bold]{escape(name)}[/]: {escape(choice)}", highlight=False)
    _tell_tally(console, conversion.tally, out / FINDINGS, in_tiles=bool(options.tiles))
    print_whole(console, _class_table(conversion.splits))
    for warning in _warnings(conversion, options):
        console.print(f"[yellow]Note:[/] {escape(warning)}", highlight=False)
    console.print("[bold]Examples[/]")
    for sample in _examples(conversion):
        console.print(
            f"  {escape(sample.id)}\n    {escape(sample.prompt)}\n    [green]{escape(sample.label)}[/]", highlight=False
        )
    if options.style in get_args(Style):
        console.print(f"To look at it before training: grounding inspect {escape(str(out))}", highlight=False)


def _split_table(splits: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table("split", title="Samples", title_justify="left")
    headings = ("samples", "images", "found", "not found", "no box asked", BOXES_IN_ANSWERS, "label tokens", "longest")
    for heading in (*headings, "grid ceiling"):
        table.add_column(heading, justify="right")
    for split, numbers in splits.items():
        tokens, ceiling = numbers["label_tokens"], numbers["grid_ceiling"]
        asks_no_box = numbers["samples"] - numbers["found"] - numbers["not_found"]
        counts = [numbers["samples"], numbers["images"], numbers["found"], numbers["not_found"], asks_no_box]
        table.add_row(
            split,
            *(f"{count:,}" for count in (*counts, numbers["boxes"])),
            f"{tokens['total']:,}",
            f"{tokens['max']:,}",
            "-" if ceiling is None else f"{ceiling:.4f}",
        )
    table.caption = (
        "A box counts for each sample that asks for it; `grounding inspect` counts it once too, as an object. Tokens: "
        "16 a box and 1, and eos; words around boxes estimated. Grid ceiling: IoU of a perfect answer."
    )
    table.caption_justify = "left"
    return table


def _task_table(splits: Mapping[str, Mapping[str, Any]]) -> Table:
    """The samples of each task, by split."""
    table = Table("task", title="Samples by task", title_justify="left")
    for split in splits:
        table.add_column(split, justify="right")
    for task in TASKS:
        counts = [numbers["tasks"].get(task, 0) for numbers in splits.values()]
        if any(counts):
            table.add_row(task, *(f"{count:,}" for count in counts))
    return table


def _tell_tally(console: Console, tally: Tally, findings: Path, *, in_tiles: bool) -> None:
    """Each reason that was met: outcome, unit, number, meaning and a few places."""
    table = Table("outcome", "reason", "of", title="What was not plainly right", title_justify="left")
    table.add_column("n", justify="right")
    table.add_column("rule and examples", overflow="fold")
    colours = {"refused": "red", "mended": "yellow", "kept": "green"}
    for outcome, colour in colours.items():
        for reason, count in tally.having(outcome).items():  # type: ignore[arg-type]  # the keys are the outcomes
            examples = [f"{finding.place}: {finding.found}".rstrip(": ") for finding in tally.examples[reason][:SHOWN]]
            text = "\n".join([escape(REASONS[reason].meaning), *(f"[dim]{escape(example)}[/]" for example in examples)])
            unit = unit_of(reason, in_tiles=in_tiles)
            table.add_row(f"[{colour}]{outcome}[/]", reason, unit, f"{count:,}", text)
    if not table.row_count:
        console.print("Nothing was refused or mended.")
    else:
        print_whole(console, table)
        cut = any(count > len(tally.examples[reason]) for reason, count in tally.counts.items())
        most = f", of each reason the first {EXAMPLES:,}" if cut else ""
        console.print(f"All places{most}: {escape(str(findings))}", highlight=False)


def _class_table(splits: Mapping[str, Mapping[str, Any]]) -> Table:
    """The most and, of many, the rarest classes of all splits together."""
    totals: dict[str, list[int]] = {}
    for numbers in splits.values():
        for category, by_status in numbers["classes"].items():
            total = totals.setdefault(category, [0, 0, 0])
            for column, name in enumerate(("found", "not_found", "boxes")):
                total[column] += by_status[name]
    ordered = sorted(totals.items(), key=lambda item: (-item[1][2], item[0]))
    table = Table("class", title=f"Classes ({len(ordered)}), samples that ask for one", title_justify="left")
    for heading in ("found", "not found", BOXES_IN_ANSWERS):
        table.add_column(heading, justify="right")
    table.columns[0].overflow = "fold"  # names can be read in full
    half = CLASSES_SHOWN // 2
    shown = ordered if len(ordered) <= CLASSES_SHOWN else [*ordered[:half], ("...", []), *ordered[-half:]]
    for category, total in shown:
        table.add_row(escape(category), *(f"{number:,}" for number in total))
    return table


def _warnings(conversion: line.Conversion, options: line.Options) -> Iterator[str]:
    """What a user would rather know before training than after."""
    yield from conversion.remarks
    missing, listed = conversion.tally.counts.get("missing_image", 0), conversion.images_listed
    if missing >= MANY_MISSING * max(listed, 1):
        not_there = f"{missing:,} of {counted(listed, 'image')} {'is' if missing == 1 else 'are'} not there"
        yield f"{not_there}: does --images name the folder that file names start from?"
    if options.tiles:
        yield "an annotation may lie in several tiles: what follows from the cut is counted in each of them."
    shaped = options.caps != Caps() or options.tasks != line.Options().tasks
    for split, numbers in conversion.splits.items():
        if not numbers["samples"]:
            yield f"{split} has no sample; {split}.jsonl is empty."
        elif options.caps != Caps():
            yield from _changed_share(split, numbers, options)
        elif numbers["not_found_drawn"] < numbers["not_found_wanted"]:
            drawn = counted(numbers["not_found_drawn"], "not-found sample")
            yield (
                f"{split} has {drawn}, not the {numbers['not_found_wanted']} "
                "asked for: no more classes are known to be absent from its images."
            )
        for task, wanted in numbers.get("tasks_wanted", {}).items():
            if (possible := numbers["tasks_possible"][task]) < wanted:
                yield f"{split} allows {counted(possible, 'sample')} of {task}, not the {wanted} of its share."
        if shaped and (ready := numbers.get("ready", 0)):
            held, them = counted(ready, "sample"), "it" if ready == 1 else "them"
            yield f"{split} has {held} as the source holds {them}: --tasks, shares and caps do not touch {them}."
        over = numbers["label_tokens"]["over_budget"]
        if over:
            labels, them = counted(over, "label"), "it" if over == 1 else "them"
            yield f"{split} has {labels} of more than {BUDGET} tokens: raise finetune's token budget for {them}."
    chose_splits = options.group_by is not None or options.ratios != line.Options().ratios
    if chose_splits and any(choice.startswith("official") for choice in conversion.taken.values()):
        yield "official lists decide the splits: --split and --group-by have no say over the images that they name."
    if options.style not in get_args(Style):
        yield f"finetune and benchmark read {' and '.join(get_args(Style))}; {options.style} is for other programs."
    if not options.check_images:
        yield "images were not read: missing, broken and turned ones stay in, and copies may be in two splits."
    if options.negatives_from == "exhaustive" and any("named negatives" in name for name in conversion.taken):
        yield "the source names its negatives: with exhaustive absence, classes may be called absent that are there."


def _changed_share(split: str, numbers: Mapping[str, Any], options: line.Options) -> Iterator[str]:
    """That caps, which draw whatever is true, left another share of not-found samples than was asked for."""
    found, absent = numbers["found"], numbers["not_found"]
    if abs(absent - options.negatives * found) >= 1:
        yield (
            f"{split} has {counted(absent, 'not-found sample')} beside {counted(found, 'found one')}, not "
            f"{options.negatives:g} to one, as --negatives asks: the caps (--max-per-class, --max-per-image, "
            "--balance) changed the share."
        )


def _examples(conversion: line.Conversion) -> list[Any]:
    """A few found samples and one not found, from the first split that has any."""
    split = next(split for split, samples in conversion.samples.items() if samples)
    step = max(1, conversion.splits[split]["found"] // SHOWN)
    found: list[Any] = []
    absent: list[Any] = []
    passed = 0
    for sample in conversion.samples[split]:
        if not sample.boxes:
            absent = absent or [sample]
        else:
            if passed % step == 0 and len(found) < SHOWN:
                found.append(sample)
            passed += 1
        if absent and len(found) == SHOWN:
            break
    return found + absent
