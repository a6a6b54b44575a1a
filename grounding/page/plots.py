"""Plots as SVG that takes its colours from the style sheet, so that it follows light and dark. Knows no numbers.

A plot is drawn with stand-in colours; `svg` puts a variable of the style sheet in the place of each.
"""

from __future__ import annotations

import io
import re

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK, MUTED, LINE = "#010101", "#020202", "#030303"
ACCENT, CEILING, SECOND, BAD = "#040404", "#050505", "#060606", "#070707"
VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    LINE: "--line",
    ACCENT: "--accent",
    CEILING: "--ceiling",
    SECOND: "--second",
    BAD: "--bad",
}
SIZE = (6.0, 3.1)  # inches; the page scales it to its column


def empty_plot(size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    """A figure of so many inches and its axes, in the colours that `svg` knows."""
    figure = Figure(figsize=size, layout="constrained")
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


def svg(figure: Figure, label: str) -> Markup:
    """The figure as an <svg> element; text stays text. Words in it and the label must be ours: nothing is escaped."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": label}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    drawn = buffer.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r'(<svg\b[^>]*?) width="[^"]*"', r"\1", drawn, count=1)
    drawn = re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r"\1", drawn, count=1)
    drawn = drawn.replace("<svg ", f'<svg class="plot" role="img" aria-label="{label}" ', 1)
    for colour, variable in VARIABLES.items():
        drawn = drawn.replace(colour, f"var({variable})")
    return Markup(drawn)
