"""The page that sets several runs side by side: numbers with intervals, what was gained and lost, both answers drawn.

Knows report folders as `write` leaves them, and the data they were measured on; it does not measure anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from grounding.errors import InputError
from grounding.evaluation.metrics import OUTCOMES
from grounding.evaluation.report.headline import headline_rows
from grounding.evaluation.report.page import template
from grounding.page import layout
from grounding.page.thumbnails import Shape, Thumbnails, add_thumbnail, box_shape
from grounding.samples import Dataset, Sample, open_image

HIT = 0.5  # IoU from which a true box counts as found
TRUE, ANSWERED = "#12a150", "#ff5a1f"  # as in page.css
STRIP_SIDE, STRIP_TEXT = 256, 34  # pixels of a picture's width in `picture_strip`, and of the line under it


@dataclass(frozen=True)
class Run:
    """One report folder.

    Attributes:
        heading: of its column.
        report: what report.json holds.
        rows: what samples.jsonl holds, by sample id.
    """

    heading: str
    report: Mapping[str, Any]
    rows: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Pair:
    """One question and two answers; `picture` is the key of its thumbnail."""

    sample: Sample
    picture: str | None
    before: Mapping[str, Any]
    after: Mapping[str, Any]

    @property
    def shapes(self) -> tuple[Sequence[Shape], Sequence[Shape]]:
        """Of the first answer and of the second, true boxes first."""
        return _shapes(self.before), _shapes(self.after)


def read_run(heading: str, folder: Path) -> Run:
    """A report folder.

    Raises:
        InputError: report.json or samples.jsonl is not there or broken.
    """
    try:
        report = json.loads((folder / "report.json").read_text("utf-8"))
        lines = (folder / "samples.jsonl").read_text("utf-8").splitlines()
        return Run(heading, report, {row["id"]: row for row in map(json.loads, lines)})
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"is no report folder ({error!r}).", where=str(folder)) from error


def draw_pairs(dataset: Dataset, before: Run, after: Run, *, most: int, seed: int) -> tuple[list[Pair], Thumbnails]:
    """A seeded draw of the questions that both runs answered, in the order of the data: nobody picked them."""
    common = [
        sample
        for sample in dataset.samples
        if sample.boxes is not None and sample.id in before.rows and sample.id in after.rows
    ]
    chosen = sorted(Random(f"{seed}/pairs").sample(range(len(common)), min(most, len(common))))
    thumbnails = Thumbnails()
    pairs = []
    for sample in (common[index] for index in chosen):
        key, _ = add_thumbnail(sample, dataset.image_root, dataset.path.parent, thumbnails, follow_links=False)
        pairs.append(Pair(sample, key, before.rows[sample.id], after.rows[sample.id]))
    return pairs, thumbnails


def changes(before: Run, after: Run) -> dict[str, int]:
    """How many questions both runs answered rightly, only the one or the other, or neither."""
    counts = dict.fromkeys(("both", "gained", "lost", "neither"), 0)
    for name in before.rows.keys() & after.rows.keys():
        was, now = before.rows[name].get("right"), after.rows[name].get("right")
        if was is not None and now is not None:
            counts[
                {(True, True): "both", (False, True): "gained", (True, False): "lost"}.get((was, now), "neither")
            ] += 1
    return counts


def render_side_by_side(
    *,
    title: str,
    lead: str,
    groups: Sequence[tuple[str, Sequence[Run]]],
    tiles: Sequence[Mapping[str, Any]],
    pairs: Sequence[Pair],
    thumbnails: Thumbnails,
    notes: Sequence[tuple[str, str]],
    facts: Mapping[str, str],
    links: Mapping[str, str],
) -> str:
    """The page as one HTML text.

    Args:
        lead: the sentence under the title.
        groups: a heading for some columns and the runs in them; the first two runs of the first are the pair.
        tiles: {name, before, after, note} each, rates of two runs.
        pairs, thumbnails: from `draw_pairs`.
        notes: headings and texts as a terminal shows them, folded up.
        facts: what else a reader should know, by name.
        links: addresses of the whole reports, by name.
    """
    before, after = groups[0][1][:2]
    tables = [[headline_rows(run.report) for run in runs] for _, runs in groups]
    headline = [
        {
            "heading": group["heading"],
            "rows": [
                {**row, "rates": [_rates(runs, part, line) for runs in tables]}
                for line, row in enumerate(group["rows"])
            ],
        }
        for part, group in enumerate(tables[0][0])
    ]
    return template("side_by_side.html.j2").render(
        title=title,
        lead=lead,
        groups=groups,
        headline=headline,
        tiles=tiles,
        changes=changes(before, after),
        pairs=pairs,
        outcome_words=OUTCOMES,
        thumbnails=thumbnails,
        number_of={key: number for number, key in enumerate(thumbnails.inside)},
        headings=(before.heading, after.heading),
        notes=notes,
        facts=facts,
        links=links,
        PERFECT=None,
        style=layout.style(),
    )


def _rates(runs: Sequence[Sequence[Mapping[str, Any]]], part: int, line: int) -> list[Mapping[str, Any]]:
    """A row's rate of each run, out of their headline tables."""
    return [table[part]["rows"][line]["rate"] for table in runs]


def _shapes(row: Mapping[str, Any]) -> list[Shape]:
    shapes = [box_shape(box, "ignore") for box in row["ignore_px"]]
    shapes += [box_shape(box, "true", alone=iou < HIT) for box, iou in zip(row["true_px"], row["ious"], strict=True)]
    for box, matched, left_out in zip(row["boxes_px"], row["matched"], row["left_out"], strict=True):
        alone = matched is None or row["ious"][matched] < HIT
        shapes.append(box_shape(box, "answered", alone=alone, left_out=left_out))
    return shapes


def picture_strip(dataset: Dataset, before: Run, after: Run, *, most: int) -> Image.Image:
    """The first English questions of the data, the answers of one run above those of the other, true boxes in green."""
    asked = [sample for sample in dataset.samples if sample.lang == "en" and sample.boxes is not None][:most]
    rows = [[_answered_picture(dataset, sample, run) for sample in asked] for run in (before, after)]
    height = max((tile.height for row in rows for tile in row), default=1)
    strip = Image.new("RGB", (STRIP_SIDE * max(1, len(asked)), height * len(rows)), "white")
    for top, row in enumerate(rows):
        for left, tile in enumerate(row):
            strip.paste(tile, (left * STRIP_SIDE, top * height))
    return strip


def _answered_picture(dataset: Dataset, sample: Sample, run: Run) -> Image.Image:
    """A picture with true and answered boxes, and under it who was asked for what and what became of it."""
    row = run.rows[sample.id]
    with open_image(dataset.image_root, sample) as photo:
        scale = STRIP_SIDE / photo.width
        picture = photo.resize((STRIP_SIDE, round(scale * photo.height)), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    for colour, boxes in ((TRUE, row["true_px"]), (ANSWERED, row["boxes_px"])):
        for box in boxes:
            pen.rectangle([scale * edge for edge in box], outline=colour, width=3)
    tile = Image.new("RGB", (STRIP_SIDE, picture.height + STRIP_TEXT), "white")
    tile.paste(picture)
    text = f"{run.heading}: {sample.phrase}? {row['outcome'].replace('_', ' ')}"
    ImageDraw.Draw(tile).text((6, picture.height + 8), text, fill="black", font=ImageFont.load_default(size=15))
    return tile
