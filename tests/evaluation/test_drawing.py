"""Boxes drawn into a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from grounding.errors import InputError
from grounding.evaluation.drawing import check_drawable, draw_boxes, draw_truth_and_answer, enlarged, save_picture
from grounding.evaluation.fonts import font_for


def test_only_the_copy_is_drawn_on() -> None:
    image = Image.new("RGB", (300, 200), "black")
    drawn = draw_boxes(image, [[20, 30, 120, 150], [200, 100, 201, 101]])
    assert not np.asarray(image).any()
    pixels = np.asarray(drawn)
    assert pixels[90, 21].any() and pixels[31, 70].any(), "on the border"
    assert not pixels[120, 80].any(), "not inside"
    assert not pixels[10, 10].any() and not pixels[180, 290].any(), "not outside"


def test_boxes_of_a_group_share_a_colour() -> None:
    image, boxes = Image.new("RGB", (300, 200)), [[20, 100, 90, 190], [100, 100, 190, 190], [200, 100, 290, 190]]
    edges = [(int(x0) + 1, 150) for x0, *_ in boxes]
    one, two, three = (draw_boxes(image, boxes, [0, 0, 1]).getpixel(edge) for edge in edges)
    assert one == two != three
    assert len({draw_boxes(image, boxes).getpixel(edge) for edge in edges}) == 3


def inked(text: str | None, width: int = 300) -> int:
    """How many pixels differ for a name."""
    image, boxes = Image.new("RGB", (width, 200)), [[20, 30, 120, 150]]
    plain, named = (np.asarray(draw_boxes(image, boxes, None, names)) for names in (None, [text or ""]))
    return int((plain != named).any(-1).sum())


def test_a_name_stands_behind_the_number_as_far_as_there_is_room() -> None:
    assert inked("") == 0 < inked("cell") < inked("red blood cell")
    assert inked("x" * 400, 100) == inked("x" * 500, 100), "cut where the picture ends"


def test_a_name_moves_to_the_left_rather_than_out_of_the_picture() -> None:
    drawn = np.asarray(draw_boxes(Image.new("RGB", (300, 200)), [[280, 30, 299, 150]], None, ["red blood cell"]))
    label = drawn[35:45].any((0, 2))
    assert label[225:280].all() and label[-2:].any() and not label[:150].any()


def test_other_scripts_are_written_where_there_is_a_font(monkeypatch: pytest.MonkeyPatch) -> None:
    font = font_for("Größe", 12)
    assert isinstance(font, ImageFont.FreeTypeFont), "matplotlib brings one"
    assert font_for("\U0010fffd", 12) is None, "for private use: nobody has it but a font of placeholders"
    if font_for("齿轮", 12):
        assert inked("齿轮") > inked("轮") > 0
    monkeypatch.setattr("grounding.evaluation.fonts._file_with", lambda characters: None)
    assert inked("齿轮") == 0, "the number alone"


def test_only_small_pictures_are_enlarged() -> None:
    for size, times in (((112, 80), 4), ((400, 10), 1), ((399, 10), 2), ((4000, 3000), 1)):
        large, factor = enlarged(Image.new("RGB", size))
        assert factor == times and large.size == (times * size[0], times * size[1])


def test_the_suffix_says_the_format(tmp_path: Path) -> None:
    image = Image.new("RGB", (30, 20))
    for name in ("a.png", "b.JPG"):
        save_picture(image, tmp_path / name)
        with Image.open(tmp_path / name) as saved:
            assert saved.size == (30, 20)
    for name in ("c.txt", "d"):
        with pytest.raises(InputError, match=r"\.png"):
            check_drawable(tmp_path / name)


def test_truth_and_answers_differ_in_colour_and_the_picture_is_made_small() -> None:
    drawn = draw_truth_and_answer(Image.new("RGB", (1024, 512)), [[100, 100, 300, 300]], [[600, 100, 900, 400]])
    assert drawn.size == (512, 256)
    green, orange = drawn.getpixel((50, 110)), drawn.getpixel((449, 150))
    assert isinstance(green, tuple) and isinstance(orange, tuple)
    assert green[1] > green[0] and orange[0] > orange[1]
