"""`grounding export`: every form from a dataset, results from predictions, calls that contradict themselves."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from data_tools.convert import Options, convert
from data_tools.readers import open_auto
from data_tools.readers.swift import open_swift
from grounding.cli.main import group
from grounding.evaluation.predictions import Prediction, write_predictions
from grounding.evaluation.ranking import STATISTICS
from grounding.samples import Manifest, read_samples, write_manifest, write_samples
from tests.data_tools import sets
from tests.data_tools.annotated import image
from tests.data_tools.writers.test_coco import evaluate
from tests.evaluation.test_ranking import detections, hold, precision
from tests.samples.making import TEXT, make

ABSENT = {"label": "Nope.", "boxes": []}


def dataset(folder: Path) -> Path:
    samples = [
        make(id="1", image="a.png"),
        make(id="2", image="b.png", category="cat", phrase="cat", **ABSENT),
        make(id="3", image="b.png"),
        make(id="4", image="b.png", category="cow", phrase="cow"),
        make(id="5", image="a.png", task="phrase_to_box"),
        make(**TEXT),
    ]
    write_samples(folder / "test.jsonl", samples)
    write_manifest(folder / "manifest.json", Manifest(image_root="images", not_found={"en": "Nope."}))
    return folder / "test.jsonl"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(group, ["export", *map(str, arguments)])


def predictions(folder: Path, **texts: Any) -> Path:
    lines = [
        {"id": key.lstrip("n"), **(said if isinstance(said, dict) else {"text": said})} for key, said in texts.items()
    ]
    path = folder / "answers.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize("style", ["pairs", "conversations"])
def test_own_styles_read_back(tmp_path: Path, style: str) -> None:
    data = dataset(tmp_path)
    result = run(data, "--to", style, "--out", tmp_path / "new" / "x.jsonl")
    assert result.exit_code == 0, result.output
    assert "6 samples" in result.output
    assert read_samples(tmp_path / "new" / "x.jsonl") == read_samples(data)


def test_a_folder_goes_out_split_by_split(tmp_path: Path) -> None:
    data = dataset(tmp_path / "data")
    write_samples(tmp_path / "data" / "train.jsonl", [make(id="0", image="c.png")])
    (tmp_path / "data" / "val.jsonl").touch()
    result = run(tmp_path / "data", "--to", "conversations", "--out", tmp_path / "new")
    assert result.exit_code == 0, result.output
    assert "val has no sample" in result.output
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["test.jsonl", "train.jsonl"]
    for name in ("test", "train"):
        assert read_samples(tmp_path / "new" / f"{name}.jsonl") == read_samples(data.with_stem(name))
    for arguments, said in (
        (["--to", "coco-results", "--predictions", data, "--out", tmp_path / "dt.json"], "Name one of them"),
        (["--to", "conversations", "--out", tmp_path / "new"], "--overwrite replaces it"),
        (["--to", "swift", "--out", tmp_path / "data"], "holds a dataset"),
        (["--to", "swift", "--out", tmp_path / "new" / "test.jsonl"], "is a file"),
    ):
        refused = run(tmp_path / "data", *arguments)
        assert refused.exit_code == 2 and said in " ".join(refused.output.split()), refused.output


def test_a_class_has_one_id_in_all_splits_of_a_dataset(tmp_path: Path) -> None:
    truth = dataset(tmp_path / "data")
    write_samples(tmp_path / "data" / "train.jsonl", [make(id="0", category="ant"), make(id="1", category="yak")])

    def ids(path: Path) -> dict[str, int]:
        return {entry["name"]: entry["id"] for entry in json.loads(path.read_text())["categories"]}

    assert run(tmp_path / "data", "--to", "coco-instances", "--out", tmp_path / "all").exit_code == 0
    alone = run(truth, "--to", "coco-instances", "--out", tmp_path / "test.json")
    assert alone.exit_code == 0 and "alone" not in alone.output
    numbered = {"ant": 1, "cat": 2, "cow": 3, "dog": 4, "yak": 5}
    for path in (tmp_path / "all" / "train.json", tmp_path / "all" / "test.json", tmp_path / "test.json"):
        assert ids(path) == numbered
    text = "[[000,000,500,500]]"
    answers = predictions(tmp_path, n1=text, n2=text, n3=text, n4=text, n5=text, t="Hello.")
    run(truth, "--to", "coco-results", "--predictions", answers, "--out", tmp_path / "dt.json")
    told = json.loads((tmp_path / "dt.json").read_text())
    assert {note["category_id"] for note in told} == {numbered[name] for name in ("cat", "cow", "dog")}
    (tmp_path / "data" / "train.jsonl").unlink()
    lone = run(truth, "--to", "coco-instances", "--out", tmp_path / "lone.json")
    assert "numbered by test.jsonl alone" in lone.output and ids(tmp_path / "lone.json")["cat"] == 1


def test_a_file_is_replaced_only_when_told_to(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    (tmp_path / "x.json").write_text("mine")
    refused = run(data, "--to", "coco-instances", "--out", tmp_path / "x.json")
    assert refused.exit_code == 2 and "x.json" in refused.output and "--overwrite" in refused.output
    assert (tmp_path / "x.json").read_text() == "mine"
    assert run(data, "--to", "coco-instances", "--out", tmp_path / "x.json", "--overwrite").exit_code == 0
    assert "categories" in json.loads((tmp_path / "x.json").read_text())


def test_swift_reads_back(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    assert run(data, "--to", "swift", "--out", tmp_path / "x.jsonl").exit_code == 0
    (source,) = open_swift(tmp_path / "x.jsonl", tmp_path, {})
    assert dict(source.tally.counts) == {"text_only": 1}
    assert sum(len(record.samples) for record in source.records) == 5


def test_a_folder_goes_to_yolo_and_comes_back(tmp_path: Path) -> None:
    source = sets.coco(tmp_path / "set")
    options = Options(negatives=9.0, tasks=("phrase_to_boxes", "presence"), ratios=(0.5, 0.5, 0.0))
    made = convert([(None, source)], tmp_path / "data", options)
    result = run(tmp_path / "data", "--to", "yolo", "--out", tmp_path / "yolo", "--embed-images")
    assert result.exit_code == 0, result.output
    assert "has no row in an image" in result.output
    presence = sum(sample.task == "presence" for some in made.samples.values() for sample in some)
    assert result.output.count("left out:") == 1 and f"{presence} samples of presence" in result.output
    (read,) = open_auto(tmp_path / "yolo", None, {})
    assert not read.tally.counts
    again = convert([(None, tmp_path / "yolo")], tmp_path / "again", Options(format="yolo", negatives=9.0))
    for split, samples in made.samples.items():
        asked = {(s.image, s.category): s.boxes for s in samples if s.task == "phrase_to_boxes"}
        back = {(s.image.removeprefix("images/"), s.category): s.boxes for s in again.samples.get(split, []) if s.image}
        assert back == {key: pytest.approx(np.array(boxes)) for key, boxes in asked.items()}, split


def test_classes_that_become_background_though_they_are_annotated_are_told(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    whole = run(data, "--to", "yolo", "--out", tmp_path / "whole")
    assert "takes every class that has no row" in whole.output and "false absence" not in whole.output
    refused = [{"reason": "class_incomplete", "found": f"{name} in a.png"} for name in ("cat", *"abcdef")]
    write_findings(tmp_path, *refused, {"reason": "class_refused", "found": "cat in b.png"})
    told = run(data, "--to", "yolo", "--out", tmp_path / "yolo").output
    assert "false absence: cat is annotated in 1 image without a row: a.png\n" in told
    assert "false absence: 2 more classes likewise" in told and "mend them, or leave the images out" in told
    write_findings(tmp_path, {"reason": 1})
    broken = run(data, "--to", "yolo", "--out", tmp_path / "broken")
    assert broken.exit_code == 2 and "findings.json" in broken.output and not (tmp_path / "broken").exists()


def write_findings(folder: Path, *findings: dict[str, Any]) -> None:
    (folder / "findings.json").write_text(json.dumps(findings))


def test_answers_become_yolo_rows_with_a_score(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    text = "[[000,000,500,500]]"
    answers = predictions(
        tmp_path, n1={"text": text, "scores": [math.log(0.5)]}, n2=text, n3="Nope.", n4="?", n5="", t=""
    )
    result = run(data, "--to", "yolo-results", "--predictions", answers, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "2 boxes from 4 answers" in result.output and "which YOLO has no word for" in result.output
    read = {name: (tmp_path / "out" / "labels" / f"{name}.txt").read_text() for name in "ab"}
    assert read == {"a": "2 0.25 0.25 0.5 0.5 0.5\n", "b": "0 0.25 0.25 0.5 0.5 1\n"}
    assert (tmp_path / "out" / "data.yaml").read_text() == "names:\n  0: cat\n  1: cow\n  2: dog\n"


def test_samples_that_a_form_cannot_say_are_told(tmp_path: Path) -> None:
    write_samples(tmp_path / "d.jsonl", [make(id="x", prompt="<image>"), make(id="y")])
    result = run(tmp_path / "d.jsonl", "--to", "llama-factory", "--out", tmp_path / "x.jsonl")
    write_samples(tmp_path / "none.jsonl", [make(prompt="<image>")])
    nothing = run(tmp_path / "none.jsonl", "--to", "swift", "--out", tmp_path / "none.out")
    assert nothing.exit_code == 2
    assert not (tmp_path / "none.out").exists()
    assert "1 sample; image paths" in result.output
    assert "refused: 1 sample," in result.output
    assert "x: <image>" in result.output


def test_images_go_into_parquet(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    for name in "ab":
        image(tmp_path / "images", f"{name}.png")
    data = dataset(tmp_path)
    result = run(data, "--to", "parquet", "--out", tmp_path / "x.parquet", "--embed-images")
    assert result.exit_code == 0, result.output
    loaded = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / "x.parquet"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert loaded[0]["picture"].size == (40, 30)
    assert loaded[5]["picture"] is None


def test_truth_and_answers_share_their_ids(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    log = math.log(0.5)
    answers = predictions(
        tmp_path,
        n1={"text": "[[086,540,400,760]]", "scores": [log]},
        n2="Nope.",
        n3={"text": "[[000,000,500,500;500,500,999,999]]", "scores": [log]},
        n4="I do not know",
        n5="[[000,000,500,500]]",
        t="Hello.",
    )
    truth = run(data, "--to", "coco-instances", "--out", tmp_path / "gt.json")
    result = run(data, "--to", "coco-results", "--predictions", answers, "--out", tmp_path / "dt.json")
    assert (truth.exit_code, result.exit_code) == (0, 0), result.output
    document = json.loads((tmp_path / "gt.json").read_text())
    files = {entry["id"]: entry["file_name"] for entry in document["images"]}
    names = {entry["id"]: entry["name"] for entry in document["categories"]}
    told = [
        (files[note["image_id"]], names[note["category_id"]], note["bbox"], note["score"])
        for note in json.loads((tmp_path / "dt.json").read_text())
    ]
    assert told == [
        ("a.png", "dog", pytest.approx([55.04, 259.2, 200.96, 105.6]), pytest.approx(0.5)),
        ("b.png", "dog", [0, 0, 320, 240], 1.0),
        ("b.png", "dog", pytest.approx([320, 240, 319.36, 239.52]), 1.0),
    ]
    for said in (
        "3 boxes from 4 answers", "left out: 1 sample of phrase_to_box", "left out: 1 sample of text",
        "no box: 1 answer, not_found", "no box: 1 answer, unparsable (1 no_box)",
        "2 boxes come without one; in 1 answer there",
    ):  # fmt: skip
        assert said in result.output


def test_pycocotools_says_of_the_two_files_what_the_benchmark_says(tmp_path: Path) -> None:
    samples, answers = detections(3, images=12)
    write_samples(tmp_path / "d.jsonl", samples)
    given = [
        Prediction(id=one.id, text=text, scores=scores) for one, (text, scores) in zip(samples, answers, strict=True)
    ]
    write_predictions(tmp_path / "answers.jsonl", given)
    run(tmp_path / "d.jsonl", "--to", "coco-instances", "--out", tmp_path / "gt.json")
    arguments = ["--to", "coco-results", "--predictions", tmp_path / "answers.jsonl", "--out", tmp_path / "dt.json"]
    assert "score 1.0" not in run(tmp_path / "d.jsonl", *arguments).output
    ours = precision(hold(samples, answers))
    theirs = dict(zip(STATISTICS, evaluate(tmp_path / "gt.json", tmp_path / "dt.json"), strict=True))
    assert theirs == pytest.approx({name: ours[name]["value"] for name in STATISTICS}, abs=1e-9)


def test_scores_that_are_no_log_probabilities_stay_as_they_are(tmp_path: Path) -> None:
    write_samples(tmp_path / "d.jsonl", [make()])
    answers = predictions(tmp_path, a={"text": "[[086,540,400,760;000,000,010,010]]", "scores": [0.9, 0.25]})
    run(tmp_path / "d.jsonl", "--to", "coco-results", "--predictions", answers, "--out", tmp_path / "dt.json")
    assert [note["score"] for note in json.loads((tmp_path / "dt.json").read_text())] == [0.9, 0.25]


def test_answers_of_another_family(tmp_path: Path) -> None:
    write_samples(tmp_path / "d.jsonl", [make()])
    answers = predictions(tmp_path, a='[{"bbox_2d": [100, 200, 300, 400], "label": "dog"}]')
    arguments = ["--to", "coco-results", "--predictions", answers, "--out", tmp_path / "dt.json"]
    assert run(tmp_path / "d.jsonl", *arguments, "--dialect", "qwen3-vl").exit_code == 0
    (note,) = json.loads((tmp_path / "dt.json").read_text())
    assert note["bbox"] == pytest.approx([64, 96, 128, 96])


def test_a_sample_without_an_answer_is_told_or_allowed(tmp_path: Path) -> None:
    write_samples(tmp_path / "d.jsonl", [make(id="1"), make(id="2")])
    arguments = ["--to", "coco-results", "--predictions", predictions(tmp_path, n1="[[000,000,500,500]]")]
    arguments += ["--out", tmp_path / "dt.json"]
    refused = run(tmp_path / "d.jsonl", *arguments)
    assert refused.exit_code == 2
    assert "'2'" in refused.output
    assert not (tmp_path / "dt.json").exists()
    assert "unparsable (1 missing)" in run(tmp_path / "d.jsonl", *arguments, "--allow-missing").output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "coco-results", "--out", "x.json"], "need --predictions"),
        (["--to", "swift", "--out", "x", "--predictions", "y"], "nothing else takes it"),
        (["--to", "swift", "--out", "x", "--embed-images"], "only parquet and yolo"),
        (["--to", "swift", "--out", "."], "is a folder"),
        (["--to", "swift", "--out", "d.jsonl"], "is what is read"),
        (["--to", "coco-instances", "--out", "x.json"], "no sample asks for all boxes"),
        (["--to", "yolo", "--out", "x"], "no sample asks for all boxes"),
        (["--to", "yolo", "--out", "."], "written as a whole"),
        (["--to", "yolo", "--out", "d.jsonl", "--overwrite"], "written as a whole"),
        (["--to", "yolo-results", "--out", "x"], "need --predictions"),
    ],
)
def test_calls_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str) -> None:
    monkeypatch.chdir(tmp_path)
    write_samples(tmp_path / "d.jsonl", [make(**TEXT)])
    result = run("d.jsonl", *arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())
    assert [path.name for path in tmp_path.iterdir()] == ["d.jsonl"]
