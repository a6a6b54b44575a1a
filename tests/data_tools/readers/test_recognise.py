"""`--format auto`: each format is recognised by what it holds, and one set reads the same in all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from data_tools.convert import Options, convert
from data_tools.readers import OWN, Format, open_auto
from data_tools.records import Source
from grounding.errors import InputError
from tests.data_tools.annotated import image, text_file
from tests.data_tools.readers.test_formats import bring
from tests.data_tools.sets import BUILDERS, CLASSES, NAMES, PROMPTS, TRUTH, coco, voc


def test_every_format_has_a_builder_here() -> None:
    assert set(BUILDERS) == set(OWN)


@pytest.mark.parametrize("name", BUILDERS)
def test_a_format_is_recognised_and_it_is_said_how(tmp_path: Path, name: str) -> None:
    (source,) = open_auto(BUILDERS[name](tmp_path / "set"), None, {})
    assert source.taken["format"].startswith(f"{name}: ")
    assert source.records


@pytest.mark.parametrize("name", CLASSES)
def test_one_set_reads_the_same_in_every_format(tmp_path: Path, name: str) -> None:
    made = convert([("train", BUILDERS[name](tmp_path / "set"))], tmp_path / "out", Options(format="auto", negatives=0))
    found = {(Path(s.image or "").stem, s.category): s.boxes for s in made.samples["train"]}
    expected: dict[tuple[str, str], list[Any]] = {}
    for stem, objects in TRUTH.items():
        for category, box, _ in objects:
            expected.setdefault((stem, category), []).append(pytest.approx(box))
    assert found == expected
    assert not made.manifest.refusals
    assert sum(made.splits["train"]["classes"][category]["boxes"] for category in NAMES) == 4


@pytest.mark.parametrize("name", PROMPTS)
def test_one_prompt_reads_the_same_in_every_format(tmp_path: Path, name: str) -> None:
    made = convert([("train", BUILDERS[name](tmp_path / "set"))], tmp_path / "out", Options(format="auto"))
    (sample,) = made.samples["train"]
    assert "a dog" in sample.prompt
    assert sample.label.endswith("[[025,033,150,200]]")
    assert sample.boxes == (None if name == "conversations" else [[1, 1, 6, 6]])
    assert not made.manifest.refusals


def test_a_folder_of_two_formats_is_told_with_both(tmp_path: Path) -> None:
    coco(tmp_path)
    voc(tmp_path)
    with pytest.raises(InputError, match=r"2 formats: coco: instances\.json .*; voc: Annotations/1\.xml") as caught:
        open_auto(tmp_path, None, {})
    assert "one of: coco, voc." in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.json", '{"images": []}'), ("x.json", "[]"), ("x.jsonl", "{}\n"), ("x.txt", "0 1 1 1 1")],
)
def test_what_is_not_recognised_is_told(tmp_path: Path, name: str, content: str) -> None:
    with pytest.raises(InputError, match="not recognised") as caught:
        open_auto(text_file(tmp_path, name, content), None, {})
    assert "coco, voc, yolo" in str(caught.value)


@pytest.mark.parametrize("in_folder", [False, True])
@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("x.json", '{"images": [\n5,,\n', r"x\.json:2: is no JSON"),
        ("x.json", "", r"x\.json:1: is no JSON"),
        ("x.jsonl", "\nhello\n", r"x\.jsonl:2: is no JSON"),
        ("data.yaml", "names: [a\n", r"data\.yaml: is not YAML"),
        ("x.csv", "a,b\n", r"x\.csv: is a table.*Open Images.*docs/readers.md"),
    ],
)
def test_why_nothing_is_recognised_is_told(tmp_path: Path, name: str, content: str, told: str, in_folder: bool) -> None:
    path = text_file(tmp_path, name, content)
    with pytest.raises(InputError, match=told):
        open_auto(tmp_path if in_folder else path, None, {})


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("", r"not recognised\. Is one of these meant: \S*/a \(coco: .*\); \S*/b \(voc: .*\)\?"),
        ("b/JPEGImages", r"is a folder of \d images and nothing else; .* Is \S*/b \(voc: .*\) meant\?"),
        ("b/JPEGImages/1.png", r"is an image; annotations are needed\. Is \S*/b \(voc: .*\) meant\?"),
        ("b/Annotations/1.xml", r"not recognised\. Is \S*/b \(voc: .*\) meant\?"),
        ("empty", r"is an empty folder; annotations are needed\. Name the file or folder of the annotations"),
        ("photos", r"is a folder of 1 image and nothing else; .*--images"),
        ("notes", r"not recognised\. Say --format NAME"),
    ],
)
def test_what_was_meant_is_looked_for_near_by(tmp_path: Path, named: str, told: str) -> None:
    coco(tmp_path / "a")
    voc(tmp_path / "b")
    (tmp_path / "empty").mkdir()
    image(tmp_path / "photos", "1.png")
    text_file(tmp_path / "notes", "x.txt", "")
    text_file(tmp_path / "broken", "x.json", "{")  # no hindrance beside the others
    with pytest.raises(InputError, match=told):
        open_auto(tmp_path / named, None, {})


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        open_auto(tmp_path / "gone", None, {})


def test_nan_and_one_long_line_do_not_hide_a_format(tmp_path: Path) -> None:
    path = coco(tmp_path) / "instances.json"
    path.write_text(path.read_text().replace("[4, 3, 16, 12]", "[NaN, 3, 16, 12]"))
    (source,) = open_auto(path, None, {})
    assert source.taken["format"].startswith("coco: ")
    assert source.tally.counts == {"not_finite": 1}


def open_mine(*_: Any) -> list[Source]:
    return []


MINE = Format(open_mine, lambda look: "it ends in .mine" if look.path.suffix == ".mine" else None)


def test_a_brought_format_may_be_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(monkeypatch, "mine", f"{__name__}:MINE")
    assert open_auto(text_file(tmp_path, "a.mine", ""), None, {}) == []
    bring(monkeypatch, "mine", f"{__name__}:open_mine")  # a bare reader is never guessed
    with pytest.raises(InputError, match="not recognised"):
        open_auto(text_file(tmp_path, "a.mine", ""), None, {})
