"""The box texts of several families of models, by name. Knows how each is declared; `codec` reads and writes."""

from __future__ import annotations

from collections.abc import Callable

from grounding.closest import did_you_mean
from grounding.errors import InputError
from grounding.text.dialects.codec import Dialect
from grounding.text.dialects.cogvlm import COGVLM
from grounding.text.dialects.internvl import INTERNVL
from grounding.text.dialects.paligemma import PALIGEMMA
from grounding.text.dialects.qwen import qwen3_vl, qwen25_vl

DIALECTS: dict[str, Callable[..., Dialect]] = {
    COGVLM.name: lambda: COGVLM,
    "qwen2.5-vl": qwen25_vl,
    "qwen3-vl": qwen3_vl,
    INTERNVL.name: lambda: INTERNVL,
    PALIGEMMA.name: lambda: PALIGEMMA,
}
OPTIONS: dict[str, tuple[str, ...]] = {"qwen2.5-vl": ("min_pixels", "max_pixels")}


def dialect_named(declared: str) -> Dialect:
    """The dialect of a name, or of a name with settings: `qwen2.5-vl:max_pixels=1003520`.

    Raises:
        InputError: there is no such dialect, or it has no such setting.
    """
    name, _, settings = declared.partition(":")
    if name not in DIALECTS:
        problem = f"there is no dialect {name!r}; there are {', '.join(DIALECTS)}."
        raise InputError(problem, where="--dialect", fix=did_you_mean(name, DIALECTS))
    chosen: dict[str, int] = {}
    for setting in settings.split(",") if settings else []:
        key, _, value = setting.partition("=")
        if key not in OPTIONS.get(name, ()) or not (value.isdecimal() and int(value) > 0):
            allowed = ", ".join(f"{option}=PIXELS" for option in OPTIONS.get(name, ())) or "none"
            problem = f"the dialect {name} has no setting {setting!r}; it has {allowed}."
            raise InputError(problem, where="--dialect", fix=did_you_mean(key, OPTIONS.get(name, ())))
        chosen[key] = int(value)
    return DIALECTS[name](**chosen)


__all__ = ["COGVLM", "DIALECTS", "Dialect", "dialect_named"]
