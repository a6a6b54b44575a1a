"""The page in a real browser: opened from a file, filtered, sorted, enlarged, shared by its address; no network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from benchmarks.browser import asked_of_the_network, browser, complaints, lacking
from grounding.evaluation.evaluate import evaluate
from grounding.evaluation.report.write import write_report
from grounding.samples import Sample
from tests.evaluation.making import boxes_text, predictions, random_set, sample
from tests.evaluation.report.test_write import ABOUT, EVIL

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = [pytest.mark.browser, pytest.mark.skipif(lacking() is not None, reason=str(lacking()))]

COUNT = 120
LONG = 60  # seconds, in which what a browser does later is done even on a machine at work
CARDS = "#cards article"
FIELD = """
const field = document.getElementById("filters").elements[arguments[0]];
if (field.type === "checkbox") field.click();
else { field.value = arguments[1]; field.dispatchEvent(new Event("input", { bubbles: true })); }
"""


def drawn() -> tuple[list[Sample], list[str | None]]:
    samples, texts = random_set(0, COUNT - 2)
    samples += [
        sample(500, [[20.0, 10.0, 60.0, 50.0]], prompt=EVIL, category=EVIL, lang="zh"),
        sample(501, [[2.0, 1.0, 6.0, 5.0]], task="phrase_to_box", prompt="the one odd thing"),
    ]
    return samples, [*texts, EVIL, boxes_text([2.0, 1.0, 6.0, 5.0])]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages in English and Chinese of 120 samples, every fourth image missing."""
    folder = tmp_path_factory.mktemp("report")
    samples, texts = drawn()
    for number, image in enumerate(sorted({str(one.image) for one in samples})):
        if number % 4:
            Image.new("RGB", (200, 100), (90, 120, 150)).save(folder / image)
    evaluation = evaluate(samples, predictions(*texts[:-2]) + predictions(*texts)[-2:])
    for lang in ("en", "zh"):
        write_report(folder / lang, evaluation, image_root=folder, about=ABOUT, cards=60, lang=lang)
    return folder


@pytest.fixture(scope="module")
def opened() -> Iterator[Chrome]:
    with browser() as made:
        yield made


@pytest.fixture
def page(opened: Chrome, folder: Path) -> Iterator[Chrome]:
    """The English page, freshly opened; it complains of nothing and asks nothing of a network."""
    opened.get("about:blank")
    complaints(opened)
    asked_of_the_network(opened)
    opened.get((folder / "en/report.html").as_uri())
    yield opened
    assert complaints(opened) == [] and asked_of_the_network(opened) == []


def fill(page: Chrome, name: str, value: str = "") -> None:
    page.execute_script(FIELD, name, value)


def shown(page: Chrome) -> int:
    """How many samples the page says are chosen."""
    said = str(page.execute_script("return document.getElementById('shown').textContent"))
    return 0 if said.startswith("No sample") else int(said.split(" of ")[0])


def told(page: Chrome, script: str) -> Any:
    """What a line of the page's own data says."""
    start = "const listing = JSON.parse(document.getElementById('listing').textContent), column = listing.columns;"
    return page.execute_script(f"{start} return {script};")


def ids(page: Chrome) -> list[str]:
    found: list[str] = page.execute_script(
        f"return [...document.querySelectorAll('{CARDS}')].map((one) => one.dataset.id)"
    )
    return found


def press(page: Chrome, key: str) -> None:
    from selenium.webdriver import ActionChains

    ActionChains(page).send_keys(key).perform()


def comes_true(page: Chrome, condition: Callable[[], bool]) -> bool:
    """Whether something is so before long: a dialog tells that it was closed, and an address that it changed, later."""
    from selenium.common.exceptions import TimeoutException
    from selenium.webdriver.support.ui import WebDriverWait

    try:
        return bool(WebDriverWait(page, LONG).until(lambda _: condition()))
    except TimeoutException:
        return False


