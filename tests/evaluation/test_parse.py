"""One status for each answer, the first that fits; broken answers as a table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grounding.evaluation.parse import STATUSES, judge
from grounding.text import NOT_FOUND, REASONS

GOOD = "[[086,540,400,760]]"
ROWS = [
    # text, finish, status, reason
    (GOOD, "eos", "boxes", None),
    (GOOD, "length", "boxes", None),
    (f"a dog at {GOOD}, a cat", None, "boxes", None),
    ("[[086,540,400,760;1,2,3]]", "eos", "boxes", None),
    ("[[086,540,400,760;100,200,3", "length", "boxes", None),
    ("[[086,540,4", "length", "cut_off", None),
    ("[[086,540,400,760", "length", "cut_off", None),
    ("The dog is", "length", "cut_off", None),
    ("", "length", "cut_off", None),
    (NOT_FOUND["en"], "length", "cut_off", None),
    ("[[086,540,4", "eos", "unparsable", "unclosed"),
    (NOT_FOUND["en"], "eos", "not_found", None),
    ("no matching object was found", None, "not_found", None),
    (NOT_FOUND["zh"] + "。", None, "not_found", None),
    (f"{GOOD} {NOT_FOUND['en']}", "eos", "unparsable", "boxes_and_not_found"),
    (f"{GOOD} {NOT_FOUND['en']}", "length", "unparsable", "boxes_and_not_found"),
    ("", "eos", "unparsable", "empty_text"),
    (" \n", None, "unparsable", "empty_text"),
    ("asdf !!", None, "unparsable", "no_box"),
    ("I cannot help with that.", None, "unparsable", "no_box"),
    ("There are 3 dogs, 2 cats, 1 bird and 4 cars", None, "unparsable", "no_box"),
    ("[[1,2,3]] and [[400,100,300,200]]", None, "unparsable", "count"),
    ("[[400,100,300,200]] and [[1,2,3]]", None, "unparsable", "inverted"),
    ("[[000,000,1000,1000]]", None, "unparsable", "range"),
    (None, None, "unparsable", "missing"),
]


@pytest.mark.parametrize(("text", "finish", "status", "reason"), ROWS)
def test_answers(text: str | None, finish: str | None, status: str, reason: str | None) -> None:
    judged = judge(text, finish)
    assert (judged.status, judged.reason) == (status, reason)
    assert bool(len(judged.xyxy_grid)) == (status == "boxes")


def test_the_datasets_own_sentence_counts() -> None:
    sentences = {"en": "Nothing here.", "zh": NOT_FOUND["zh"]}
    assert judge("nothing here", "eos", sentences).status == "not_found"
    assert judge(NOT_FOUND["en"], "eos", sentences).status == "unparsable"


@given(st.text(alphabet="[];,0123456789 .-anNo", max_size=60), st.sampled_from(["eos", "length", None]))
def test_any_text_has_exactly_one_status(text: str, finish: str | None) -> None:
    judged = judge(text, finish)
    assert judged.status in STATUSES
    assert (judged.reason is not None) == (judged.status == "unparsable")
    assert judged.reason is None or judged.reason in REASONS
    assert len(judged.groups) == len(judged.xyxy_grid)
