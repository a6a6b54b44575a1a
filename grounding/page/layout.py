"""From a template to a page: the environment that escapes all it is given, the filters and files that pages share.

Knows text only; what stands on a page is its own room's business.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

STYLE = "page.css"
_CONTROL = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"}


def template(room: str, name: str, **filters: Callable[..., Any]) -> jinja2.Template:
    """A template out of the `templates` of a room, which may include those of this one; all it is given is escaped.

    Args:
        room: name of the package whose templates are meant.
        filters: filters of the room's own, besides `visible`, `thousands` and `figure`.
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(place, "templates") for place in (room, __package__)]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(visible=visible, thousands=thousands, figure=figure, **filters)
    return environment.get_template(name)


def packaged(room: str, name: str) -> str:
    """A file of a room's templates as it is."""
    return (resources.files(room) / "templates" / name).read_text(encoding="utf-8")


def style() -> Markup:
    """The style sheet, to stand in a page."""
    return Markup(packaged(__package__, STYLE))


def visible(text: str | None) -> str:
    """A text with its control characters as the pictures that stand for them."""
    return "" if text is None else text.translate(_CONTROL)


def thousands(number: int) -> str:
    """12345 as 12 345, with a narrow space."""
    return f"{number:,}".replace(",", "\u202f")


def figure(value: float) -> str:
    """A length of an SVG or CSS: at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
