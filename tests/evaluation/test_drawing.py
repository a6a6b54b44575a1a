"""Boxes drawn into a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from grounding.errors import InputError
from grounding.evaluation.drawing import check_drawable, draw_boxes, save_picture


def test_only_the_copy_is_drawn_on() -> None:
    image = Image.new("RGB", (300, 200), "black")
    drawn = draw_boxes(image, [[20, 30, 120, 150], [200, 100, 201, 101]])
    assert not np.asarray(image).any()
    pixels = np.asarray(drawn)
    assert pixels[90, 21].any() and pixels[31, 70].any(), "on the border"
    assert not pixels[120, 80].any(), "not inside"
    assert not pixels[10, 10].any() and not pixels[180, 290].any(), "not outside"


def test_the_suffix_says_the_format(tmp_path: Path) -> None:
    image = Image.new("RGB", (30, 20))
    for name in ("a.png", "b.JPG"):
        save_picture(image, tmp_path / name)
        with Image.open(tmp_path / name) as saved:
            assert saved.size == (30, 20)
    for name in ("c.txt", "d"):
        with pytest.raises(InputError, match=r"\.png"):
            check_drawable(tmp_path / name)
