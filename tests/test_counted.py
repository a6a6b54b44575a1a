"""One thing, and several."""

from __future__ import annotations

from grounding.counted import counted


def test_the_noun_follows_the_number() -> None:
    assert [counted(number, "file") for number in (0, 1, 2, 1024)] == ["0 files", "1 file", "2 files", "1,024 files"]
    assert counted(1, "sample is", "samples are") == "1 sample is"
    assert counted(1, "process", "processes") == "1 process" and counted(3, "matrix", "matrices") == "3 matrices"
