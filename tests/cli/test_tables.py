"""Tables of any width in terminals of any width: every cell stands there whole."""

from __future__ import annotations

import io
from itertools import product

import pytest
from rich.console import Console
from rich.table import Table

from grounding.cli.tables import UNBOUNDED, output, print_whole

HEADINGS = ("samples", "not found", "boxes in answers", "label tokens", "longest", "grid ceiling")


def table(columns: int, rows: int, name: str) -> Table:
    made = Table("split", title="Samples", caption="What a box is.")
    made.columns[0].overflow = "fold" if name.endswith("class") else "ellipsis"
    for number in range(columns):
        made.add_column(HEADINGS[number % len(HEADINGS)], justify="right")
    for row in range(rows):
        made.add_row(f"{name}{row}", *(f"{10_000_000 + 1000 * row + number:,}" for number in range(columns)))
    return made


def printed(made: Table, width: int) -> str:
    file = io.StringIO()
    print_whole(Console(file=file, width=width), made)
    return file.getvalue()


@pytest.mark.parametrize(("columns", "rows", "width"), [*product((1, 5, 11), (1, 3, 20), (30, 80, 200))])
def test_no_number_and_no_name_is_cut(columns: int, rows: int, width: int) -> None:
    text = printed(table(columns, rows, "train"), width)
    for row in range(rows):
        assert f"train{row}" in text
        assert all(f"{10_000_000 + 1000 * row + number:,}" in text for number in range(columns))
    assert "…" not in text
    for heading in HEADINGS[:columns]:
        assert all(word in text for word in heading.split())


def test_a_wide_table_of_few_rows_is_turned_to_fit() -> None:
    lines = printed(table(11, 3, "train"), 80).splitlines()
    assert max(map(len, lines)) <= 80
    assert any("split" in line and "train0" in line and "train2" in line for line in lines)


def test_long_names_are_folded_before_numbers_give_way() -> None:
    lines = printed(table(4, 20, f"{'very ' * 20}class"), 80).splitlines()
    assert max(map(len, lines)) <= 80
    assert any("10,019,003" in line for line in lines)


def test_a_pipe_has_no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert output().width == UNBOUNDED
    assert all(len(line) < 200 for line in printed(table(5, 3, "train"), UNBOUNDED).splitlines())
    monkeypatch.setenv("COLUMNS", "70")
    assert output().width == 70
