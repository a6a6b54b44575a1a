"""Writes the folder of a comparison: compare.json, compare.md and, last, compare.html, each whole or not at all.

Knows comparisons; does not know models or the command line.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from grounding.evaluation.comparison.compare import compare
from grounding.evaluation.comparison.runs import Run, also_of
from grounding.evaluation.report.compare_cards import make_compare_cards, most_changed
from grounding.evaluation.report.compare_page import Group, render_comparison
from grounding.evaluation.report.limits import MOST_COMPARED
from grounding.evaluation.report.markdown import comparison_markdown
from grounding.samples import write_json_atomic, write_text_atomic

GALLERY = (
    "{shown} of the {reworded} answers with another text: those lost and gained by turns, the largest change first, "
    "then the others. A sample's quality is the F1 of its boxes with IoU in place of hits; absent, right or wrong."
)


def groups_of(runs: Sequence[Run], *, seed: int = 0) -> list[Group]:
    """The comparison of the runs, and that of each set that rode along with all of them."""
    groups = [(str(runs[0].report["data"].get("name", "")), compare(runs, seed=seed))]
    groups += [(name, compare(some, seed=seed)) for name, some in also_of(runs)]
    return groups


def write_comparison(
    out: Path,
    groups: Sequence[Group],
    *,
    images: Path | None = None,
    cards: int = MOST_COMPARED,
    follow_links: bool = False,
) -> dict[str, Any]:
    """Writes the comparison and returns what compare.json holds; `also` in it has the sets that rode along.

    Args:
        groups: from `groups_of`. images: the image root, in place of the one that the first report names.
        cards: samples shown with all answers, those that changed most.

    Raises:
        RunError: the folder cannot be written.
    """
    comparison = groups[0][1]
    root = Path(comparison.table["data"].get("image_root") or ".") if images is None else images
    shown, thumbnails = make_compare_cards(comparison, most_changed(comparison, cards), root, follow_links=follow_links)
    headings = [run["heading"] for run in comparison.table["runs"]]
    page = render_comparison(
        groups,
        shown,
        thumbnails,
        title=" against ".join([", ".join(headings[1:]), headings[0]]),
        gallery=GALLERY.format(
            shown=len(shown), reworded=" and ".join(str(int(changes.reworded.sum())) for changes in comparison.changes)
        ),
        links=_links(out, comparison.table["runs"]),
    )
    table = {**comparison.table, "also": {name: also.table for name, also in groups[1:]}}
    write_json_atomic(out / "compare.json", table)
    write_text_atomic(out / "compare.md", comparison_markdown([(name, one.table) for name, one in groups]))
    write_text_atomic(out / "compare.html", page)
    return table


def _links(out: Path, runs: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The addresses of the reports, as seen from the folder, of those that lie on the same drive."""
    found = {}
    for run in runs:
        page = Path(run["folder"]) / "report.html"
        if page.is_file() and page.resolve().anchor == out.resolve().anchor:
            found[run["heading"]] = quote(Path(os.path.relpath(page.resolve(), out.resolve())).as_posix())
    return found
