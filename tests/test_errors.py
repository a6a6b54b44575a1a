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


def test_what_is_wrong_in_many_places_is_told_once_with_the_first_of_them() -> None:
    lacking = [InputError("there is no such file.", where=f"line {number}", fix="Name one.") for number in range(30)]
    broken = [f"broken {number}" for number in range(25)]
    error = ManyErrors("files", [*lacking[:29], *broken, lacking[29], "twice", "twice"])
    lines = str(error).splitlines()
    assert lines[0] == "files (57 problems)" and len(lines) == 22
    assert lines[1] == "  - 30 times: there is no such file. Name one. (line 0; line 1; line 2; ...)"
    assert lines[2] == "  - broken 0" and lines[-1] == "  ... and 8 more"
    assert len(error.problems) == 57 and error.problems[1] == "line 1: there is no such file. Name one."
    assert "  - 2 times: twice" in str(ManyErrors("words", ["twice", "twice"]))


def test_two_faults_of_one_place_name_it_once() -> None:
    same = [InputError("has no name", where="line 3")] * 2
    assert "  - 2 times: has no name (line 3)" in str(ManyErrors("lines", same))


def test_a_failed_run_is_no_wrong_call() -> None:
    assert RunError("out of memory").exit_status == 1
