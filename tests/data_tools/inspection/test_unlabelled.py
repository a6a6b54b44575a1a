"""Images in which a class was probably forgotten: told of classes that are in nearly all images, and of no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from data_tools.inspection.inspection import inspect
from data_tools.validation.validate import validate
from grounding.samples import Sample
from tests.data_tools.inspection.making import ONE_BOX, dataset, sample


def cells(found: int, not_found: int, unasked: int = 0) -> list[Sample]:
    """A class in so many images, not found in so many, not asked for in so many others, where another class is."""
    return [
        *(sample(f"with{n}.png", category="cell") for n in range(found)),
        *(sample(f"without{n}.png", [], "cell") for n in range(not_found)),
        *(sample(f"other{n}.png", category="plate") for n in range(unasked)),
    ]


def told(path: Path) -> list[dict[str, Any]]:
    """What both commands say of it, which is the same."""
    heard = [
        [finding for finding in findings if finding["name"] == "maybe_unlabelled"]
        for findings in (
            inspect(path, check_images=False, cards=0).report["findings"],
            validate(path, check_images=False)["findings"],
        )
    ]
    assert heard[0] == heard[1]
    return heard[0]


@pytest.mark.parametrize(
    ("samples", "named"),
    [
        (cells(27, 3), ["cell (in 90 % of 30 images; not found in without0.png, without1.png, without2.png)"]),
        (cells(28, 1, unasked=1), ["cell (in 93 % of 30 images; not found in without0.png)"]),
        (cells(26, 4), []),  # absence is no exception there
        (cells(26, 3), []),  # too few images for a share to mean anything
        (cells(30, 0), []),  # nothing is said to be absent
        (cells(30, 3, unasked=30), []),  # of the images that ask it is in 91 %, of all in 48 %
        ([*cells(28, 2), *(sample(f"without{n}.png", id=f"x{n}", category="cell") for n in (0, 1))], []),  # boxed there
        (
            [*cells(28, 2), sample("without0.png", category=None, categories=["cell"], id="x", task="all_to_boxes")],
            ["cell (in 97 % of 30 images; not found in without1.png)"],
        ),
        ([replace(one, category=None) for one in cells(28, 2)], []),  # no class
        (
            cells(93, 7),
            [
                "cell (in 93 % of 100 images; not found in without0.png, without1.png, without2.png, without3.png, "
                "without4.png and 2 more)"
            ],
        ),
    ],
)
def test_which_classes_are_told(tmp_path: Path, samples: list[Sample], named: list[str]) -> None:
    findings = told(dataset(tmp_path, draw=False, train=samples))
    assert [finding["examples"] for finding in findings] == ([named] if named else [])


def test_it_is_a_warning_over_all_splits_that_says_what_to_do(tmp_path: Path) -> None:
    samples = cells(39, 2)
    (finding,) = told(path := dataset(tmp_path, draw=False, train=samples[:20], val=samples[20:40], test=samples[40:]))
    assert finding["level"] == "warning" and "--negatives-from none" in finding["text"]
    assert finding["examples"] == ["cell (in 95 % of 41 images; not found in without0.png, without1.png)"]
    assert validate(path, check_images=False)["sound"]


def test_the_gallery_shows_these_images_first(tmp_path: Path) -> None:
    path = dataset(tmp_path, train=[*cells(40, 2), sample("a.png", [], "plate"), sample("b.png", [ONE_BOX[0]] * 2)])
    first = inspect(path, check_images=False, cards=8).cards
    shown = {card.sample.image for card in first if "unlabelled" in card.kinds}
    assert shown == {"without0.png", "without1.png"} and "unlabelled" in first[0].kinds
