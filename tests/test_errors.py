"""The messages that users see: where, what, what to do, as sentences; many problems in one go."""

from __future__ import annotations

import pytest

from grounding.errors import InputError, ManyErrors, RunError


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (InputError("no such file"), "no such file"),
        (InputError("no such file", where="a.json"), "a.json: no such file"),
        (InputError("no such file", where="a.json", fix="Name one."), "a.json: no such file. Name one."),
        (InputError("There is no box.", fix="Draw one."), "There is no box. Draw one."),
        (ManyErrors("s", ["one", "two"], fix="Mend them."), "s (2 problems)\n  - one\n  - two\nMend them."),
        (ManyErrors("settings", ["one"]), "settings (1 problem)\n  - one"),
    ],
)
def test_a_message_is_made_of_sentences(error: InputError, message: str) -> None:
    assert str(error) == message
    assert error.exit_status == 2


def test_many_problems_are_cut_but_counted() -> None:
    error = ManyErrors("settings", [str(number) for number in range(25)])
    assert "(25 problems)" in str(error)
    assert str(error).endswith("... and 5 more")
    assert len(error.problems) == 25


def test_a_failed_run_is_no_wrong_call() -> None:
    assert RunError("out of memory").exit_status == 1
