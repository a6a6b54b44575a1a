"""The words of `inspect` and `validate`: the same keys and places in every language, and nothing of English left."""

from __future__ import annotations

import re
from collections import Counter
from html import unescape
from pathlib import Path

import pytest

from data_tools.convert import Options, convert
from data_tools.inspection.inspection import inspect
from data_tools.inspection.page import render_page
from data_tools.inspection.words import words_in
from data_tools.tasks import TASKS
from grounding.page.words import say
from grounding.samples import LANGUAGES
from tests.data_tools import sets
from tests.page.tables import check_alike, sentences

BY_NUMBER = ("findings", "amounts", "page")  # groups in which two sentences differ by number
CHINESE = re.compile(r"[\u3400-\u9fff]")


def test_every_language_has_the_same_keys_and_places() -> None:
    check_alike({lang: words_in(lang) for lang in LANGUAGES}, BY_NUMBER)
    for key, sentence in sentences(words_in("zh"), BY_NUMBER):
        assert CHINESE.search(sentence) or key in {("html",), ("terminal", "lead"), ("terminal", "pair")}, key


def test_one_and_many() -> None:
    words = words_in("en")
    assert say(words, "findings", "copies", n=1).startswith("1 image several")
    assert say(words, "findings", "copies", n=1234).startswith("1,234 images several")
    assert say(words_in("zh"), "findings", "copies", n=1234).startswith("1,234 张图像")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("words")
    source = sets.coco(folder / "set", sets.FAULTY, sets.MISSING)
    options = Options(tasks=tuple(TASKS), ratios=(0.5, 0.5, 0.0))
    convert([(None, source)], folder / "out", options)
    return {lang: render_page(inspect(folder / "out", lang=lang)) for lang in LANGUAGES}


def read(page: str) -> str:
    """What is read on a page, without the footer."""
    text = re.sub(r"<(style|footer).*?</\1>", "", page, flags=re.DOTALL)
    return unescape(" ".join(re.findall(r">([^<]+)<", text)))


def test_the_numbers_are_the_same_in_every_language(pages: dict[str, str]) -> None:
    numbers = [Counter(re.findall(r"\d+(?:[.,\u202f]\d+)*", read(page))) for page in pages.values()]
    assert sum(numbers[0].values()) > 100
    assert numbers[0] == numbers[1]
    assert '<html lang="zh-Hans">' in pages["zh"] and '<html lang="en">' in pages["en"]


def test_no_english_is_left_on_the_chinese_page(pages: dict[str, str]) -> None:
    english = {sentence for _, sentence in sentences(words_in("en"), BY_NUMBER) if len(sentence) > 5}
    chinese = {sentence for _, sentence in sentences(words_in("zh"))}
    said = set(re.findall(r">\s*([^<]+?)\s*<", pages["zh"]))
    assert said & (english - chinese) == set()
    assert len(said & chinese) > 30


def test_the_page_is_of_its_language_alone(pages: dict[str, str], tmp_path: Path) -> None:
    assert not CHINESE.search(read(pages["en"]).replace("未找到指定目标", ""))
