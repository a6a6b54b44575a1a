"""Tables in the terminal in which no number and no name is ever cut. Knows rich; does not know what is told.

A table that is too wide folds its elastic columns (`overflow="fold"`), else it is turned, rows for columns, else it is
left to the terminal to wrap. Into a file or a pipe everything goes as wide as it is.
"""

from __future__ import annotations

import os

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Column, Table

UNBOUNDED = 10_000  # cells; wider than any line that is printed
ELASTIC = 12  # cells that a column of names keeps when it is folded


def output() -> Console:
    """Standard output, without an end of lines where no terminal gives it one (nor the user, by COLUMNS)."""
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = UNBOUNDED
    return console


def print_whole(console: Console, table: Table) -> None:
    """Prints a table so that every cell can be read whole."""
    if _natural(console, table) > console.width:
        turned, least = _turned(table), _least(console, table)
        if least > console.width >= _natural(console, turned):
            table = turned
        else:
            if least > console.width:
                table.width = least
            for column in table.columns:
                if column.overflow != "fold":
                    column.width = _least_of(console, column)
    console.print(table, crop=False)


def _turned(table: Table) -> Table:
    """The same cells, a column for each row."""
    names, *others = table.columns
    turned = Table(
        Column(names.header), title=table.title, title_justify="left", caption=table.caption, caption_justify="left"
    )
    for name in names.cells:
        turned.add_column(name, justify="right")
    for column in others:
        turned.add_row(column.header, *column.cells)
    return turned


def _natural(console: Console, table: Table) -> int:
    """Cells that a table takes where nothing of it is wrapped."""
    return _measured(console, table).maximum


def _least(console: Console, table: Table) -> int:
    """Cells that a table takes where its headings are wrapped and its elastic columns folded."""
    spared = (_widest(console, column.header, *column.cells) - _least_of(console, column) for column in table.columns)
    return _natural(console, table) - sum(spared)


def _least_of(console: Console, column: Column) -> int:
    """The longest word of the heading or the longest cell; of an elastic column no more than it keeps."""
    whole = max(_measured(console, column.header).minimum, _widest(console, *column.cells))
    return min(whole, ELASTIC) if column.overflow == "fold" else whole


def _widest(console: Console, *cells: RenderableType) -> int:
    return max((_measured(console, cell).maximum for cell in cells), default=0)


def _measured(console: Console, cell: RenderableType) -> Measurement:
    return Measurement.get(console, console.options.update(width=UNBOUNDED), cell)
