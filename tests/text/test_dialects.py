"""Each family's box text: golden strings, round trips, and the broken answers that other readers take for boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grounding.errors import InputError
from grounding.geometry import iou_pairs
from grounding.text import DIALECTS, NOT_FOUND, Dialect, dialect_named, read_boxes, read_written, write_boxes
from grounding.text.dialects.qwen import MAX_PIXELS, MIN_PIXELS, PATCH, smart_resize

SIZE = (640, 480)
ONE = [64.0, 120.0, 320.0, 360.0]  # a tenth, a quarter, a half, three quarters
TWO = [[320.0, 240.0, 640.0, 480.0], ONE]
ALL = [dialect_named(name) for name in DIALECTS]

# What each family writes for ONE, and for TWO (in its order), by hand from its documents.
GOLDEN = {
    "cogvlm": ("[[100,250,500,750]]", "[[100,250,500,750;500,500,999,999]]"),
    "qwen2.5-vl": (
        '```json\n[\n\t{"bbox_2d": [64, 119, 322, 357], "label": "cat"}\n]\n```',
        '```json\n[\n\t{"bbox_2d": [64, 119, 322, 357], "label": "cat"},\n'
        '\t{"bbox_2d": [322, 238, 644, 476], "label": "cat"}\n]\n```',
    ),
    "qwen3-vl": (
        '```json\n[\n\t{"bbox_2d": [100, 250, 500, 750], "label": "cat"}\n]\n```',
        '```json\n[\n\t{"bbox_2d": [100, 250, 500, 750], "label": "cat"},\n'
        '\t{"bbox_2d": [500, 500, 1000, 1000], "label": "cat"}\n]\n```',
    ),
    "internvl": (
        "<ref>cat</ref><box>[[100, 250, 500, 750]]</box>",
        "<ref>cat</ref><box>[[100, 250, 500, 750], [500, 500, 1000, 1000]]</box>",
    ),
    "paligemma": (
        "<loc0256><loc0102><loc0768><loc0512> cat",
        "<loc0256><loc0102><loc0768><loc0512> cat ; <loc0512><loc0512><loc1023><loc1023> cat",
    ),
}

# Answers as they are met: (dialect, text, cells as x0 y0 x1 y1, reasons of the refused parts).
MET = [
    ("qwen3-vl", '[{"bbox_2d": [1, 2, 3, 4], "label": "a"}]', [[1, 2, 3, 4]], []),
    ("qwen3-vl", '{"bbox_2d":[1,2,3,4]}', [[1, 2, 3, 4]], []),
    ("qwen3-vl", 'It is here: {"label": "a", "bbox_2d": [ 1,\n2, 3, 1000 ]}.', [[1, 2, 3, 1000]], []),
    ("qwen3-vl", '[{"bbox_2d": [1, 2, 3, 4]}, {"bbox_2d": [5, 6, 7', [[1, 2, 3, 4]], ["unclosed"]),
    ("qwen3-vl", '[{"bbox_2d": [1, 2, 3]}, {"bbox_2d": [5, 6, 7, 8]}]', [[5, 6, 7, 8]], ["count"]),
    ("qwen3-vl", '{"bbox_2d": [1, 2, 3, 1001]}', [], ["range"]),
    ("qwen3-vl", '{"bbox_2d": [0.1, 0.2, 0.3, 0.4]}', [], ["decimal"]),
    ("qwen3-vl", '{"bbox_2d": [[1, 2, 3, 4]]}', [], ["count"]),
    ("qwen3-vl", '{"bbox_2d": "none", "label": "a"}', [], ["count"]),
    ("qwen3-vl", '{"point_2d": [10, 20], "label": "a"}', [], ["no_box"]),
    ("qwen3-vl", "[[001,002,003,004]]", [], ["no_box"]),
    ("qwen3-vl", "[1, 2, 3, 4]", [], ["no_box"]),
    ("qwen3-vl", "There are 3 dogs, 2 cats, 1 bird and 4 cars", [], ["no_box"]),
    ("qwen2.5-vl", '{"bbox_2d": [0, 0, 644, 476]}', [[0, 0, 644, 476]], []),
    ("qwen2.5-vl", '{"bbox_2d": [0, 0, 645, 476]}', [], ["range"]),
    ("qwen2.5-vl", '{"bbox_2d": [0, 0, 644, 480]}', [], ["range"]),
    (
        "qwen2.5-vl",
        "<|object_ref_start|>a<|object_ref_end|><|box_start|>(1,2),(30,40)<|box_end|><|box_start|>(5,6),(7,8)",
        [[1, 2, 30, 40]],
        ["unclosed"],
    ),
    ("qwen2.5-vl", "<|box_start|>(1,2)<|box_end|>", [], ["count"]),
    ("internvl", "[[1, 2, 3, 4]]", [[1, 2, 3, 4]], []),
    ("internvl", "a <box>[[1,2,3,4],[5,6,7,8]]</box>", [[1, 2, 3, 4], [5, 6, 7, 8]], []),
    ("internvl", "<box>[[1, 2, 3, 4], [5, 6, 7", [[1, 2, 3, 4]], ["unclosed"]),
    ("internvl", "<box>[[0.1, 0.2, 0.3, 0.4]]</box>", [], ["decimal"]),
    ("internvl", "<box>[[1, 2, 3, 4; 5, 6, 7, 8]]</box>", [], ["count"]),
    ("internvl", "<ref>cat</ref>", [], ["no_box"]),
    ("paligemma", "<loc0001><loc0002><loc0003><loc0004> cat", [[2, 1, 4, 3]], []),
    ("paligemma", "<loc0001> <loc0002> <loc0003> <loc0004>", [[2, 1, 4, 3]], []),
    ("paligemma", "<loc0001><loc0002><loc0003><loc0004> cat ; <loc0001><lo", [[2, 1, 4, 3]], ["count"]),
    ("paligemma", "<loc0001><loc0002><loc0003><loc00", [], ["unclosed"]),
    ("paligemma", "<loc0001><loc0002><loc0003><loc1024>", [], ["range"]),
    ("paligemma", "<loc0001><loc0002><loc0003> cat", [], ["count"]),
    ("paligemma", "<loc0003><loc0002><loc0001><loc0004> cat", [], ["inverted"]),
    ("paligemma", "cat", [], ["no_box"]),
    ("paligemma", "", [], ["empty_text"]),
]


@pytest.mark.parametrize("dialect", ALL, ids=lambda dialect: dialect.name)
def test_golden_strings(dialect: Dialect) -> None:
    one, two = GOLDEN[dialect.name]
    assert dialect.write([ONE], SIZE, "cat").text == one
    assert dialect.write(TWO, SIZE, "cat").text == two
    assert len(dialect.read(two, SIZE).xyxy_grid) == 2
    back = dialect.scale.to_pixels(dialect.read(one, SIZE).xyxy_grid, SIZE)
    assert np.allclose(back, [ONE], atol=0.5)


@pytest.mark.parametrize(("name", "text", "cells", "reasons"), MET)
def test_answers_as_they_are_met(name: str, text: str, cells: list[list[int]], reasons: list[str]) -> None:
    reading = dialect_named(name).read(text, SIZE)
    assert reading.xyxy_grid.tolist() == cells
    assert [refusal.reason for refusal in reading.refusals] == reasons
    assert not reading.not_found


@pytest.mark.parametrize(
    "text", ["[]", "```json\n[]\n```", '{"bbox_2d": null}', '```json\n[{"bbox_2d": null, "label": "a"}]```']
)
def test_what_json_has_for_none_is_not_found_in_qwens_form_alone(text: str) -> None:
    for dialect in ALL:
        assert dialect.read(text, SIZE).not_found == dialect.name.startswith("qwen")
    assert not dialect_named("qwen3-vl").read(f"{text} x", SIZE).not_found


@pytest.mark.parametrize("dialect", ALL, ids=lambda dialect: dialect.name)
def test_the_sentences_hold_in_every_form(dialect: Dialect) -> None:
    for sentence in NOT_FOUND.values():
        assert dialect.read(sentence, SIZE).not_found
        both = dialect.read(f"{dialect.write([ONE], SIZE).text} {sentence}", SIZE)
        assert both.refusals[0].reason == "boxes_and_not_found" and not len(both.xyxy_grid)


@st.composite
def framed_boxes(draw: st.DrawFn) -> tuple[np.ndarray, tuple[int, int]]:
    size = draw(st.integers(20, 3000)), draw(st.integers(20, 3000))
    share = st.floats(0, 1)
    corners = [sorted([draw(share), draw(share)]) for _ in range(2 * draw(st.integers(1, 5)))]
    boxes = [[x[0], y[0], x[1], y[1]] for x, y in zip(corners[::2], corners[1::2], strict=True)]
    return np.array(boxes) * np.tile(size, 2), size


@pytest.mark.parametrize("dialect", ALL, ids=lambda dialect: dialect.name)
@given(framed=framed_boxes(), phrase=st.sampled_from(["cat", "左边的狗", 'a "b"', "50%"]))
def test_what_is_read_is_what_was_written(
    dialect: Dialect, framed: tuple[np.ndarray, tuple[int, int]], phrase: str
) -> None:
    boxes, size = framed
    reading = dialect.read(dialect.write(boxes, size, phrase).text, size)
    assert not reading.refusals and not reading.not_found
    cells, _ = dialect.scale.to_cells(boxes, size)
    assert sorted(reading.xyxy_grid.tolist()) == sorted(cells.tolist())
    assert np.allclose(dialect.scale.ceiling(boxes, size), iou_pairs(boxes, dialect.scale.to_pixels(cells, size)))
    step = np.tile(size, 2) / np.tile(dialect.scale.parts(size), 2)
    assert (np.abs(dialect.scale.to_pixels(cells, size) - boxes) <= 2 * step + 1e-6).all()


@pytest.mark.parametrize("dialect", ALL, ids=lambda dialect: dialect.name)
@given(
    text=st.lists(
        st.sampled_from(
            [
                "[[",
                "]]",
                "],[",
                "[",
                "]",
                ",",
                "1",
                "999",
                "-",
                ".",
                '"bbox_2d": ',
                "{",
                "}",
                "<loc",
                "0001>",
                "<|box_start|>",
                "(",
                ")",
                "<|box_end|>",
                "null",
                " ",
                "```",
                "１",
                "½",
                "\ud800",
            ]
        ),
        max_size=40,
    ).map("".join)
)
def test_any_text_is_read(dialect: Dialect, text: str) -> None:
    reading = dialect.read(text, SIZE)
    assert reading.not_found or len(reading.xyxy_grid) or reading.refusals
    assert all(0 <= refusal.start <= refusal.end <= len(text) for refusal in reading.refusals)
    assert (reading.xyxy_grid[:, :2] < reading.xyxy_grid[:, 2:]).all()


@pytest.mark.parametrize("dialect", ALL, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize(
    "piece", ['"bbox_2d": [', "<loc", "<loc>  ", "[]" + " " * 50, "{", "<|box_start|>(", "],[", "``` "]
)
def test_a_long_answer_is_read(dialect: Dialect, piece: str) -> None:
    """In time linear in the text this takes a fraction of a second; in quadratic time it would not end."""
    for text in (piece * (100_000 // len(piece)), "[]" + " " * 100_000 + "x", "[[" + piece * (100_000 // len(piece))):
        assert dialect.read(text, SIZE).refusals


def test_a_phrase_that_spoils_the_form_is_refused() -> None:
    with pytest.raises(ValueError, match="read back"):
        dialect_named("internvl").write([ONE], SIZE, "[[1, 2, 3, 4]]")
    with pytest.raises(ValueError, match="no box"):
        dialect_named("paligemma").write([], SIZE)


def test_the_same_text_is_another_box_in_another_dialect() -> None:
    text = '[{"bbox_2d": [100, 100, 200, 200]}]'
    pixels = [
        dialect_named(name).scale.to_pixels(dialect_named(name).read(text, SIZE).xyxy_grid, SIZE)
        for name in ("qwen2.5-vl", "qwen3-vl")
    ]
    assert not np.allclose(pixels[0], pixels[1], atol=1)


@given(st.integers(8, 9000), st.integers(8, 9000))
def test_qwens_resizing_keeps_to_its_bounds(width: int, height: int) -> None:
    if max(width, height) > 200 * min(width, height):
        return
    wide, high = smart_resize((width, height))
    assert wide % PATCH == high % PATCH == 0
    assert MIN_PIXELS <= wide * high <= MAX_PIXELS


# (size of the frame, resized by the checkpoints' own bounds, by max_pixels=1003520), from transformers' smart_resize.
RESIZED = [
    ((640, 480), (644, 476), (644, 476)),
    ((30, 4000), (28, 4004), (28, 4004)),
    ((14, 14), (56, 56), (56, 56)),
    ((9000, 7000), (4060, 3136), (1120, 868)),
    ((42, 70), (56, 56), (56, 56)),
    ((1, 190), (28, 784), (28, 784)),
    ((4961, 7016), (2996, 4256), (840, 1176)),
]


@pytest.mark.parametrize(("size", "usual", "small"), RESIZED)
def test_qwens_resizing_is_the_published_one(
    size: tuple[int, int], usual: tuple[int, int], small: tuple[int, int]
) -> None:
    assert smart_resize(size) == usual
    assert dialect_named("qwen2.5-vl:max_pixels=1003520").scale.parts(size) == small


def test_a_dialect_is_declared_with_its_settings() -> None:
    small = dialect_named("qwen2.5-vl:max_pixels=100352,min_pixels=3136")
    assert small.scale.parts((1000, 1000)) == (308, 308)
    for wrong in ("qwen2.5-vl:max_pixels=-1", "qwen2.5-vl:colour=1", "qwen3-vl:max_pixels=1", "qwen2.5-vl:max_pixels"):
        with pytest.raises(InputError, match="no setting"):
            dialect_named(wrong)
    with pytest.raises(InputError, match=r"cogvlm, qwen2\.5-vl"):
        dialect_named("gpt")
    with pytest.raises(InputError, match="200 times"):
        small.read("x", (1, 300))


# Texts that are one group as written, and texts that nearly are: the quick reader takes the first only.
WRITTEN = [
    "[[001,002,003,004]]",
    "[[000,000,999,999;001,002,003,004]]",
    "[[001,002,003,004]].",
    "It is at [[001,002,003,004;001,002,003,004]], I think; 3 of them",
    "图片中存在一只狗，所在区域为[[086,540,400,760]]",
]
NEARLY = [
    "",
    "[[]]",
    "[[001,002,003,004;]]",
    "[[003,002,001,004]]",
    "[[001,002,001,004]]",
    "[[001,002,003;004]]",
    "[[001,002,003,0x4]]",
    "[[[001,002,003,004]]",
    "[[001,002,003,004]] [[001,002,003,004]]",
    "【1】[[001,002,003,004]]",
    "[[001,002,003,004]] No matching object was found.",
    "[[001,002,003,004]]，未找到指定目标",
    "]] [[001,002,003,004",
    "[[１23,002,003,004]]",
    "[[001.002.003.004]]",
    "[[001,002,003,004,005,006,007,008]]",
    "No matching object was found.",
    "[[-01,002,003,004]]",
]


def test_many_written_texts_are_read_at_once() -> None:
    texts = [*WRITTEN, *NEARLY, WRITTEN[0]]
    fits, cells, count = read_written(texts)
    assert fits.tolist() == [text in WRITTEN for text in texts]
    expected = [read_boxes(text).xyxy_grid for text in texts if text in WRITTEN]
    assert np.array_equal(cells, np.concatenate(expected))
    assert count[fits].tolist() == [len(boxes) for boxes in expected] and not count[~fits].any()
    assert not read_written(texts, {"en": "000"})[0].any(), "digits alone may say not found"
    assert read_written([])[1].shape == (0, 4)


@given(st.lists(framed_boxes(), max_size=4))
def test_the_quick_reader_reads_what_the_writer_writes(framed: list[tuple[np.ndarray, tuple[int, int]]]) -> None:
    texts = [write_boxes(boxes, size).text for boxes, size in framed]
    fits, cells, count = read_written(texts)
    assert fits.all()
    assert np.array_equal(cells, np.concatenate([read_boxes(text).xyxy_grid for text in texts] or [np.zeros((0, 4))]))
    assert count.tolist() == [len(boxes) for boxes, _ in framed]


near_boxes = st.lists(
    st.sampled_from(
        [
            "[[",
            "]]",
            "[",
            "]",
            ";",
            ",",
            "001,002,003,004",
            "1",
            "099",
            " ",
            "no ",
            "狗",
            "【",
            "０",
            *NOT_FOUND.values(),
        ]
    ),
    max_size=12,
).map("".join)


@given(near_boxes)
def test_what_the_quick_reader_takes_the_careful_one_reads_alike(text: str) -> None:
    fits, cells, _ = read_written([text])
    careful = read_boxes(text)
    if fits[0]:
        assert np.array_equal(cells, careful.xyxy_grid) and not careful.refusals
