"""The comparison page in a real browser: filtered by what changed and by class, sorted; quiet and without network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.browser import asked_of_the_network, browser, complaints, lacking
from grounding.evaluation.report.compare_write import write_comparison
from tests.evaluation.comparison.making import compared
from tests.evaluation.making import random_set
from tests.evaluation.report.test_write import images

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = [pytest.mark.browser, pytest.mark.skipif(lacking() is not None, reason=str(lacking()))]

SHOWN = "return [...document.querySelectorAll('#answers article')].filter((card) => card.offsetParent).map("
CHOOSE = """
const field = document.querySelector(`[name=${arguments[0]}]`);
field.value = arguments[1];
field.dispatchEvent(new Event("change"));
"""


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Chrome]:
    """The page of three runs over 40 samples of four classes."""
    samples, texts = random_set(0, 40)
    comparison = compared(tmp_path, texts, random_set(9, 40)[1], texts[::-1], samples=samples)
    write_comparison(tmp_path / "out", [("things", comparison)], images=images(tmp_path, samples))
    with browser() as opened:
        opened.get((tmp_path / "out/compare.html").as_uri())
        yield opened
        assert complaints(opened) == [] and asked_of_the_network(opened) == []


def shown(page: Chrome, of: str) -> list[str]:
    """What each card that is seen has of something."""
    return list(page.execute_script(f"{SHOWN}(card) => card.dataset[arguments[0]]);", of))


def press(page: Chrome, tag: str) -> None:
    page.execute_script("document.querySelector(`button[data-tag='${arguments[0]}']`).click();", tag)


def test_filters_and_order(page: Chrome) -> None:
    everything = shown(page, "tags")
    assert len(everything) > 20
    for tag in ("1-gained", "2-lost", "1-same"):
        press(page, tag)
        wanted = [tags for tags in everything if tag in tags.split()]
        assert shown(page, "tags") == wanted and 0 < len(wanted) < len(everything)
        assert page.execute_script("return document.querySelector('[data-count]').textContent") == str(len(wanted))
    page.execute_script(CHOOSE, "class", "c1")
    both = shown(page, "class")
    assert set(both) == {"c1"} and len(both) < len(wanted)
    page.execute_script(CHOOSE, "class", "")
    press(page, "")
    page.execute_script(CHOOSE, "order", "worse")
    changes = [float(change) for change in shown(page, "change")]
    assert changes == sorted(changes) and changes[0] < 0 < changes[-1]
    page.execute_script(CHOOSE, "order", "data")
    places = [int(place) for place in shown(page, "place")]
    assert places == sorted(places) and len(places) == len(everything)


def test_every_picture_is_seen(page: Chrome) -> None:
    script = "return [...document.querySelectorAll('#answers use')].map((one) => one.getBoundingClientRect().width);"
    widths = page.execute_script(script)
    assert widths and all(width > 50 for width in widths[:6]), "the first two cards, of three runs"
