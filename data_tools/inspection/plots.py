"""The plots of the page: how many boxes, samples or labels there are of each size. Knows numbers, not the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape
from matplotlib.ticker import MaxNLocator

from data_tools.inspection.measures import SMALL
from grounding.page.plots import ACCENT, BAD, MUTED, SECOND, empty_plot, svg
from grounding.page.words import Words, say


def size_plot(spread: Mapping[str, Any], words: Words) -> Markup:
    """Boxes by the shorter of their sides; those that the grid itself costs much stand out."""
    colours = [BAD if edge <= SMALL else ACCENT for edge in spread["edges"]] + [ACCENT]
    return _bars(spread, _edges([f"{edge:g}" for edge in spread["edges"]]), words, "size", colours)


def shape_plot(spread: Mapping[str, Any], words: Words) -> Markup:
    """Boxes by width to height."""
    return _bars(spread, _edges(list(map(_ratio, spread["edges"]))), words, "shape")


def number_plot(spread: Mapping[str, Any], words: Words) -> Markup:
    """Samples by their boxes; absent things apart."""
    colours = [SECOND] + [ACCENT] * len(spread["edges"])
    return _bars(spread, _ranges(spread["edges"], 0), words, "number", colours)


def token_plot(spread: Mapping[str, Any], words: Words) -> Markup:
    """Labels by their tokens; those over the budget stand out."""
    colours = [ACCENT] * len(spread["edges"]) + [BAD]
    return _bars(spread, _ranges(spread["edges"], 1), words, "tokens", colours)


def _bars(
    spread: Mapping[str, Any], ticks: Mapping[float, str], words: Words, name: str, colours: Sequence[str] | None = None
) -> Markup:
    """A bar for each count; `ticks` are words by the place along the axis, the first bar standing at 0.

    `name` is that of the plot among the words, which has its heading and what its axes show.
    """
    figure, axes = empty_plot()
    counts = spread["counts"]
    bars = axes.bar(range(len(counts)), counts, width=0.84, color=colours or ACCENT)
    axes.bar_label(bars, [f"{n:,}" if n else "" for n in counts], color=MUTED, fontsize=7.5, padding=1)
    axes.set_xticks(list(ticks), list(ticks.values()), fontsize=8)
    axes.set_xlabel("{along}")
    axes.set_ylabel("{up}")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    drawn = str(svg(figure, "{label}"))
    _, along, up = words["plots"][name]
    said = {"label": say(words, "plots", "label", up=up, along=along), "along": along, "up": up}
    for place, word in said.items():  # last, since the library need not have their glyphs
        drawn = drawn.replace(f"{{{place}}}", str(escape(word)))
    return Markup(drawn)


def _edges(words: Sequence[str]) -> dict[float, str]:
    """Words that stand between the bars that they part."""
    return {place + 0.5: word for place, word in enumerate(words)}


def _ranges(edges: Sequence[int], least: int) -> dict[float, str]:
    """What the bars hold, of whole numbers from `least` on."""
    lows, highs = [least, *edges], [edge - 1 for edge in edges]
    inner = [f"{low}" if low == high else f"{low}\u2013{high}" for low, high in zip(lows, highs, strict=False)]
    return dict(enumerate([*inner, f"\u2265{edges[-1]}"]))


def _ratio(value: float) -> str:
    return f"{value:.3g}:1" if value >= 1 else f"1:{1 / value:.3g}"
