"""The report folder: its files, what they hold, hostile texts, missing pictures, and nothing half-written."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from PIL import Image

from grounding.errors import RunError
from grounding.evaluation.evaluate import evaluate
from grounding.evaluation.metrics import OUTCOMES
from grounding.evaluation.parse import judge
from grounding.evaluation.predictions import Prediction, open_aligned, write_predictions
from grounding.evaluation.report import write
from grounding.evaluation.report.headline import warnings
from grounding.evaluation.report.write import write_report
from grounding.page import thumbnails
from grounding.page.layout import visible
from grounding.samples import Sample, open_samples, write_samples
from tests.evaluation.making import NOT_FOUND_TEXT, boxes_text, predictions, random_set, sample

ABOUT = {
    "data": {"file": "data/test.jsonl", "name": "test.jsonl", "samples_in_file": 4, "limit": None},
    "answers": {"name": "a model"},
    "settings": {"seed": 0},
    "versions": {},
}
EVIL = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>&amp;\x07\u202e{{ 7*7 }}"


class Elements(HTMLParser):
    """Every element with its attributes, the text outside tags, and the blocks of JSON."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.page = "", page
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def data(self, name: str) -> Any:
        """A block of JSON in the page."""
        found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', self.page, flags=re.DOTALL)
        assert found is not None
        return json.loads(found[1])

    def outcomes(self) -> list[str]:
        """Of the listed samples, in their order."""
        listing = self.data("listing")
        return [listing["outcomes"][number] for number in listing["columns"]["outcome"]]

    def having(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag and wanted.items() <= attrs.items()]


def images(folder: Path, samples: list[Sample]) -> Path:
    """A picture for each sample."""
    for one in samples:
        Image.new("RGB", (200, 100), (90, 120, 150)).save(folder / str(one.image))
    return folder


def make(
    out: Path, samples: list[Sample], texts: list[str | None], root: Path, about: Any = ABOUT, **more: Any
) -> tuple[dict[str, Any], Elements]:
    evaluation = evaluate(samples, predictions(*texts), protocol=more.pop("protocol", "default"))
    report = write_report(out, evaluation, image_root=root, about=about, **more)
    return report, Elements((out / "report.html").read_text(encoding="utf-8"))