def test_all_samples_are_there_and_cards_come_as_they_are_needed(page: Chrome) -> None:
    assert shown(page) == COUNT and 0 < len(ids(page)) < COUNT
    while not page.execute_script("const more = document.getElementById('more'); more.click(); return more.hidden"):
        pass
    assert ids(page) == told(page, "column.id"), "each once, worst first"
    assert len(page.execute_script("return document.querySelectorAll('#cards image')")) == told(
        page, "column.picture.filter((one) => one >= 0).length"
    )


def test_filters_choose_what_the_data_says(page: Chrome) -> None:
    chip = page.find_element("css selector", ".chips button[value=partly]")
    chip.click()
    partly = told(page, "column.outcome.filter((one) => listing.outcomes[one] === 'partly').length")
    assert shown(page) == len(ids(page)) == partly > 0
    assert chip.get_attribute("aria-pressed") == "true" and str(partly) in chip.text
    page.find_element("css selector", "#filters button[type=reset]").click()
    page.execute_async_script("setTimeout(arguments[0])")
    assert shown(page) == COUNT
    for name, value, condition in [
        ("class", "c1", "listing.classes[column.class[i]] === 'c1'"),
        ("size", "small", "column.sizes[i] & 1"),
        ("mistake", "invented", "column.mistakes[i] >> listing.kinds.indexOf('invented') & 1"),
        ("lang", "zh", "listing.langs[column.lang[i]] === 'zh'"),
        ("task", "phrase_to_box", "listing.tasks[column.task[i]] === 'phrase_to_box'"),
        ("from", "0.5", "column.iou[i] >= 500"),
        ("q", "ODD thing", "column.prompt[i].includes('odd thing')"),
    ]:
        fill(page, name, value)
        assert shown(page) == told(page, f"column.id.filter((_, i) => {condition}).length") > 0, name
        fill(page, name, "")
        assert shown(page) == COUNT
    fill(page, "q", "nothing has these words")
    assert shown(page) == 0 and ids(page) == []


def test_filters_add_up_and_the_address_holds_them(page: Chrome) -> None:
    fill(page, "class", "c2")
    fill(page, "from", "0.2")
    fill(page, "to", "0.95")
    fill(page, "sort", "iou")
    chosen, order = shown(page), ids(page)
    assert 0 < chosen < COUNT
    ious = [told(page, f"column.iou[column.id.indexOf('{name}')]") for name in order]
    assert ious == sorted(ious) and ious[0] >= 200 and ious[-1] <= 950
    address = page.current_url
    page.get("about:blank")
    page.get(address)
    assert (shown(page), ids(page)) == (chosen, order)


def test_order(page: Chrome) -> None:
    worst = told(page, "column.id")
    fill(page, "sort", "best")
    assert ids(page) == worst[::-1][: len(ids(page))]
    fill(page, "sort", "data")
    assert ids(page)[:3] == ["s0", "s1", "s2"]
    fill(page, "sort", "id")
    assert ids(page)[:3] == ["s0", "s1", "s2"] and ids(page).index("s10") > ids(page).index("s9")


def test_the_larger_view_is_walked_by_keys(page: Chrome) -> None:
    from selenium.webdriver.common.keys import Keys

    place = "return document.getElementById('view-place').textContent"
    page.execute_script(f"document.querySelectorAll('{CARDS} .open')[1].click()")
    assert page.execute_script("return document.getElementById('view').open")
    assert page.execute_script(place) == f"2 of {COUNT}"
    second = ids(page)[1]
    assert second in page.find_element("id", "view-facts").text
    press(page, Keys.ARROW_RIGHT)
    assert page.execute_script(place) == f"3 of {COUNT}"
    press(page, Keys.ARROW_LEFT)
    press(page, Keys.ARROW_LEFT)
    assert page.execute_script(place) == f"1 of {COUNT}"
    assert not page.find_element("css selector", "#view button").is_enabled(), "nothing before the first"
    assert "open=" in page.current_url
    press(page, Keys.ESCAPE)
    focused = f"return document.activeElement === document.querySelector('{CARDS} .open')"
    assert comes_true(page, lambda: not page.execute_script("return document.getElementById('view').open"))
    assert comes_true(page, lambda: page.execute_script(focused))
    assert "open=" not in page.current_url


