"""Draws the plots of the page as SVG that takes its colours from the style sheet, so that it follows light and dark.

Knows numbers and a few stand-in colours; does not know the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from grounding.page.plots import ACCENT, BAD, CEILING, INK, MUTED, SECOND, empty_plot, svg


def iou_histogram(histogram: dict[str, Any]) -> Markup:
    """True boxes by their IoU with the box matched to them; those matched with none stand apart on the left."""
    figure, axes = empty_plot()
    bins: Sequence[int] = histogram["bins"]
    width = 1 / len(bins)
    middles = [(index + 0.5) * width for index in range(len(bins))]
    axes.bar(middles, bins, width=width * 0.86, color=ACCENT)
    axes.bar([-0.1], [histogram["unmatched"]], width=width * 1.6, color=BAD)
    axes.axvline(0.5, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    axes.set_xticks([-0.1, 0, 0.25, 0.5, 0.75, 1], ["none", "0", "0.25", "0.5", "0.75", "1"])
    axes.set_xlabel("IoU with the matched box")
    axes.set_ylabel("true boxes")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return svg(figure, "Histogram of the IoU of true boxes with the box matched to them")


def accuracy_by_threshold(curve: dict[str, list[float]], *, with_accuracy: bool) -> Markup:
    """By IoU threshold: share of true boxes matched, of single boxes hit by the first box, and the grid's ceiling."""
    figure, axes = empty_plot()
    thresholds = curve["threshold"]
    percent = {name: [100 * value for value in values] for name, values in curve.items()}
    axes.plot(thresholds, percent["ceiling"], color=CEILING, linewidth=1.5, linestyle=(0, (4, 2)), label="grid ceiling")
    axes.plot(thresholds, percent["recall"], color=SECOND, linewidth=2, label="true boxes matched")
    if with_accuracy:
        axes.plot(thresholds, percent["accuracy"], color=ACCENT, linewidth=2.4, label="first box right (one true box)")
    axes.axvline(0.5, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 104)
    axes.set_xlabel("IoU threshold")
    axes.set_ylabel("%")
    axes.legend(loc="lower left", frameon=False, labelcolor=INK, fontsize=9)
    return svg(figure, "Share of boxes right by IoU threshold, with the ceiling of the box grid")
