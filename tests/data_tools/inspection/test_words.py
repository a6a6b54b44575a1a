"""The words of `inspect` and `validate`: the same keys and places in every language, and nothing of English left."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from data_tools.convert import Options, convert
from data_tools.inspection.inspection import inspect
from data_tools.inspection.page import render_page
from data_tools.inspection.words import say, words_in
from data_tools.tasks import TASKS
from grounding.errors import InputError
from grounding.samples import LANGUAGES
from tests.data_tools import sets

CHINESE = re.compile(r"[\u3400-\u9fff]")


def flat(table: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Each sentence by its place; two that differ by number stand for one."""
    if not isinstance(table, dict | list):
        yield place, table
    elif isinstance(table, list) and place[0] not in ("tiles", "plots"):
        yield place, table[1]
    else:
        for key, inner in table.items() if isinstance(table, dict) else enumerate(table):
            yield from flat(inner, (*place, key))


def fields(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}


def test_every_language_has_the_same_keys_and_places() -> None:
    tables = {lang: dict(flat(words_in(lang))) for lang in LANGUAGES}
    english = tables["en"]
    assert len(english) > 200
    for lang, table in tables.items():
        assert table.keys() == english.keys(), lang
        for key, sentence in table.items():
            assert sentence.strip() and fields(sentence) == fields(english[key]), (lang, key)
    for key, sentence in tables["zh"].items():
        assert CHINESE.search(sentence) or key in {("html",), ("terminal", "pair")}, key


def test_both_sentences_of_a_number_have_the_same_places() -> None:
    words = words_in("en")
    for key, sentences in [*words["findings"].items(), *words["page"].items()]:
        if isinstance(sentences, list):
            assert fields(sentences[0]) | {"n"} == fields(sentences[1]) | {"n"}, key


def test_one_and_many() -> None:
    words = words_in("en")
    assert say(words, "findings", "copies", n=1).startswith("1 image several")
    assert say(words, "findings", "copies", n=1234).startswith("1,234 images several")
    assert say(words_in("zh"), "findings", "copies", n=1234).startswith("1,234 张图像")


def test_a_language_without_words_is_refused() -> None:
    with pytest.raises(InputError, match="en, zh"):
        words_in("de")


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
    english = {sentence for _, sentence in flat(words_in("en")) if len(sentence) > 5}
    chinese = {sentence for _, sentence in flat(words_in("zh"))}
    said = set(re.findall(r">\s*([^<]+?)\s*<", pages["zh"]))
    assert said & (english - chinese) == set()
    assert len(said & chinese) > 30


def test_the_page_is_of_its_language_alone(pages: dict[str, str], tmp_path: Path) -> None:
    assert not CHINESE.search(read(pages["en"]).replace("未找到指定目标", ""))
