"""Answers that fool other evaluators, and the score that each gets here: writes the table of docs/attacks.md.

Every sample of a made-up set, half of it about things that are there, is answered with the same text.

    python -m benchmarks.attacks
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from grounding.evaluation.evaluate import evaluate
from grounding.evaluation.predictions import Prediction
from grounding.samples import Sample, write_text_atomic
from grounding.text import NOT_FOUND, write_boxes

PAGE = Path(__file__).resolve().parent.parent / "docs" / "attacks.md"
SIZE = (200, 100)
TRUE = [20.0, 10.0, 60.0, 50.0]
FULL = "[[000,000,999,999]]"


def made_up(size: int = 100) -> list[Sample]:
    """So many samples: in each second image an object, and always at the same place."""
    place = {"width": SIZE[0], "height": SIZE[1], "prompt": "Where is it?", "label": "yes", "category": "thing"}
    return [
        Sample(id=f"s{number}", image=f"{number}.png", boxes=[TRUE] if number % 2 == 0 else [], **place)
        for number in range(size)
    ]


def _boxes(*boxes: list[float]) -> str:
    return f"[[{';'.join(write_boxes([box], SIZE).text.strip('[]') for box in boxes)}]]"


class Attack(NamedTuple):
    """An answer to everything; what it tries, in words."""

    text: str
    tries: str


ATTACKS: Mapping[str, Attack] = {
    "gibberish": Attack("asdf !! qwer", "no box, so it is taken for a rejection"),
    "empty text": Attack("", "the same"),
    "refusal to answer": Attack("I cannot help with that.", "the same"),
    "null": Attack('{"bbox_2d": null}', "the same, in another family's form"),
    "four stray numbers": Attack("There are 3 dogs, 2 cats, 1 bird and 4 cars", "any four numbers are taken for a box"),
    "another scale": Attack("[[0.100,0.100,0.300,0.500]]", "the scale is guessed by which one scores best"),
    "pixels as cells": Attack("[[020,010,060,050]]", "the same, with whole numbers"),
    "boxes for everything": Attack(
        _boxes(*([x, y, x + 20.0, y + 20.0] for x in range(0, 180, 20) for y in range(0, 80, 20)), TRUE),
        "one of many boxes is sure to hit",
    ),
    "one box 200 times": Attack(_boxes(*[TRUE] * 200), "every copy is counted as a hit"),
    "the full image": Attack(FULL, "it covers whatever is there"),
    "always not found": Attack(NOT_FOUND["en"], "rejection is free where most things are absent"),
    "boxes and not found": Attack(f"{_boxes(TRUE)} {NOT_FOUND['en']}", "right either way"),
}
# Heading of the table, and where the number stands in the metrics.
COLUMNS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "fully right": lambda table: table["grec_50"]["value"],
    "accuracy": lambda table: table["acc_50"]["value"],
    "precision": lambda table: table["precision_50"]["value"],
    "recall": lambda table: table["recall_50"]["value"],
    "F1": lambda table: table["f1_50"]["value"],
    "absent: rejected": lambda table: table["not_found"]["recall"]["value"],
    "absent: invented": lambda table: table["hallucination_rate"]["value"],
    "unparsable": lambda table: table["unparsable"]["rate"]["value"],
    "duplicates": lambda table: table["duplicates"]["rate"]["value"],
    "ran away": lambda table: table["runaway"]["rate"]["value"],
}
HEAD = """# Answers that fool evaluators

Made by `python -m benchmarks.attacks`; a test holds the table to the code.

100 questions, 50 about an object that is there (one box, always at the same place) and 50 about something absent, are
all answered with the same text. Percent; a dash where nothing is counted. Honest right answers have 100 in the first
six columns and 0 in the others. *Fully right* is `grec_50`: no answer that does not look gets anything there but
"always not found", which is right about what is absent, and whose recall of 0 says the rest. *Accuracy* looks at an
answer's first box alone, as everybody's does: a right box 200 times has all of it, and nothing else.

"""


def attack_table() -> dict[str, dict[str, float | None]]:
    """Attack -> heading -> share in 0..1, None where nothing is counted."""
    samples = made_up()
    table = {}
    for name, attack in ATTACKS.items():
        answers = [Prediction(id=sample.id, text=attack.text) for sample in samples]
        metrics = evaluate(samples, answers).metrics
        table[name] = {heading: number(metrics) for heading, number in COLUMNS.items()}
    return table


def page() -> str:
    """The whole of docs/attacks.md."""
    lines = [f"| attack | it hopes that | {' | '.join(COLUMNS)} |", "| --- | --- |" + " ---: |" * len(COLUMNS)]
    for name, row in attack_table().items():
        shares = ("\u2013" if share is None else f"{100 * share:.1f}".removesuffix(".0") for share in row.values())
        lines.append(f"| {name} | {ATTACKS[name].tries} | {' | '.join(shares)} |")
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    write_text_atomic(PAGE, page())