SEEN = """
const here = [...document.querySelectorAll("#cards article")].map((one) => column.id.indexOf(one.dataset.id));
const count = (kind) => [...document.querySelectorAll(`#cards .${kind}`)]
  .filter((box) => getComputedStyle(box).display !== "none").length;
const said = (seen, expected) => seen === 0 ? "none" : seen === expected ? "all" : "some";
return [["s-true", column.found], ["s-answered", column.state]]
  .map(([kind, boxes]) => said(count(kind), here.flatMap((i) => boxes[i]).length));
"""


def test_boxes_are_drawn_and_can_be_hidden(page: Chrome) -> None:
    def seen() -> list[str]:
        """Of true boxes and of answered ones."""
        found: list[str] = told(page, f"(() => {{{SEEN}}})()")
        return found

    assert seen() == ["all", "all"]
    press(page, "t")
    assert seen() == ["none", "all"]
    press(page, "a")
    assert seen() == ["none", "none"] and "truth=" in page.current_url
    press(page, "t")
    assert seen() == ["all", "none"]


def test_tables_lead_into_the_gallery(page: Chrome) -> None:
    page.find_element("css selector", '.bar a[data-outcome="invented"]').click()
    expected = told(page, "column.outcome.filter((one) => listing.outcomes[one] === 'invented').length")
    assert expected > 0 and comes_true(page, lambda: shown(page) == expected)
    page.find_element("css selector", '#by-class a[href="#class=c3"]').click()
    of_class = told(page, "column.class.filter((one) => listing.classes[one] === 'c3').length")
    assert of_class != expected and comes_true(page, lambda: shown(page) == of_class)


def test_light_and_dark(page: Chrome) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor"
    colours = []
    for theme in ("light", "dark"):
        page.execute_script(
            "const theme = document.getElementById('theme'); theme.value = arguments[0];"
            "theme.dispatchEvent(new Event('change'))",
            theme,
        )
        colours.append(sum(map(int, page.execute_script(ground).removeprefix("rgb(").rstrip(")").split(","))))
    assert colours[0] > 600 and colours[1] < 150
    assert "theme=dark" in page.current_url


def test_texts_of_users_and_models_stay_texts(page: Chrome) -> None:
    fill(page, "lang", "zh")
    assert ids(page) == ["s500"]
    assert page.find_element("css selector", f"{CARDS} .prompt").get_attribute("textContent") == EVIL.replace(
        "\x07", "␇"
    )
    page.execute_script(f"document.querySelector('{CARDS} .open').click()")
    assert not page.find_elements("css selector", "img, #cards script, #view script")


def test_the_page_in_chinese(page: Chrome, folder: Path) -> None:
    page.get((folder / "zh/report.html").as_uri())
    assert page.title.startswith("视觉定位评测")
    page.find_element("css selector", ".chips button[value=missed]").click()
    assert f" / {COUNT} 个样本" in page.find_element("id", "shown").text
    page.execute_script(f"document.querySelector('{CARDS} .open').click()")
    assert "漏报" in page.find_element("id", "view-title").text and "提问" in page.find_element("id", "view-facts").text


def test_a_picture_that_is_not_beside_the_page_is_said(opened: Chrome, folder: Path, tmp_path: Path) -> None:
    text = (folder / "en/report.html").read_text("utf-8")
    start = text.index('id="pictures">') + len('id="pictures">["')
    moved = tmp_path / "report.html"
    moved.write_text(text[:start] + "report_files/00001.webp" + text[text.index('"', start) :], "utf-8")
    opened.get(moved.as_uri())
    opened.execute_script(FIELD, "pictured", "")
    assert comes_true(opened, lambda: bool(opened.find_elements("css selector", f"{CARDS} .lack")))
    lacks = opened.find_elements("css selector", f"{CARDS} .lack")
    assert all(one.text == "picture not shown: report_files/00001.webp is not beside this page" for one in lacks)
