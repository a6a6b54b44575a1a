"""The page's words: the same keys and places in every language, and pages of the same numbers."""

from __future__ import annotations

import re
from collections import Counter
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from grounding.evaluation.evaluate import Evaluation, evaluate
from grounding.evaluation.parse import judge
from grounding.evaluation.protocols import PROTOCOLS
from grounding.evaluation.report.headline import warnings
from grounding.evaluation.report.words import words_in
from grounding.evaluation.report.write import write_report
from grounding.samples import LANGUAGES
from grounding.text import DIALECTS
from tests.evaluation.making import predictions, random_set, sample
from tests.evaluation.report.test_write import ABOUT, Elements, make
from tests.page.tables import check_alike, sentences


def test_every_language_has_the_same_keys_and_places() -> None:
    check_alike({lang: words_in(lang) for lang in LANGUAGES}, by_number=("notes",))


def numbers(page: Elements) -> Counter[str]:
    """Every number that is read on the page, but for when it was made and its own size."""
    text = re.sub(r"<(style|script|footer).*?</\1>", "", page.page, flags=re.DOTALL)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "", text)
    return Counter(re.findall(r"\d+(?:[.\u202f]\d+)*", unescape(" ".join(re.findall(r">([^<]+)<", text)))))


@pytest.mark.parametrize(("protocol", "dialect"), list(zip(PROTOCOLS, DIALECTS, strict=False)))
def test_the_numbers_are_the_same_in_every_language(tmp_path: Path, protocol: str, dialect: str) -> None:
    samples, texts = random_set(7, 40)
    samples += [replace(sample(90, []), lang="zh"), sample(91, None, task="presence")]
    given = predictions(*texts, "[[1,2]]", "yes")
    if protocol == "coco":
        given = [one and replace(one, scores=[-0.2] * len(judge(one.text).xyxy_grid) or None) for one in given]
        dialect = "cogvlm"
    evaluation = evaluate(samples, given, protocol=protocol, dialect=dialect)
    pages = {}
    for lang in LANGUAGES:
        report, pages[lang] = write(tmp_path / lang, evaluation, lang)
        assert len(warnings(report, lang)) == len(warnings(report))
    assert sum(numbers(pages["en"]).values()) > 300
    assert numbers(pages["en"]) == numbers(pages["zh"])
    assert pages["zh"].having("html", lang="zh-Hans") and pages["en"].having("html", lang="en")
    assert pages["en"].data("listing") == pages["zh"].data("listing")


def write(out: Path, evaluation: Evaluation, lang: str) -> tuple[dict[str, Any], Elements]:
    about = {**ABOUT, "data": {**ABOUT["data"], "train_file": "train.jsonl", "images_in_train": 3}}
    report = write_report(out, evaluation, image_root=out, about=about, lang=lang)
    return report, Elements((out / "report.html").read_text("utf-8"))


def test_no_english_is_left_on_the_chinese_page(tmp_path: Path) -> None:
    samples, texts = random_set(8, 40)
    _, page = make(tmp_path / "out", samples, texts, tmp_path, lang="zh")
    english = {sentence for _, sentence in sentences(words_in("en")) if len(sentence) > 12 and "{" not in sentence}
    chinese = {sentence for _, sentence in sentences(words_in("zh"))}
    assert {sentence for sentence in english - chinese if f">{sentence}<" in page.page} == set()
