"""The comparison page: every number in its place, all answers drawn, harmless whatever is said, without network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from grounding.evaluation.comparison.compare import Comparison
from grounding.evaluation.report.compare_cards import drawn, make_compare_cards, most_changed
from grounding.evaluation.report.compare_page import part_tables, render_comparison
from grounding.evaluation.report.strip import _chosen, picture_strip
from grounding.samples import Sample
from tests.evaluation.comparison.making import AFTER, BEFORE, SAMPLES, compared
from tests.evaluation.making import NOT_FOUND_TEXT, boxes_text, random_set, sample
from tests.evaluation.report.test_write import EVIL, Elements, images


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    images(tmp_path, SAMPLES)
    return compared(tmp_path, BEFORE, AFTER)


def page(comparison: Comparison, root: Path, *further: tuple[str, Comparison], most: int = 9, **more: Any) -> Elements:
    cards, thumbnails = make_compare_cards(comparison, most_changed(comparison, most), root)
    given: dict[str, Any] = {"title": "Two runs", "gallery": "Those that changed."}
    return Elements(render_comparison([("things", comparison), *further], cards, thumbnails, **{**given, **more}))


def test_what_was_gained_and_lost_is_said(comparison: Comparison, tmp_path: Path) -> None:
    found = page(comparison, tmp_path)
    text = " ".join(found.text.split())
    assert "Of the same 4 questions, fully right only with b: 1; only with a: 1; with both: 1; with neither: 1." in text
    assert "Unparsable: no_box 1 → 0." in text and "What was answered: boxes 2 → 3, not found 1 → 1," in text
    for entry in comparison.table["headline"].values():
        for rate in entry["rates"]:
            assert rate["value"] is None or f"{100 * rate['value']:.1f}" in text
    assert "50.0 → 50.0" in text, "a tile"


def test_what_a_rate_is_about_stands_as_in_the_reports_and_colours_come_from_tests(tmp_path: Path) -> None:
    samples = [sample(number, []) for number in range(30)] + [sample(30, [[20.0, 10.0, 60.0, 50.0]])]
    before = [boxes_text([120.0, 50.0, 160.0, 90.0])] * 31
    comparison = compared(tmp_path, before, [NOT_FOUND_TEXT] * 31, samples=samples)
    found = page(comparison, tmp_path)
    assert "32 → 1" in found.text, "boxes answered and true: what F1 is about"
    coloured = found.having("span", **{"class": "diff better"})
    assert coloured and all("after Holm" in (one["title"] or "") for one in coloured)


def test_all_answers_are_drawn_with_the_truth(comparison: Comparison, tmp_path: Path) -> None:
    found = page(comparison, tmp_path)
    cards = found.having("article")
    assert [card["data-tags"] for card in cards] == ["1-lost", "1-gained", "1-same"]
    assert len(found.having("image")) == 3, "each picture once"
    assert len(found.having("rect", **{"class": "s-true alone"})) == 6, "5 and the legend"
    assert len(found.having("rect", **{"class": "s-answered alone"})) == 3, "2 and the legend"
    assert {button["data-tag"] for button in found.having("button")} == {"", "1-gained", "1-lost", "1-same"}


def test_three_runs_and_a_set_that_rode_along(tmp_path: Path) -> None:
    images(tmp_path, SAMPLES)
    three = compared(tmp_path, BEFORE, AFTER, BEFORE)
    samples, texts = random_set(1, 30)
    others = compared(tmp_path / "others", texts, texts, texts, samples=samples)
    found = page(three, tmp_path, ("general", others))
    text = " ".join(found.text.split())
    assert "Accuracy at IoU 0.5, general" in text and "gained with b" in text
    assert len(found.having("th", colspan="3")) == 2 and "c: 33.3 %" in text


def test_a_part_has_a_row_for_each_run_and_intervals_that_fold(tmp_path: Path) -> None:
    three = compared(tmp_path, BEFORE, AFTER, BEFORE)
    found = page(three, tmp_path)
    tables = part_tables(three.table)
    assert len(found.having("td", rowspan="3")) == sum(len(table["rows"]) for table in tables) > len(tables)
    runs = found.having("td", **{"class": "run free muted"})
    assert len(runs) == 3 * len(found.having("td", rowspan="3"))
    assert len(found.having("input", type="checkbox")) == len(tables)
    assert found.having("span", **{"class": "fine"})
    assert "with 95 % intervals of the differences and p" in " ".join(found.text.split())


def test_no_unit_wraps_away_from_its_number(tmp_path: Path) -> None:
    three = compared(tmp_path, BEFORE, AFTER, BEFORE)
    cards, thumbnails = make_compare_cards(three, [], tmp_path)
    text = render_comparison([("things", three)], cards, thumbnails, title="Three runs", gallery="None.")
    tiles = text.split('<div class="tiles">')[1].split("<section")[0]
    assert tiles.count('<span class="p">') >= tiles.count(" %") > 2
    assert not re.search(r"[0-9] %(?!</span>|:)", tiles)


def test_texts_of_users_and_models_stay_texts(tmp_path: Path) -> None:
    samples = [
        sample(number, [], prompt=EVIL, category=EVIL + str(number), id=f"{EVIL}{number}") for number in range(2)
    ]
    comparison = compared(tmp_path, [None, None], [EVIL, EVIL], samples=samples)
    for run in comparison.table["runs"]:
        run["heading"] = EVIL
    more = {
        "notes": [(EVIL, EVIL)],
        "facts": {EVIL: EVIL},
        "links": {EVIL: "x/report.html"},
        "title": EVIL,
        "lead": EVIL,
    }
    found = page(comparison, tmp_path, **more)
    assert len(found.having("script")) == 1 and not found.having("img") and not found.having("b", src="x")
    assert not any(name.startswith("on") for _, attrs in found.elements for name in attrs)
    assert found.text.count("{{ 7*7 }}") >= 12 and "\x07" not in found.text


def test_the_page_needs_no_network_and_runs_only_its_own_script(comparison: Comparison, tmp_path: Path) -> None:
    found = page(comparison, tmp_path)
    policy = found.having("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    assert policy is not None and "default-src 'none'" in policy and "script-src 'sha256-" in policy
    links = [value for _, attrs in found.elements for name, value in attrs.items() if name in ("src", "href") and value]
    assert links and all(link.startswith(("#", "data:image/")) for link in links)


def test_missing_pictures_are_said_and_stop_nothing(comparison: Comparison, tmp_path: Path) -> None:
    (tmp_path / "0.png").unlink()
    found = page(comparison, tmp_path)
    assert "1 picture is not here" in " ".join(found.text.split()) and len(found.having("article")) == 3


def test_only_words_to_compare_is_a_page_too(tmp_path: Path) -> None:
    samples = [sample(0, None, task="presence")]
    found = page(compared(tmp_path, ["no"], ["yes"], samples=samples), tmp_path)
    assert "Answers in words" in found.text and not found.having("article")


def test_those_that_changed_come_first_and_runs_take_turns(tmp_path: Path) -> None:
    samples, texts = random_set(0, 30)
    _, others = random_set(5, 30)
    comparison = compared(tmp_path, texts, others, texts[::-1], samples=samples)
    chosen = most_changed(comparison, 8)
    assert len(chosen) == len(set(chosen)) == 8
    assert chosen[0] == comparison.changes[0].most_changed[0]
    assert comparison.changes[1].most_changed[0] in chosen[:2]
    everything = most_changed(comparison, 100)
    assert set(everything) == {
        number for number in range(30) if any(changes.reworded[number] for changes in comparison.changes)
    }


def test_the_draw_is_seeded_and_in_the_order_of_the_data(comparison: Comparison) -> None:
    draws = [drawn(comparison, 2, seed) for seed in range(8)]
    assert draws[0] == drawn(comparison, 2, 0)
    assert all(draw == sorted(draw) and len(draw) == 2 for draw in draws) and len({tuple(draw) for draw in draws}) > 2


def test_the_strip_shows_one_run_above_the_other(comparison: Comparison, tmp_path: Path) -> None:
    strip = picture_strip(comparison, tmp_path, most=3)
    shown = len(_chosen(comparison.runs[0].scored.truth.samples, 3))
    assert shown > 1 and strip.width == shown * 256 and strip.height == 2 * (128 + 34)
    answered = {(0xFF, 0x5A, 0x1F), (0x12, 0xA1, 0x50)}
    colours = {strip.getpixel((x, y)) for x in range(256) for y in range(128)}
    assert answered <= colours, "a wrong box beside the true one"


def test_the_strip_asks_for_one_thing_of_each_kind_and_for_one_that_is_not_there() -> None:
    def asked(number: int, phrase: str, boxes: int, lang: str = "en") -> Sample:
        return sample(number, [[1.0, 1.0, 5.0 + k, 5.0] for k in range(boxes)], phrase=phrase, lang=lang)

    samples = [asked(0, "a", 2), asked(1, "a", 1, "zh"), asked(2, "a", 1), asked(3, "a", 1), asked(4, "b", 0)]
    samples += [asked(5, "b", 1), asked(6, "c", 0), asked(7, "c", 1)]
    assert _chosen(samples, 4) == [2, 5, 7, 4] and _chosen(samples, 3) == [2, 5, 4]
    assert _chosen(samples[:1], 3) == [] and _chosen(samples[2:4], 3) == [0]
