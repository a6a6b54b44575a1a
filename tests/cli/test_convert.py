"""`grounding convert` as it is typed: options, what is printed, exit status."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from grounding.cli import convert as module
from grounding.cli.main import group
from grounding.samples import read_dataset, read_manifest
from tests.data_tools.annotated import (
    coco_box,
    coco_file,
    coco_image,
    image,
    jsonl_file,
    voc_folder,
    voc_object,
    voc_xml,
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    images = [coco_image(n, f"{n}.png") for n in range(12)]
    boxes = [coco_box(n, n % 2 + 1, [n, 1, 9, 9]) for n in range(12)]
    boxes += [coco_box(1, 1, [1, 1, 0, 5]), coco_box(2, 2, [35, 1, 9, 9])]
    return coco_file(tmp_path / "set", images, boxes, ("cat", "[red]dog"), draw=True)


def call(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(group, ["convert", *map(str, arguments)])


def test_it_prints_what_it_did(source: Path, tmp_path: Path) -> None:
    result = call(source, "--format", "coco", "--out", tmp_path / "out", "--lang", "en,zh")
    assert result.exit_code == 0, result.output
    for said in (
        "12 images listed",
        "zero_area",
        "clipped",
        "instances.json: annotations[12]",
        "grid ceiling",
        "train",
    ):
        assert said in result.output
    assert "[red]dog" in result.output  # names are not taken for markup
    assert "absence: exhaustive" in result.output
    assert "[[" in result.output.split("Examples")[1]
    assert f"grounding inspect {tmp_path / 'out'}" in result.output.replace("\n", "")


def test_a_dataset_is_overwritten_only_where_that_is_asked_for(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert call(source, "--format", "coco", "--out", out).exit_code == 0
    assert call(source, "--format", "coco", "--out", out).exit_code == 0  # the same again
    (out / "inspect.html").write_text("of this dataset")
    seeded = call(source, "--format", "coco", "--out", out, "--seed", 1)
    assert seeded.exit_code == 2 and "seed 0, now 1" in seeded.output and "--overwrite" in seeded.output
    source.write_text(source.read_text().replace("[3, 1, 9, 9]", "[4, 1, 9, 9]"))
    mended = call(source, "--format", "coco", "--out", out)
    assert mended.exit_code == 2 and f"{source} has changed" in mended.output
    assert (out / "inspect.html").exists()
    replaced = call(source, "--format", "coco", "--out", out, "--overwrite")
    assert replaced.exit_code == 0 and "inspect.html was of the dataset that stood here before" in replaced.output
    assert not (out / "inspect.html").exists()


def test_the_format_counts_as_it_was_read_however_it_was_named(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for named in (["--format", "coco"], [], ["--format", "coco"]):
        result = call(source, *named, "--out", out)
        assert result.exit_code == 0, result.output
        assert read_manifest(out / "manifest.json").settings["formats"] == ["coco"]
    other = call(source, "--format", "lvis", "--out", out)
    assert other.exit_code == 2 and "formats ['coco'], now ['lvis']" in other.output


def test_quiet_prints_nothing(source: Path, tmp_path: Path) -> None:
    result = call(source, "--format", "coco", "--out", tmp_path / "out", "-q")
    assert (result.exit_code, result.output) == (0, "")
    assert (tmp_path / "out" / "manifest.json").is_file()


def test_every_option_reaches_the_manifest(source: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("找{phrase}。", encoding="utf-8")
    options = {
        "--images": source.parent,
        "--split": "0.5,0.5",
        "--group-by": "^(.)",
        "--negatives": 0.5,
        "--negatives-from": "exhaustive",
        "--lang": "zh",
        "--tasks": "phrase_to_boxes",
        "--templates": f"zh={file}",
        "--frame": "stored",
        "--voc-pixels": "edges",
        "--not-found-en": "Nope.",
        "--not-found-zh": "不存在",
        "--style": "conversations",
        "--seed": 7,
    }
    flat = [part for pair in options.items() for part in pair]
    result = call(
        f"train={source}", *flat, "--format", "coco", "--out", tmp_path / "out", "--follow-links", "--no-check-images"
    )
    assert result.exit_code == 0, result.output
    manifest = read_manifest(tmp_path / "out" / "manifest.json")
    assert manifest.not_found == {"en": "Nope.", "zh": "不存在"}
    expected = {
        "sources": [f"train={source}"],
        "images": str(source.parent),
        "check_images": False,
        "ratios": [0.5, 0.5, 0.0],
        "group_by": "^(.)",
        "negatives": 0.5,
        "negatives_from": "exhaustive",
        "langs": ["zh"],
        "templates": {"zh": str(file)},
        "frame": "stored",
        "voc_pixels": "edges",
        "style": "conversations",
        "seed": 7,
        "follow_links": True,
    }
    assert {key: manifest.settings[key] for key in expected} == expected
    assert "images were not read" in result.output


def test_images_are_remembered_and_neither_that_nor_workers_change_what_is_written(
    source: Path, tmp_path: Path, cache_home: Path
) -> None:
    for path in source.parent.glob("*.png"):
        os.utime(path, (10**9, 10**9))
    written = []
    for options in ((), ("--workers", 2), ("--workers", 1, "--cache", tmp_path / "mine")):
        result = call(source, "--format", "coco", "--out", tmp_path / "out", *options)
        assert result.exit_code == 0, result.output
        written.append({path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()})
    assert written[0] == written[1] == written[2]
    assert len(list((cache_home / "grounding" / "looks").iterdir())) == 1
    (kept,) = (tmp_path / "mine").iterdir()
    kept.write_text("broken")
    result = call(source, "--format", "coco", "--out", tmp_path / "out", "--cache", tmp_path / "mine")
    assert result.exit_code == 0
    assert "all images are read again" in " ".join(result.output.split())


def test_voc(tmp_path: Path) -> None:
    files = {f"{n}": voc_xml([voc_object("cat", 1, 1, 9, 9)]) for n in range(4)}
    folder = voc_folder(tmp_path / "voc", files, {"train": "01", "val": "23"})  # type: ignore[dict-item]
    result = call(folder, "--format", "voc", "--out", tmp_path / "out", "--negatives", 1)
    assert result.exit_code == 0, result.output
    for said in ("VOC pixels: 1-based", "ImageSets/Main", "test has no sample", "train has 0 not-found samples"):
        assert said in result.output


@pytest.mark.parametrize("style", ["pairs", "conversations", "swift", "llama-factory"])
def test_a_style_for_other_programs_is_said_to_be_one(source: Path, tmp_path: Path, style: str) -> None:
    result = call(source, "--format", "coco", "--out", tmp_path / "out", "--style", style)
    assert result.exit_code == 0, result.output
    note = f"finetune and benchmark read pairs and conversations; {style} is for other programs."
    for_others = style in ("swift", "llama-factory")
    assert (note in " ".join(result.output.split())) == for_others == ("look at it before" not in result.output)


def test_places_are_said_to_be_in_a_file(tmp_path: Path) -> None:
    source = coco_file(tmp_path, [coco_image(1)], [coco_box(1, 1, [1, 1, 99, 9])], draw=True)
    result = call(f"train={source}", "--format", "coco", "--out", tmp_path / "out")
    assert f"All places: {tmp_path / 'out' / 'findings.json'}" in result.output.replace("\n", "")


@pytest.mark.parametrize(
    ("missing", "told"), [(0, None), (1, None), (2, "2 of 12 images are not there: does --images")]
)
def test_many_images_that_are_not_there_are_noted(source: Path, tmp_path: Path, missing: int, told: str | None) -> None:
    for number in range(missing):
        (source.parent / f"{number}.png").unlink()
    result = call(source, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert ("are not there" in result.output) == (told is not None) and (told or "") in result.output


def test_labels_over_the_budget_and_negatives_that_are_named_are_noted(tmp_path: Path) -> None:
    images = [coco_image(1, neg_category_ids=[2])]
    source = coco_file(tmp_path, images, [coco_box(1, 1, [1, 1, 9, 9])] * 70, draw=True)
    arguments = (f"train={source}", "--format", "coco", "--out", tmp_path / "out", "--negatives-from", "exhaustive")
    result = call(*arguments)
    assert "1 label of more than 1024 tokens" in result.output
    assert "names its negatives" in result.output


def test_samples_are_counted_by_task_and_by_what_they_ask_for(source: Path, tmp_path: Path) -> None:
    tasks = "phrase_to_boxes,box_to_phrase,presence"
    result = call(f"train={source}", "--format", "coco", "--out", tmp_path / "out", "--tasks", tasks)
    assert result.exit_code == 0, result.output
    samples = read_dataset(tmp_path / "out" / "train.jsonl").samples
    by_task = Counter(sample.task for sample in samples)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.output.splitlines()]
    cells = {row[0]: row[1:] for row in rows if row and row[0]}
    assert {task: int(cells[task][0]) for task in tasks.split(",")} == by_task
    asks_no_box = sum(sample.boxes is None for sample in samples)
    assert asks_no_box == by_task["box_to_phrase"] + by_task["presence"] > 0
    boxes = sum(len(sample.boxes or []) for sample in samples)
    assert [cells["train"][0], *cells["train"][4:6]] == [str(len(samples)), str(asks_no_box), str(boxes)]
    alone = call(f"train={source}", "--format", "coco", "--out", tmp_path / "alone")
    assert "Samples by task" not in alone.output


def test_many_classes_are_cut_in_the_middle(tmp_path: Path) -> None:
    names = [f"class {n}" for n in range(40)]
    source = coco_file(
        tmp_path, [coco_image(1)], [coco_box(1, n, [1, 1, 9, 9]) for n in range(1, 41)], names, draw=True
    )
    result = call(source, "--format", "coco", "--out", tmp_path / "out")
    assert "Classes (40)" in result.output
    assert "..." in result.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere.json", "--format", "coco"], "nowhere.json"),
        (["nowhere", "--format", "voc"], "no such file or folder"),
        (["trian={source}"], "'trian' is no split; SPLIT=SOURCE takes train, val, test. Did you mean 'train'?"),
        (["{source}s", "--format", "coco"], "Did you mean 'instances.json'?"),
        (["{source}", "--format", "yolo9"], "there are: coco, voc"),
        (["{source}", "--format", "yolo9"], "Did you mean 'yolo'?"),
        (["{source}", "--style", "pair"], "Did you mean 'pairs'?"),
        (["{source}", "--tasks", "presense"], "Did you mean 'presence'?"),
        (["{source}", "--format", "coco", "--split", "1,1"], "sum to 1"),
        (["{source}", "--format", "coco", "--group-by", "("], "regular expression"),
        (["{source}", "--format", "coco", "--tasks", "juggling"], "there is phrase_to_boxes"),
        (["{source}", "--format", "coco", "--lang", "en,zh", "--templates", "x.txt"], "does not say its language"),
        (["{source}", "--format", "coco", "--templates", "x.txt", "--templates", "en=y.txt"], "two files for en"),
        (["{source}", "--format", "coco", "--templates", "nowhere.txt"], "nowhere.txt"),
        (["{source}", "--lang", "en,zh", "--templates", "presence:x.txt"], "presence:en|zh=x.txt"),
        (
            ["{source}", "--templates", "presence:en=x.txt", "--templates", "presence:y.txt"],
            "two files for presence:en",
        ),
        (["{source}", "--templates", "presence:en=x.txt"], "for presence, which is not asked for"),
        (["{source}", "--format", "coco", "--frame", "sideways"], "stored"),
        (["nowhere.json"], "no such file"),
        (["{source}", "--workers", "0"], "1 or more"),
        (["{source}", "--engine", "spark"], "ray"),
        (["{source}", "--box-form", "yxyx"], "corners"),
    ],
)
def test_a_wrong_call_is_told_and_ends_with_2(source: Path, tmp_path: Path, arguments: list[str], told: str) -> None:
    out = tmp_path / "out"
    result = call(*(argument.format(source=source) for argument in arguments), "--out", out)
    assert result.exit_code == 2
    assert told in result.output
    assert "Traceback" not in result.output
    assert not out.exists()
    out.mkdir()
    (out / "train.jsonl").touch()  # what is wrong with the folder is told after what is wrong with the call
    again = call(*(argument.format(source=source) for argument in arguments), "--out", out)
    assert again.output == result.output


@pytest.mark.parametrize("content", ["", "{", "[]", '{"images": []}', "[" * 100_000, "null"])
@pytest.mark.parametrize("form", ["auto", "coco"])
def test_a_broken_file_is_told_and_ends_with_2(tmp_path: Path, form: str, content: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(content)
    result = call(path, "--format", form, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "broken.json" in result.output
    assert not (tmp_path / "out").exists()


def test_a_path_may_have_an_equals_sign(tmp_path: Path) -> None:
    assert module._source("a=b.json") == (None, Path("a=b.json"))
    assert module._source("val=a=b.json") == ("val", Path("a=b.json"))
    assert module._source("train=") == (None, Path("train="))


def test_bars_on_a_terminal(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    result = call(source, "--format", "coco", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "reading images" in result.stderr
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["counts"]["samples"] > 0


def test_shares_and_caps_are_said_not_to_touch_ready_samples(tmp_path: Path) -> None:
    image(tmp_path, "a.png")
    talk = [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "A dog."}]
    lines = [{"id": str(number), "image": "a.png", "conversations": talk} for number in range(3)]
    path = jsonl_file(tmp_path, "mine.jsonl", lines)
    note = "train has 3 samples as the source holds them: --tasks, shares and caps do not touch them."
    for options, said in (((), False), (("--max-per-image", 1), True), (("--tasks", "phrase_to_boxes,presence"), True)):
        result = call(f"train={path}", "--format", "conversations", "--out", tmp_path / "out", "--overwrite", *options)
        assert result.exit_code == 0, result.output
        assert (note in result.output) == said


def test_tiles_are_told_as_tiles(source: Path, tmp_path: Path) -> None:
    result = call(source, "--format", "coco", "--out", tmp_path / "out", "--tiles", "20,5")
    assert result.exit_code == 0, result.output
    images = read_manifest(tmp_path / "out" / "manifest.json").counts["images"]
    assert f"12 images listed, {images} tiles of them in" in result.output
    assert "counted in each of them" in result.output
    assert "class in tile" in result.output and "class in image" not in result.output
    units = {finding["unit"] for finding in json.loads((tmp_path / "out" / "findings.json").read_bytes())}
    assert "class in tile" in units and "class in image" not in units


def test_the_share_that_caps_leave_is_told(source: Path, tmp_path: Path) -> None:
    capped = call(
        source,
        "--format",
        "coco",
        "--out",
        tmp_path / "out",
        "--split",
        "1,0,0",
        "--max-per-class",
        "1",
        "--negatives",
        "3",
    )
    assert capped.exit_code == 0, capped.output
    numbers = read_manifest(tmp_path / "out" / "manifest.json").counts["splits"]["train"]
    said = f"train has {numbers['not_found']} not-found samples beside {numbers['found']} found ones"
    assert said in capped.output and "--max-per-class" in capped.output
