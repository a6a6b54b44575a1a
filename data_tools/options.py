"""What a conversion is told: how annotations become samples, and with what means. Knows no record and no sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from data_tools import checks, tasks, wording
from data_tools import tiles as tiling
from data_tools.caps import Caps, check_caps
from data_tools.engines import Engine
from data_tools.records import Absence
from data_tools.tasks.view import MOST_ALIKE
from grounding.errors import InputError
from grounding.text import NOT_FOUND, TOKENS_PER_BOX

LEAST_ANSWER = TOKENS_PER_BOX + 2  # a box, its group and eos


@dataclass(frozen=True)
class Options:
    """How annotations become samples; the words are those of `grounding convert --help`."""

    format: str = "coco"
    images: Path | None = None
    check_images: bool = True
    ratios: tuple[float, float, float] = (0.8, 0.1, 0.1)
    group_by: str | None = None
    stratify: bool = False
    negatives: float = 0.25
    hard_negatives: float = 0.0
    negatives_from: Absence | None = None
    langs: tuple[str, ...] = ("en",)
    tasks: tuple[str, ...] = (wording.TASK,)
    max_answer_tokens: int | None = None
    caps: Caps = field(default_factory=Caps)
    most_alike: int = MOST_ALIKE
    tiles: str | None = None
    frame: checks.Frame | None = None
    not_found: Mapping[str, str] = field(default_factory=lambda: dict(NOT_FOUND))
    templates: Mapping[str, Path] = field(default_factory=dict)
    names: Path | None = None
    style: str = "pairs"
    seed: int = 0
    voc_pixels: str = "auto"
    box_form: str = "auto"
    follow_links: bool = False


@dataclass(frozen=True)
class Means:
    """What a conversion is done with; what it makes does not depend on it.

    Attributes:
        engine: what reads several sources, and images.
        cache: folder in which looks at images are kept from one run to the next; None keeps none.
        overwrite: another dataset that is in the folder may go.
    """

    engine: Engine = Engine()  # noqa: RUF009  (it is immutable)
    cache: Path | None = None
    overwrite: bool = False


def check_options(options: Options) -> None:
    """Raises InputError for a value that is none of those allowed."""
    check_caps(options.caps)
    if options.tiles:
        tiling.parse_tiling(options.tiles)
    wording.check_templates(options.templates, tasks.parse_shares(options.tasks))
    if options.max_answer_tokens is not None and options.max_answer_tokens < LEAST_ANSWER:
        raise InputError(
            f"{options.max_answer_tokens} is less than one box takes ({LEAST_ANSWER})", where="--max-answer-tokens"
        )
    if options.most_alike < 2:
        raise InputError(f"{options.most_alike} cannot be told apart; from 2 on there is one to single out",
                         where="--most-alike")  # fmt: skip
    if not 0 <= options.hard_negatives <= 1:
        raise InputError(
            f"{options.hard_negatives} is no share; a number from 0 to 1 is needed", where="--hard-negatives"
        )
    if not 0 <= options.negatives < float("inf"):
        raise InputError(f"{options.negatives} is no ratio; a number from 0 on is needed", where="--negatives")
    if options.images is not None and options.check_images and not options.images.is_dir():
        raise InputError("no such folder", where=f"--images {options.images}")