def test_the_folder_and_its_numbers(tmp_path: Path) -> None:
    samples, texts = random_set(0, 24)
    root = images(tmp_path, samples)
    told: list[int] = []
    report, page = make(tmp_path / "out", samples, texts, root, progress=told.append)
    files = ["metrics.csv", "report.html", "report.json", "report.md", "samples.jsonl"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == files
    assert json.loads((tmp_path / "out/report.json").read_text(encoding="utf-8")) == report
    assert set(report["metrics"]) >= {"n", "acc_50", "grec_50", "not_found", "unparsable", "cut_off", "baselines"}
    assert sum(report["statuses"].values()) == sum(report["outcomes"].values()) == report["metrics"]["n"] == 24
    assert set(report["outcomes"]) == set(OUTCOMES)
    assert told == [1] * 24
    assert len(page.outcomes()) == 24
    assert len(page.having("svg", **{"class": "plot"})) == 2
    assert f"{100 * report['metrics']['acc_50']['value']:.1f}" in page.text


def test_one_row_a_sample(tmp_path: Path) -> None:
    true, far = [20.0, 10.0, 60.0, 50.0], [120.0, 60.0, 180.0, 90.0]
    samples = [sample(0, [true, far]), sample(1, []), sample(2, None, task="presence"), sample(3, [true], ignore=[far])]
    texts = [f"[[1,2,3]] {boxes_text(true)}", None, "Yes", boxes_text(far)]
    make(tmp_path / "out", samples, texts, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "out/samples.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["id"] for row in rows] == ["s0", "s1", "s2", "s3"]
    first, missing, words, ignored = rows
    assert first["status"] == "boxes" and first["ious"] == [1.0, 0.0] and first["matched"] == [0]
    assert first["refusals"] == [{"reason": "count", "start": 2, "end": 7}]
    assert first["boxes_px"] == [true] and first["first_iou"] is None
    assert (missing["status"], missing["reason"], missing["text"]) == ("unparsable", "missing", None)
    assert words["status"] is None and words["exact_match"] is True
    assert ignored["left_out"] == [True] and ignored["status"] == "boxes" and ignored["first_iou"] == 0.0


def test_hostile_texts_are_only_text(tmp_path: Path) -> None:
    samples = [
        sample(0, [], prompt=EVIL, category=EVIL, phrase=EVIL, id=f"s0{EVIL}"),
        sample(1, [], prompt=EVIL, image=f"{'<b>'}.png"),
    ]
    evaluation = evaluate(samples, predictions(EVIL, f"[[000,000,999,999]]{EVIL}"))
    about = {**ABOUT, "answers": {"name": EVIL, "adapter": EVIL}, "data": {**ABOUT["data"], "name": EVIL, "file": EVIL}}
    write_report(tmp_path / "out", evaluation, image_root=tmp_path, about=about)
    text = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    page = Elements(text)
    assert [attrs.get("type") for attrs in page.having("script")] == ["application/json"] * 3 + [None]
    assert not page.having("img") and not page.having("b", src="x")
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)
    assert "\x07" not in text and "{{ 7*7 }}" in text
    assert page.text.count("<script>alert('x')</script>") >= 4, "in the head and in tables"
    columns = page.data("listing")["columns"]
    assert all(columns[name][0] == EVIL.replace("\x07", "\u2407") for name in ("prompt", "answer"))
    assert visible("a\x00b\nc") == "a\u2400b\nc"


def test_the_page_needs_no_network_and_runs_only_its_own_script(tmp_path: Path) -> None:
    samples, texts = random_set(1, 6)
    _, page = make(tmp_path / "out", samples, texts, images(tmp_path, samples))
    policy = page.having("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    assert policy is not None and "default-src 'none'" in policy and "script-src 'sha256-" in policy
    links = [value for _, attrs in page.elements for name, value in attrs.items() if name in ("src", "href") and value]
    assert links and all(link.startswith("#") for link in links)
    assert all(picture.startswith("data:image/webp;base64,") for picture in page.data("pictures"))
    assert not page.having("link")


def test_the_page_follows_light_and_dark(tmp_path: Path) -> None:
    samples, texts = random_set(1, 6)
    make(tmp_path / "out", samples, texts, tmp_path)
    text = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "color-scheme: light dark" in text and "--page: light-dark(" in text
    plots = re.findall(r'<svg class="plot".*?</svg>', text, flags=re.DOTALL)
    assert len(plots) == 2
    assert all("var(--ink)" in plot and "#0" not in plot for plot in plots)


def test_only_so_many_get_a_picture(tmp_path: Path) -> None:
    true = [20.0, 10.0, 60.0, 50.0]
    samples = [sample(number, [true]) for number in range(4)]
    texts = [boxes_text(true), boxes_text([20, 10, 60, 40]), "what?", NOT_FOUND_TEXT]
    report, page = make(tmp_path / "out", samples, texts, images(tmp_path, samples), cards=3)
    assert page.outcomes() == ["unparsable", "missed", "all_found", "all_found"]
    assert (report["pictures"]["samples_listed"], report["pictures"]["samples_pictured"]) == (4, 3)
    assert [number >= 0 for number in page.data("listing")["columns"]["picture"]] == [True, True, True, False]
    assert "All 4 samples, 3 of them with their picture" in page.text


def test_missing_and_broken_pictures_are_said_and_stop_nothing(tmp_path: Path) -> None:
    samples = [sample(number, []) for number in range(3)]
    images(tmp_path, samples[:1])
    (tmp_path / "1.png").write_bytes(b"no picture")
    report, page = make(tmp_path / "out", samples, [NOT_FOUND_TEXT] * 3, tmp_path)
    assert set(report["pictures"]["missing"]) == {"1.png", "2.png"}
    assert report["pictures"]["inside"] == 1
    assert "2 pictures are not here" in page.text
    assert page.data("listing")["columns"]["picture"] == [0, -1, -1]


def test_pictures_beyond_those_inside_lie_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "INSIDE", 2)
    samples = [sample(number, []) for number in range(5)]
    root = images(tmp_path, samples)
    out = tmp_path / "out"
    report, page = make(out, samples, [NOT_FOUND_TEXT] * 5, root)
    assert sorted(path.name for path in (out / "report_files").iterdir()) == ["00001.webp", "00002.webp", "00003.webp"]
    beside = [picture for picture in page.data("pictures") if not picture.startswith("data:")]
    assert beside == ["report_files/00001.webp", "report_files/00002.webp", "report_files/00003.webp"]
    assert (report["pictures"]["inside"], report["pictures"]["beside"]) == (2, 3)
    assert "keep that folder with it" in page.text
    make(out, samples[:2], [NOT_FOUND_TEXT] * 2, root)
    assert not (out / "report_files").exists(), "those of the report before are gone"


def test_one_thumbnail_for_samples_of_one_image(tmp_path: Path) -> None:
    samples = [sample(0, []), sample(1, [], image="0.png"), sample(2, [], image="0.png", upright=True)]
    report, page = make(tmp_path / "out", samples, [NOT_FOUND_TEXT] * 3, images(tmp_path, samples[:1]))
    assert report["pictures"]["inside"] == 2, "the stored and the upright frame"
    assert sorted(page.data("listing")["columns"]["picture"]) == [0, 0, 1]


def test_what_a_reader_must_know_is_said_loudly(tmp_path: Path) -> None:
    about = {**ABOUT, "data": {**ABOUT["data"], "limit": 2, "samples_in_file": 90}}
    report, page = make(
        tmp_path / "out", [sample(0, []), sample(1, [])], ["x", None], tmp_path, about, protocol="cogvlm-refcoco"
    )
    said = warnings(report)
    assert len(said) == 4
    for words in ("first 2 of 90 samples", "1 sample has no prediction; it counts", "cogvlm-refcoco", "Only 2 samples"):
        assert any(words in one for one in said) and words in page.text
    assert "default protocol" in page.text


def test_answers_that_the_token_limit_ended_are_said_though_they_hold_boxes(tmp_path: Path) -> None:
    box = [20.0, 10.0, 60.0, 50.0]
    ended = [replace(one, finish="length") for one in predictions(boxes_text(box), boxes_text(box)) if one is not None]
    report = write_report(
        tmp_path / "out", evaluate([sample(0, [box]), sample(1, [box])], ended), image_root=tmp_path, about=ABOUT
    )
    assert report["metrics"]["cut_off"]["n"] == 0
    assert any("2 of 2 answers were ended by the token limit" in one for one in warnings(report))


def test_only_words_to_score_is_a_page_too(tmp_path: Path) -> None:
    _, page = make(tmp_path / "out", [sample(0, None, task="presence")], ["no"], tmp_path)
    assert "No sample asks for boxes" in page.text and "presence" in page.text
    assert not page.having("section", id="gallery")


def test_the_page_says_why(tmp_path: Path) -> None:
    cat, dog = [20.0, 10.0, 60.0, 50.0], [100.0, 40.0, 160.0, 90.0]
    samples = [sample(0, [cat], image="a.png", category=EVIL), sample(1, [dog], image="a.png", category="dog")]
    texts: list[str | None] = [boxes_text(dog), boxes_text(dog, dog)]
    report, page = make(tmp_path / "out", samples, texts, tmp_path)
    assert {"mistakes", "places", "scores"} <= {attrs["id"] for attrs in page.having("section")}
    assert report["mistakes"]["wrong_object"]["n"] == report["mistakes"]["duplicate"]["n"] == 1
    assert report["confusion"]["pairs"][0]["asked"] == EVIL and not page.having("img")
    assert report["place_map"]["recall_50"][3][3]["value"] == 1.0
    assert "No average precision and no calibration: 2 of 2 answers with boxes carry no scores" in page.text
    assert {"size", "aspect", "targets"} <= set(report["breakdowns"])


def test_the_page_shows_what_scores_are_worth(tmp_path: Path) -> None:
    samples, texts = random_set(3, 40)
    given = predictions(*texts)
    scored = [
        None if one is None else replace(one, scores=[-0.1 * (number % 7)] * len(judge(one.text).xyxy_grid) or None)
        for number, one in enumerate(given)
    ]
    report = write_report(tmp_path / "out", evaluate(samples, scored), image_root=tmp_path, about=ABOUT)
    page = Elements((tmp_path / "out/report.html").read_text(encoding="utf-8"))
    assert "Average precision (pycocotools)" in page.text and "Expected calibration error" in page.text
    assert report["average_precision"]["ap_50"]["value"] > 0.1
    assert f"{100 * report['average_precision']['ap_50']['value']:.1f}" in page.text


def test_samples_that_stay_in_their_files_make_the_same_report(tmp_path: Path) -> None:
    samples, texts = random_set(5, 30)
    samples.append(sample(30, None, task="presence", label="yes", category=None))
    given = [Prediction(id=one.id, text=text or "") for one, text in zip(samples, [*texts, "yes"], strict=True)]
    write_samples(tmp_path / "data.jsonl", samples)
    write_predictions(tmp_path / "answers.jsonl", given)
    left = open_samples(tmp_path / "data.jsonl")
    made = []
    for name, evaluation in {
        "memory": evaluate(samples, given),
        "files": evaluate(left, open_aligned(tmp_path / "answers.jsonl", left)),
    }.items():
        report = write_report(tmp_path / name, evaluation, image_root=tmp_path, about=ABOUT, cards=7)
        made.append(({**report, "made": None}, (tmp_path / name / "samples.jsonl").read_bytes()))
    assert made[0] == made[1]


def test_parts_are_shown_where_there_are_several(tmp_path: Path) -> None:
    samples, texts = random_set(4, 20)
    _, page = make(tmp_path / "one", samples, texts, tmp_path)
    headings = {attrs["id"] for attrs in page.having("section")}
    assert {"by-class", "by-size"} <= headings and "by-lang" not in headings
    assert all(words in page.text for words in ("small, below 32² px", "medium, below 96² px", "large, 96² px"))
    mixed = [sample(number, [], lang=lang) for number, lang in enumerate(("en", "zh"))]
    _, page = make(tmp_path / "two", mixed, [NOT_FOUND_TEXT] * 2, tmp_path)
    assert "by-lang" in {attrs["id"] for attrs in page.having("section")}


def test_a_failure_leaves_the_report_before_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    make(out, [sample(0, [])], [NOT_FOUND_TEXT], tmp_path)
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(*_: Any, **__: Any) -> str:
        raise OSError(28, "No space left on device", "report.html")

    monkeypatch.setattr(write, "render_page", full)
    with pytest.raises(RunError, match="No space left"):
        make(out, [sample(0, []), sample(1, [])], ["", ""], tmp_path)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/predictions.jsonl").write_text("mine")
    make(tmp_path / "out", [sample(0, [])], [NOT_FOUND_TEXT], tmp_path)
    assert (tmp_path / "out/predictions.jsonl").read_text() == "mine"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="file"):
        make(tmp_path / "file/out", [sample(0, [])], [""], tmp_path)
