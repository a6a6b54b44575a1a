"""The reader on a table of answers, whole and broken: what each says, why parts are refused; and the writer's order."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from grounding.text import NOT_FOUND, REASONS, is_not_found, not_found_sentences, read_boxes, write_boxes

A, B = [86, 540, 400, 760], [1, 2, 3, 4]
ZH = "未找到指定目标"

# What a model may answer; the boxes it says; (reason, refused part) in order.
ANSWERS: list[tuple[str, list[list[int]], list[tuple[str, str]]]] = [
    # whole answers
    ("[[086,540,400,760]]", [A], []),
    ("[[086,540,400,760;001,002,003,004]]", [A, B], []),
    ("图片中存在一只狗，所在区域为[[086,540,400,760]]", [A], []),
    ("[[086,540,400,760]].", [A], []),
    ("A dog [[086,540,400,760]] and a cat [[001,002,003,004]].", [A, B], []),
    ("[[086,540,400,760]][[001,002,003,004]]", [A, B], []),
    ("[[001,002,003,004;001,002,003,004]]", [B, B], []),
    ("[[000,000,999,999]]", [[0, 0, 999, 999]], []),
    # other spellings of the same
    (" [ [ 086 , 540 , 400 , 760 ] ] ", [A], []),
    ("[[086,\n540,\t400,760;\n 001,002,003,004\n]]", [A, B], []),
    ("[[86,540,400,760]]", [A], []),
    ("［［０８６，５４０，４００，７６０；００１，００２，００３，００４］］", [A, B], []),
    ("【【086,540,400,760】】", [A], []),
    ("[【086、540、400、760】]", [A], []),
    ("[[086,540,400,760﹔1,2,3,4]]", [A, B], []),
    ("[[\u200b086,540,400,760\ufeff]]", [A], []),
    ("[[086,\u3000540,400,\u00a0760]]", [A], []),
    ("[[[086,540,400,760]]]", [A], []),
    ("[1] dog [[086,540,400,760]] [2]", [A], []),
    # a bad part is refused alone
    ("[[086,540,400;001,002,003,004]]", [B], [("count", "086,540,400")]),
    ("[[001,002,003,004;086,540,400,760,1]]", [B], [("count", "086,540,400,760,1")]),
    ("[[]]", [], [("count", "")]),
    ("[[ ; ]]", [], [("count", ""), ("count", "")]),
    ("[[001,002,003,004;]]", [B], [("count", "")]),
    ("[[001,002,003,004,]]", [], [("count", "001,002,003,004,")]),
    ("[[086 540 400 760]]", [], [("count", "086 540 400 760")]),
    ("[[0 8 6,540,400,760]]", [], [("count", "0 8 6,540,400,760")]),
    ("[[x0,y0,x1,y1]]", [], [("count", "x0,y0,x1,y1")]),
    ("[[a dog]] [[001,002,003,004]]", [B], [("count", "a dog")]),
    ("[[1e2,2,3,4]]", [], [("count", "1e2,2,3,4")]),
    ("[[10%,20%,30%,40%]]", [], [("count", "10%,20%,30%,40%")]),
    ("[[٠٨٦,540,400,760]]", [], [("count", "٠٨٦,540,400,760")]),
    ("[[1,2,3,4],[5,6,7,8]]", [], [("count", "1,2,3,4],[5,6,7,8")]),
    ("[[1,2,3,4];[5,6,7,8]]", [], [("count", "1,2,3,4]"), ("count", "[5,6,7,8")]),
    ("[[1,2,3,1000]]", [], [("range", "1,2,3,1000")]),
    ("[[0001,002,003,004]]", [], [("range", "0001,002,003,004")]),
    (f"[[1,2,3,{'9' * 5000}]]", [], [("range", f"1,2,3,{'9' * 5000}")]),
    ("[[400,540,086,760]]", [], [("inverted", "400,540,086,760")]),
    ("[[086,760,400,540]]", [], [("inverted", "086,760,400,540")]),
    ("[[086,540,086,760]]", [], [("empty_box", "086,540,086,760")]),
    ("[[086,540,400,540]]", [], [("empty_box", "086,540,400,540")]),
    ("[[-086,540,400,760]]", [], [("sign", "-086,540,400,760")]),
    ("[[086,540,+400,760]]", [], [("sign", "086,540,+400,760")]),
    ("[[086,540,400,−760]]", [], [("sign", "086,540,400,−760")]),
    ("[[086,540,400,－760]]", [], [("sign", "086,540,400,－760")]),
    ("[[0.086,0.54,0.4,0.76]]", [], [("decimal", "0.086,0.54,0.4,0.76")]),
    ("[[.086,540,400,760]]", [], [("decimal", ".086,540,400,760")]),
    ("[[086.,540,400,760]]", [], [("decimal", "086.,540,400,760")]),
    ("[[086．5,540,400,760]]", [], [("decimal", "086．5,540,400,760")]),
    # several faults: the first of count, sign, decimal, range, inverted, empty_box
    ("[[-1,0.5]]", [], [("count", "-1,0.5")]),
    ("[[-0.5,2,3,4000]]", [], [("sign", "-0.5,2,3,4000")]),
    ("[[0.5,2,3,4000]]", [], [("decimal", "0.5,2,3,4000")]),
    ("[[9,2,3,4000]]", [], [("range", "9,2,3,4000")]),
    ("[[9,2,3,2]]", [], [("inverted", "9,2,3,2")]),
    # groups that never close
    ("[[086,540,400,760", [], [("unclosed", "086,540,400,760")]),
    ("[[086,540,400,760]", [], [("unclosed", "086,540,400,760]")]),
    ("[[001,002,003,004;086,540,400,760", [B], [("unclosed", "086,540,400,760")]),
    ("[[001,002,003,004;086,54", [B], [("unclosed", "086,54")]),
    ("[[001,002,003,004;", [B], [("unclosed", "")]),
    ("[[", [], [("unclosed", "")]),
    ("[[1,2,3;001,002,003,004;", [B], [("count", "1,2,3"), ("unclosed", "")]),
    ("[[086,540,400,760 [[001,002,003,004]]", [B], [("unclosed", "086,540,400,760")]),
    ("[[086,540,400,760;1,2 [[001,002,003,004]]", [A, B], [("unclosed", "1,2")]),
    # nothing to read
    ("[086,540,400,760]", [], [("no_box", "[086,540,400,760]")]),
    ("086,540,400,760", [], [("no_box", "086,540,400,760")]),
    ("]] 1,2,3,4 ;;", [], [("no_box", "]] 1,2,3,4 ;;")]),
    ("I see a dog.", [], [("no_box", "I see a dog.")]),
    ("...", [], [("no_box", "...")]),
    (
        "There is none, sorry. No matching object was found.",
        [],
        [("no_box", "There is none, sorry. No matching object was found.")],
    ),
    ("", [], [("empty_text", "")]),
    (" \n\t\u3000\u200b", [], [("empty_text", " \n\t\u3000\u200b")]),
    # boxes and a not-found sentence contradict each other, whatever else is there
    (f"[[086,540,400,760]] {ZH}", [], [("boxes_and_not_found", f"[[086,540,400,760]] {ZH}")]),
    (
        "No matching object was found. [[001,002,003,004;5]]",
        [],
        [("boxes_and_not_found", "No matching object was found. [[001,002,003,004;5]]"), ("count", "5")],
    ),
    # ... but a bad box beside the sentence is only a bad box
    ("No matching object was found. [[5]]", [], [("count", "5")]),
]


@pytest.mark.parametrize(("text", "boxes", "refused"), ANSWERS, ids=[repr(row[0])[:40] for row in ANSWERS])
def test_what_an_answer_says(text: str, boxes: list[list[int]], refused: list[tuple[str, str]]) -> None:
    reading = read_boxes(text)
    assert reading.xyxy_grid.tolist() == boxes
    assert reading.xyxy_grid.shape == (len(boxes), 4) and reading.xyxy_grid.dtype == np.int64
    assert [(reason, text[start:end]) for reason, start, end in reading.refusals] == refused
    assert not reading.not_found


def test_the_table_has_every_reason() -> None:
    assert {reason for _, _, refused in ANSWERS for reason, _ in refused} == set(REASONS)


def test_groups_are_counted_with_those_that_hold_no_box() -> None:
    reading = read_boxes("[[1,2,3]] [[1,2,3,4;5,6,7,8]] [[9,9 [[1,2,3,4]]")
    assert reading.groups.tolist() == [1, 1, 3] and reading.groups.dtype == np.int64
    assert read_boxes("none").groups.shape == (0,)


@pytest.mark.parametrize(
    "text",
    [
        *NOT_FOUND.values(),
        "no matching object was found",
        " NO MATCHING OBJECT WAS FOUND!!! ",
        "No matching\nobject was found。",
        "“No matching object was found.”",
        "**No matching object was found.**",
        "`No matching object was found.`",
        "Ｎｏ ｍａｔｃｈｉｎｇ ｏｂｊｅｃｔ ｗａｓ ｆｏｕｎｄ．",
        "未找到指定目标。",
        "未 找 到 指 定 目 标",
        "「未找到指定目标」\u200b",
        "[未找到指定目标]",
    ],
)
def test_an_answer_that_is_a_not_found_sentence(text: str) -> None:
    reading = read_boxes(text)
    assert is_not_found(text) and reading.not_found
    assert reading.xyxy_grid.shape == (0, 4) and reading.refusals == []


@pytest.mark.parametrize(
    "text",
    ["", "...", "No", "found", "Sorry. No matching object was found.", "未找到", "No matching object was found 1"],
)
def test_an_answer_that_is_none(text: str) -> None:
    assert not is_not_found(text) and not read_boxes(text).not_found


def test_a_datasets_own_sentence_takes_the_place_of_the_usual_one_of_its_language() -> None:
    own = {"en": "Nothing here!"}
    assert is_not_found("nothing here", own) and not is_not_found("No matching object was found.", own)
    assert is_not_found(ZH, own)
    assert not_found_sentences(own) == {"en": "Nothing here!", "zh": ZH}
    assert not_found_sentences() == NOT_FOUND
    assert read_boxes("[[1,2,3,4]] Nothing here!", own).refusals[0].reason == "boxes_and_not_found"
    assert not read_boxes("[[1,2,3,4]] No matching object was found.", own).refusals


@pytest.mark.parametrize("said", ["...", ""])
def test_a_sentence_without_a_letter_is_never_said(said: str) -> None:
    assert not is_not_found("...", {"en": said})
    assert read_boxes("[[1,2,3,4]]...", {"en": said}).refusals == []


@pytest.mark.parametrize(
    ("text", "contradicts"),
    [
        ("none, but [[1,2,3,4]]", True),
        ("[[1,2,3,4]]none", True),
        ("a nonesuch [[1,2,3,4]]", False),
        ("no need [[1,2,3,4]]", False),
        ("noneany [[1,2,3,4]] none", True),
        ("图中none。[[1,2,3,4]]", True),
    ],
)
def test_a_short_sentence_is_no_piece_of_a_longer_word(text: str, contradicts: bool) -> None:
    refusals = read_boxes(text, {"en": "None"}).refusals
    assert [refusal.reason for refusal in refusals] == ["boxes_and_not_found"] * contradicts


def test_boxes_are_written_from_top_to_bottom_then_left_to_right_in_whatever_order_they_come() -> None:
    boxes = [[50, 10, 60, 20], [10, 50, 20, 60], [10, 10, 20, 30], [10, 10, 30, 20], [10, 10, 20, 20], [10, 10, 20, 20]]
    expected = "[[100,100,200,200;100,100,200,200;100,100,300,200;100,100,200,300;500,100,600,200;100,500,200,600]]"
    shuffler = random.Random(0)
    for _ in range(20):
        shuffler.shuffle(boxes)
        assert write_boxes(boxes, (100, 100)) == (expected, 0)


def test_the_order_is_that_of_the_cells_as_written() -> None:
    # In pixels the first is higher; in cells both start in the same row, and the second is further left.
    higher_by_less_than_a_cell = [[500, 10.1, 600, 50], [100, 10.4, 200, 50]]
    for boxes in itertools.permutations(higher_by_less_than_a_cell):
        assert write_boxes(boxes, (1000, 1000)).text == "[[100,010,200,050;500,010,600,050]]"
    # Widening moves the start of a box at the far edge before that of another.
    assert write_boxes([[0, 998.6, 9, 999], [500, 998, 600, 999]], (1000, 1000)) == (
        "[[000,998,009,999;500,998,600,999]]",
        1,
    )


def test_widened_counts_boxes_not_extents() -> None:
    assert write_boxes([[1, 1, 1, 1], [2, 2, 50, 2], [3, 3, 50, 50]], (100, 100)).widened == 2
