"""A font that can write a text into a picture: Pillow's own for plain Latin, else one that this machine has.

Knows characters and font files; does not know pictures.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from PIL import ImageFont

PLACEHOLDERS = "Last Resort"  # a font that has every character, all of them as a box


def font_for(text: str, size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont | None:
    """A font of that size in pixels which has all characters of the text; None where this machine has none."""
    if text.isascii():
        return ImageFont.load_default(size)
    path = _file_with(frozenset(text))
    return None if path is None else ImageFont.truetype(path, size)


@cache
def _file_with(characters: frozenset[str]) -> Path | None:
    """The font file, upright, regular and without serifs where there is one."""
    from matplotlib.font_manager import fontManager
    from matplotlib.ft2font import FT2Font

    codes = {ord(character) for character in characters if not character.isspace()}
    faces = [face for face in fontManager.ttflist if PLACEHOLDERS not in face.name]
    faces.sort(key=lambda face: (face.style != "normal", face.weight != 400, "Sans" not in face.name, face.fname))
    found = (face.fname for face in faces if codes <= FT2Font(face.fname).get_charmap().keys())
    return next(map(Path, found), None)
