"""Each thing that validation finds has a set that has it; a sound set is sound."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from data_tools.validation.judging import Lengths
from data_tools.validation.validate import validate
from data_tools.writers.folder import MADE_BY
from grounding.errors import InputError
from grounding.samples import Sample
from grounding.text import NOT_FOUND
from tests.data_tools.inspection.making import dataset, photo, sample

GOOD = [sample("a.png"), sample("b.png"), sample("b.png", [], "dog")]


def found(path: Path, **options: Any) -> dict[str, str]:
    """Level by name of what is found; that the verdict fits is seen on the way."""
    report = validate(path, **options)
    assert report["sound"] == all(finding["level"] != "fault" for finding in report["findings"])
    return {finding["name"]: finding["level"] for finding in report["findings"]}


def test_a_sound_set(tmp_path: Path) -> None:
    report = validate(dataset(tmp_path, train=GOOD, val=[sample("c.png")]))
    assert report["sound"] and report["findings"] == []
    assert (report["samples"], report["images"], report["longest"]["label"]) == (4, 3, 18)


@pytest.mark.parametrize(
    ("bad", "finding"),
    [
        (sample("a.png", label="[[001,002,003,004]]"), {"label_disagrees": "fault"}),
        (sample("a.png", label="over there"), {"label_disagrees": "fault"}),
        (sample("a.png", label=NOT_FOUND["en"]), {"label_disagrees": "fault"}),
        (sample("a.png", [], label="Nothing."), {"label_disagrees": "fault"}),
        (sample("a.png", [[10, 10, 97, 30]]), {"box_outside": "fault"}),
        (sample("a.png", prompt="Is it at [[104,139,417,417]]?"), {"prompt_holds_boxes": "fault"}),
        (
            sample("a.png", None, task="box_to_phrase", prompt="Name the cat.", label="cat"),
            {"prompt_holds_words": "warning"},
        ),
        (sample("a.png", None, task="text", label="word " * 800), {"label_too_long": "fault"}),
        (sample("b.png", id="again", prompt="Where is dog?"), {"two_answers": "warning"}),
    ],
)
def test_samples_that_are_wrong(tmp_path: Path, bad: Sample, finding: dict[str, str]) -> None:
    assert found(dataset(tmp_path, train=[bad, *GOOD[1:]])) == finding


def test_a_box_that_floats_carry_over_the_edge_is_inside(tmp_path: Path) -> None:
    assert found(dataset(tmp_path, train=[sample("a.png", [[10, 10, 96 + 1e-9, 72]])])) == {}


def test_the_sentence_of_the_manifest_counts(tmp_path: Path) -> None:
    absent = sample("a.png", [], label="Not here.")
    assert found(dataset(tmp_path / "1", train=[absent])) == {"label_disagrees": "fault"}
    assert found(dataset(tmp_path / "2", train=[absent], manifest={"not_found": {"en": "Not here."}})) == {}


def test_lines_that_cannot_be_read_are_findings(tmp_path: Path) -> None:
    path = dataset(tmp_path, train=GOOD, val=[sample("c.png")])
    line = (path / "train.jsonl").read_text().splitlines()[0]
    wrong = [line, line, line.replace("phrase_to_boxes", "guess"), line.replace("40.0", "4.0"), "{"]
    (path / "train.jsonl").write_text("\n".join(wrong))
    report = validate(path)
    (finding,) = report["findings"]
    assert (finding["name"], finding["level"], finding["n"]) == ("unreadable_lines", "fault", 4)
    told = "\n".join(finding["examples"])
    assert "ids must be unique" in told and "allowed are phrase_to_boxes" in told and "x0 < x1" in told
    assert report["samples"] == 2 and "samples of this split that were checked: 1." in finding["text"]


def test_the_lines_beside_a_bad_one_are_judged(tmp_path: Path) -> None:
    path = dataset(tmp_path, train=[sample("a.png", label="over there"), *GOOD[1:]])
    with (path / "train.jsonl").open("a") as file:
        file.write("{\n")
    assert found(path) == {"unreadable_lines": "fault", "label_disagrees": "fault"}
    (path / "train.jsonl").write_text("{\n")
    report = validate(path)
    assert report["samples"] == 0 and "that were checked: 0." in report["findings"][0]["text"]


def test_empty_splits(tmp_path: Path) -> None:
    assert found(dataset(tmp_path / "1", train=GOOD, val=[])) == {"empty_split": "warning"}
    assert found(dataset(tmp_path / "2", train=[], val=GOOD)) == {"empty_split": "fault"}
    with pytest.raises(InputError, match="every split is empty"):
        validate(dataset(tmp_path / "3", train=[], val=[]))


def test_images_that_are_not_there_not_whole_or_not_of_their_size(tmp_path: Path) -> None:
    path = dataset(tmp_path, train=[sample(f"{name}.png") for name in "abc"])
    images = tmp_path / "images"
    (images / "a.png").unlink()
    (images / "b.png").write_bytes(b"no picture")
    photo(1, (20, 20)).save(images / "c.png")
    assert found(path) == dict.fromkeys(("image_missing", "image_unreadable", "image_other_size"), "fault")
    assert found(path, check_images=False) == {}
    assert validate(path)["images"] == 2


def test_what_is_in_two_splits(tmp_path: Path) -> None:
    train, val = [*GOOD, sample("p1_x.png")], [sample("a.png"), sample("p1_y.png"), sample("c.png")]
    path = dataset(
        tmp_path, train=train, val=val, manifest={"settings": {"made_by": MADE_BY, "group_by": "^(p[0-9])_"}}
    )
    (tmp_path / "images/c.png").write_bytes((tmp_path / "images/b.png").read_bytes())
    assert found(path) == {
        "leak_file": "fault",
        "leak_bytes": "fault",
        "leak_group": "fault",
        "id_in_two_splits": "warning",
    }


def test_a_torn_group_is_shown_by_an_image_of_each_split(tmp_path: Path) -> None:
    train = [sample(f"p1_{n}.png") for n in range(6)]
    path = dataset(tmp_path, train=train, val=[sample("p1_x.png")], test=[sample("p1_y.png")])
    (finding,) = validate(path, group_by=r"^(p\d)_")["findings"]
    assert finding["examples"] == ["p1_0.png (train) = p1_x.png (val) = p1_y.png (test)"]
    assert r"'^(p\d)_'" in finding["text"]


def test_groups_may_be_named(tmp_path: Path) -> None:
    path = dataset(tmp_path, train=[sample("p1_x.png")], val=[sample("p1_y.png"), sample("p2_y.png")])
    assert found(path) == {}
    assert found(path, group_by="^(p[0-9])_") == {"leak_group": "fault"}
    with pytest.raises(InputError, match="no regular expression"):
        validate(path, group_by="(")


def test_what_looks_alike_in_two_splits_is_a_warning(tmp_path: Path) -> None:
    path = dataset(tmp_path, train=[*GOOD, sample("x.jpg")], val=[sample("y.jpg")])
    for name, quality in (("x.jpg", 95), ("y.jpg", 70)):
        photo(9).save(tmp_path / "images" / name, quality=quality)
    assert found(path) == {"leak_looks": "warning", "look_alikes": "note"}


def test_a_wording_that_tells_the_answer(tmp_path: Path) -> None:
    samples = [
        sample(f"{n}.png", [] if n % 3 else [[1, 1, 9, 9]], prompt=f"{'Is' if n % 3 else 'Find'} cat?")
        for n in range(90)
    ]
    assert found(dataset(tmp_path, draw=False, train=samples), check_images=False) == {"wording_tells": "fault"}


def test_a_model_measures_and_says_what_does_not_fit(tmp_path: Path) -> None:
    def measure(one: Sample) -> tuple[Lengths, list[str]]:
        return Lengths(len(one.label), 7), ["it has a letter that cannot be written"] if one.image == "b.png" else []

    path = dataset(tmp_path, train=GOOD)
    report = validate(path, measure=measure)
    (finding,) = report["findings"]
    assert (finding["name"], finding["n"]) == ("does_not_fit", 2)
    assert report["longest"] == {"label": len(NOT_FOUND["en"]), "positions": 7}
    assert "label_too_long" in found(path, measure=measure, max_label_tokens=10)


def test_conversations_are_read_too(tmp_path: Path) -> None:
    photo(1).save(tmp_path / "a.png")
    turns = [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "A cat."}]
    (tmp_path / "mine.jsonl").write_text(json.dumps({"id": "1", "image": "a.png", "conversations": turns}))
    assert found(tmp_path / "mine.jsonl") == {}
