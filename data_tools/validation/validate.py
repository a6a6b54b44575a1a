"""The whole validation on one page: open -> look at every sample -> read images -> tell. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_tools.inspection.findings import empty_splits
from data_tools.inspection.image_findings import fault_findings, leak_findings, likeness_findings
from data_tools.inspection.leaks import check_groups, files_of
from data_tools.inspection.likeness import alike
from data_tools.inspection.opening import Opened, open_splits
from data_tools.inspection.pictures import look_at_all
from data_tools.inspection.remarks import Remark, plain, remark, worst_first
from data_tools.inspection.table import make_table
from data_tools.inspection.unlabelled import unlabelled_findings
from data_tools.inspection.words import words_in
from data_tools.progress import Progress, counting
from data_tools.splits import group_pattern
from data_tools.stats import BUDGET
from data_tools.validation.judging import Judge, Measure, estimate


def validate(
    path: Path,
    images: Path | None = None,
    *,
    measure: Measure = estimate,
    max_label_tokens: int = BUDGET,
    check_images: bool = True,
    group_by: str | None = None,
    follow_links: bool = False,
    lang: str = "en",
    progress: Progress = lambda *_: None,
) -> dict[str, Any]:
    """Looks whether a dataset can be trained on and its numbers believed.

    Args:
        path: a folder that `grounding convert` made, one JSONL file, or CogVLM's `images/` and `labels/`.
        images: an image root in place of the one that the manifest names.
        measure: how long a sample is for a model, and what of it cannot be trained on.
        max_label_tokens: the longest label allowed, its end included.
        check_images: read every image.
        lang: of the words of what is found.
        group_by: what this regular expression captures of image names must not be in two splits; else as converted.

    Returns:
        JSON-ready: `sound`, whether there is no fault; `findings`, worst first; `samples` and `images`, how many were
        read; `longest`, in tokens.

    Raises:
        InputError: there is no dataset, its manifest cannot be read, or the expression is none. Lines that cannot be
            read are findings.
    """
    words = words_in(lang)
    opened = open_splits(path, images, tolerant=True)
    group = group_pattern(group_by or opened.group_by)
    judge = Judge(opened.not_found, measure, max_label_tokens)
    total = sum(len(dataset.samples) for dataset in opened.splits.values())
    advance = counting("looking at samples", total, progress)
    for split, dataset in opened.splits.items():
        for sample in dataset.samples:
            judge.look(split, sample)
            advance(1)
    table = make_table(opened.splits, counting("reading samples", total, progress))
    check_groups(group if group_by else None, table.pictures)
    advance = counting("reading images", len(table.pictures), progress)
    looks = look_at_all(table.pictures, follow_links=follow_links, advance=advance) if check_images else []
    progress("comparing images", 0, None)
    files = files_of(table, looks)
    remarks = worst_first(
        [
            *_unreadable(opened),
            *empty_splits(opened),
            *judge.remarks(),
            *unlabelled_findings(table, words),
            *fault_findings(looks),
            *leak_findings(files, table.splits, group),
            *likeness_findings(alike(files, len(table.splits)), table.splits),
        ]
    )
    return {
        "sound": not any(one.level == "fault" for one in remarks),
        "findings": plain(remarks, words),
        "samples": total,
        "images": sum(look.fault != "missing" for look in looks),
        "longest": judge.longest,
    }


def _unreadable(opened: Opened) -> Iterator[Remark]:
    """Splits with lines that cannot be read, and how many samples of them were looked at all the same."""
    for split, lines in opened.faults.items():
        others = len(opened.splits[split].samples) if split in opened.splits else 0
        yield remark("unreadable_lines", "fault", lines, split=split, others=others)
