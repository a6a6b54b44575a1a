"""Draws the plots of the page as SVG that takes its colours from the style sheet, so that it follows light and dark.

Knows numbers and a few stand-in colours; does not know the page.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from grounding.evaluation.report.words import Words

# Colours to draw with, each replaced in the SVG by a variable of the style sheet.
INK, MUTED, LINE = "#010101", "#020202", "#030303"
MODEL, CEILING, RECALL, BAD = "#040404", "#050505", "#060606", "#070707"
VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    LINE: "--line",
    MODEL: "--accent",
    CEILING: "--ceiling",
    RECALL: "--second",
    BAD: "--bad",
}
SIZE = (6.0, 3.1)  # inches; the page scales it to its column


def iou_histogram(histogram: dict[str, Any], words: Words) -> Markup:
    """True boxes by their IoU with the box matched to them; those matched with none stand apart on the left.

    Args:
        words: of the page, whose `plots` stand for the labels.
    """
    figure, axes = _figure()
    bins: Sequence[int] = histogram["bins"]
    width = 1 / len(bins)
    middles = [(index + 0.5) * width for index in range(len(bins))]
    axes.bar(middles, bins, width=width * 0.86, color=MODEL)
    axes.bar([-0.1], [histogram["unmatched"]], width=width * 1.6, color=BAD)
    axes.axvline(0.5, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    axes.set_xticks([-0.1, 0, 0.25, 0.5, 0.75, 1], ["{none}", "0", "0.25", "0.5", "0.75", "1"])
    axes.set_xlabel("{iou}")
    axes.set_ylabel("{boxes}")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return _svg(figure, "histogram_about", words)


def accuracy_by_threshold(curve: dict[str, list[float]], words: Words, *, with_accuracy: bool) -> Markup:
    """By IoU threshold: share of true boxes matched, of single boxes hit by the first box, and the grid's ceiling.

    Each line has its name below it in the page, in its colour: a legend inside would lie over some model's line.
    """
    figure, axes = _figure()
    thresholds = curve["threshold"]
    percent = {name: [100 * value for value in values] for name, values in curve.items()}
    axes.plot(thresholds, percent["ceiling"], color=CEILING, linewidth=1.5, linestyle=(0, (4, 2)))
    axes.plot(thresholds, percent["recall"], color=RECALL, linewidth=2)
    if with_accuracy:
        axes.plot(thresholds, percent["accuracy"], color=MODEL, linewidth=2.4)
    axes.axvline(0.5, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 104)
    axes.set_xlabel("{threshold}")
    axes.set_ylabel("%")
    return _svg(figure, "curve_about", words)


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE, layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    figure.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(LINE)
    axes.tick_params(colors=MUTED, labelcolor=INK, length=3, labelsize=9)
    axes.xaxis.label.set_color(MUTED)
    axes.yaxis.label.set_color(MUTED)
    axes.grid(axis="y", color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    return figure, axes


def _svg(figure: Figure, about: str, words: Words) -> Markup:
    """The figure as an <svg> element; text stays text, and words come last: the library need not have their glyphs."""
    buffer = io.StringIO()
    # Words and numbers are ours, so nothing in here needs escaping.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": about}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg\b[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = svg.replace("<svg ", f'<svg class="plot" role="img" aria-label="{{{about}}}" ', 1)
    for key, word in words["plots"].items():
        svg = svg.replace(f"{{{key}}}", str(escape(word)))
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return Markup(svg)
