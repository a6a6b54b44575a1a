"""The page inspect.html: which numbers stand where. Layout and words are in `templates`; no script is in it.

Knows an inspection; does not count anything. Everything that came from a user is escaped by the template engine.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from markupsafe import Markup, escape

from data_tools.inspection.fingerprints import NEAR
from data_tools.inspection.gallery import KINDS, OF_CLASS, Card
from data_tools.inspection.inspection import Inspection
from data_tools.inspection.measures import SMALL
from data_tools.inspection.plots import number_plot, shape_plot, size_plot, token_plot
from data_tools.inspection.remarks import is_cut, share
from data_tools.inspection.words import words_in
from grounding.page import layout
from grounding.page.words import Words, say

CLASSES = 500  # rows of the table of classes; all of them are in the JSON


def render_page(inspection: Inspection) -> str:
    """The whole page as one HTML text."""
    report, boxes = inspection.report, inspection.report["boxes"]
    words = words_in(inspection.lang)
    plots = [
        ("size", size_plot, boxes["shorter_side_cells"], boxes["n"]),
        ("shape", shape_plot, boxes["width_to_height"], boxes["n"]),
        ("number", number_plot, boxes["of_a_sample"], report["dataset"]["samples"]),
        ("tokens", token_plot, boxes["label_tokens"], report["dataset"]["samples"]),
    ]
    return layout.template(__package__, "inspect.html.j2", share=share, code=code, cut=is_cut).render(
        words=words,
        say=partial(say, words),
        report=report,
        dataset=report["dataset"],
        totals=totals(report["splits"]),
        classes=list(report["classes"].items())[:CLASSES],
        most=max((sum(entry["boxes"].values()) for entry in report["classes"].values()), default=0),
        plots=[(words["plots"][name][0], draw(spread, words)) for name, draw, spread, n in plots if n],
        places=places(boxes["places"]),
        cards=inspection.cards,
        kinds=kinds(inspection.cards, words),
        pairs=inspection.pairs,
        thumbnails=inspection.thumbnails,
        number_of={key: number for number, key in enumerate(inspection.thumbnails.inside)},
        SMALL=SMALL,
        NEAR=NEAR,
        style=layout.style(),
    )


def totals(splits: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Sums over all splits."""
    return {
        name: sum(split[name] for split in splits.values())
        for name in ("samples", "found", "not_found", "asks_no_box", "boxes")
    }


def places(numbers: Sequence[Sequence[int]]) -> list[dict[str, float]]:
    """The map of places: where each cell lies, its number, and how dark it is, 0 to 1."""
    most = max(map(max, numbers))
    return [
        {"x": x, "y": y, "n": n, "dark": n / most} for y, row in enumerate(numbers) for x, n in enumerate(row) if most
    ]


def kinds(cards: Sequence[Card], words: Words) -> list[dict[str, Any]]:
    """The kinds that cards are shown for, with a number for each: what looks odd first, then classes by name."""
    shown = Counter(kind for card in cards for kind in card.kinds)
    named = [*(kind for kind in KINDS if kind in shown), *sorted(kind for kind in shown if kind.startswith(OF_CLASS))]
    return [
        {"name": kind, "words": words["kinds"].get(kind) or kind.removeprefix(OF_CLASS), "n": shown[kind]}
        for kind in named
    ]


def code(text: str) -> Markup:
    """A text in which words between backticks are marked as code; all of it is escaped first."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))
