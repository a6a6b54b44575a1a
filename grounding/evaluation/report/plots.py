"""Draws the plots of the page as SVG that takes its colours from the style sheet, so that it follows light and dark.

Knows numbers and a few stand-in colours; does not know the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup, escape
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from grounding.page.plots import ACCENT, BAD, CEILING, MUTED, SECOND, empty_plot, svg
from grounding.page.words import Words


def iou_histogram(histogram: dict[str, Any], words: Words) -> Markup:
    """True boxes by their IoU with the box matched to them; those matched with none stand apart on the left.

    Args:
        words: of the page, whose `plots` stand for the labels.
    """
    figure, axes = empty_plot()
    bins: Sequence[int] = histogram["bins"]
    width = 1 / len(bins)
    middles = [(index + 0.5) * width for index in range(len(bins))]
    axes.bar(middles, bins, width=width * 0.86, color=ACCENT)
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
    figure, axes = empty_plot()
    thresholds = curve["threshold"]
    percent = {name: [100 * value for value in values] for name, values in curve.items()}
    axes.plot(thresholds, percent["ceiling"], color=CEILING, linewidth=1.5, linestyle=(0, (4, 2)))
    axes.plot(thresholds, percent["recall"], color=SECOND, linewidth=2)
    if with_accuracy:
        axes.plot(thresholds, percent["accuracy"], color=ACCENT, linewidth=2.4)
    axes.axvline(0.5, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 104)
    axes.set_xlabel("{threshold}")
    axes.set_ylabel("%")
    return _svg(figure, "curve_about", words)


def _svg(figure: Figure, about: str, words: Words) -> Markup:
    """The figure as an <svg> element; words come last: the library need not have their glyphs."""
    drawn = str(svg(figure, f"{{{about}}}"))
    for key, word in words["plots"].items():
        drawn = drawn.replace(f"{{{key}}}", str(escape(word)))
    return Markup(drawn)
