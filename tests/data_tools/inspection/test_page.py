"""The page of an inspection: it needs no network, runs nothing, and what a user wrote stays text."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from msgspec.structs import replace

from data_tools.inspection.inspection import inspect
from data_tools.inspection.page import code, render_page
from data_tools.writers.folder import MADE_BY
from tests.data_tools.inspection.making import dataset, photo, sample

EVIL = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>&amp;{{ 7*7 }}</style>"


class Elements(HTMLParser):
    """Every element with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def having(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A set with two files of the same bytes in two splits, a missing image, and a split without any sample."""
    path = dataset(
        tmp_path,
        train=[sample("a.png"), sample("b.png", [], "dog"), sample("gone.png")],
        val=[sample("again.png"), sample("t.png", None, id="words", task="presence", label="Yes", lang="zh")],
        test=[],
    )
    (tmp_path / "images" / "again.png").write_bytes((tmp_path / "images" / "a.png").read_bytes())
    (tmp_path / "images" / "gone.png").unlink()
    return path


def test_it_needs_no_network_and_runs_nothing(plain: Path) -> None:
    text = render_page(inspect(plain))
    page = Elements(text)
    assert not page.having("script") and not page.having("link") and not page.having("img")
    (policy,) = [meta["content"] for meta in page.having("meta") if meta.get("http-equiv")]
    assert policy is not None and policy.startswith("default-src 'none'") and "script-src" not in policy
    links = [value for _, attrs in page.elements for name, value in attrs.items() if name in ("src", "href") and value]
    assert links and all(link.startswith(("#", "data:image/webp;base64,")) for link in links)
    assert "color-scheme: light dark" in text and "light-dark(" in text


def test_every_picture_that_is_used_is_there(plain: Path) -> None:
    page = Elements(render_page(inspect(plain)))
    there = {f"#{image['id']}" for image in page.having("image")}
    used = {use["href"] for use in page.having("use") if "href" in use}  # plots say xlink:href
    assert used == there and len(there) == 4


def test_it_shows_splits_classes_findings_twins_and_cards(plain: Path) -> None:
    found = inspect(plain)
    text = render_page(found)
    page = Elements(text)
    for said in ("two splits", "the same bytes", "picture not here", "presence", ">empty<", "again.png"):
        assert said in text, said
    assert len(page.having("article")) == len(found.cards) + len(found.pairs) == 6
    assert all(f'data-level="{finding["level"]}"' in text for finding in found.report["findings"])
    kinds = [label["for"] for label in page.having("label")]
    assert len(kinds) == len(set(kinds)) and {"k0", "k1"} <= set(kinds)
    assert all(f"#{kind}:checked" in text for kind in kinds if kind != "k0")


def test_what_a_user_wrote_is_only_text(tmp_path: Path) -> None:
    name = "<b>'\".png"
    evil = sample(name, category=EVIL, prompt=EVIL, label=f"[[104,139,417,417]] {EVIL}", id=EVIL)
    other = sample("b.png", category=EVIL.upper())
    manifest = {
        "not_found": {"en": EVIL},
        "refusals": {EVIL: 3},
        "counts": {"places": {EVIL: [EVIL]}},
        "settings": {"made_by": MADE_BY, "sources": [EVIL], "format": EVIL},
    }
    path = dataset(tmp_path, train=[evil, other], manifest=manifest)
    text = render_page(inspect(path))
    page = Elements(text)
    assert not page.having("script") and not page.having("img")
    assert "<b>'" not in text
    assert not any(attribute.startswith("on") for _, attrs in page.elements for attribute in attrs)
    assert "{{ 7*7 }}" in text and text.count("</style>") == text.count("<style")


def test_images_need_not_be_there_nor_have_a_size(tmp_path: Path) -> None:
    talk = sample("a.png", None, width=None, height=None, label="Yes", task="presence")
    words = replace(talk, id="x", image=None)
    path = dataset(tmp_path, train=[talk, words], draw=False)
    photo(1).save(tmp_path / "images" / "a.png")
    assert Elements(render_page(inspect(path))).having("article")
    assert not Elements(render_page(inspect(path, cards=0))).having("article")
    assert "Images were not read" in render_page(inspect(path, check_images=False))


def test_words_between_backticks_are_code_and_escaped() -> None:
    assert code("run `a <b>` & go") == "run <code>a &lt;b&gt;</code> &amp; go"
