"""The whole line: annotations in, dataset folder out; splits, absence, determinism, bad input."""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from data_tools.caps import Caps
from data_tools.convert import Conversion, Means, Options, convert
from grounding.errors import InputError
from grounding.samples import open_image, read_dataset, read_manifest
from grounding.text import load_wordings, read_boxes
from tests.data_tools.annotated import coco_box, coco_file, coco_image, image, voc_folder, voc_object, voc_xml

NAMES = ("cat", "cow", "dog", "pig")


def coco_set(folder: Path, images: int = 30, **more: Any) -> Path:
    """Pictures with up to three boxes of four classes each."""
    rng = random.Random(1)
    entries = [coco_image(number, f"{number:03d}.png") for number in range(images)]
    boxes = [
        coco_box(number, rng.randint(1, 4), [rng.randint(0, 20), rng.randint(0, 15), 10, 8.5], id=100 * number + nth)
        for number in range(images)
        for nth in range(rng.randint(0, 3))
    ]
    return coco_file(folder, entries, boxes, NAMES, draw=True, **more)


def run(source: Path, out: Path, **options: Any) -> Conversion:
    return convert([(None, source)], out, Options(**options))


def test_coco_end_to_end(tmp_path: Path) -> None:
    source = coco_set(tmp_path / "set")
    made = run(source, tmp_path / "out", langs=("en", "zh"), negatives=0.5, ratios=(0.6, 0.2, 0.2))
    manifest = read_manifest(tmp_path / "out" / "manifest.json")
    assert manifest == made.manifest
    assert manifest.image_root == "../set"
    assert manifest.answers["en"] == list(dict.fromkeys(one.answer for one in load_wordings("phrase_to_boxes", "en")))
    truth = json.loads(source.read_text())
    expected = {(box["image_id"], box["category_id"]) for box in truth["annotations"]}
    found: set[tuple[int, int]] = set()
    total = 0
    for split, samples in made.samples.items():
        dataset = read_dataset(tmp_path / "out" / f"{split}.jsonl")
        assert dataset.samples == samples
        assert dataset.not_found == manifest.not_found
        total += len(samples)
        for sample in dataset.samples:
            assert open_image(dataset.image_root, sample).size == (40, 30)
            key = (int(Path(sample.image or "").stem), NAMES.index(sample.category or "") + 1)
            assert bool(sample.boxes) == (key in expected)
            assert read_boxes(sample.label, dataset.not_found).not_found == (not sample.boxes)
            if sample.boxes:
                found.add(key)
        assert made.splits[split]["not_found"] == made.splits[split]["not_found_wanted"]
    assert found == expected
    assert manifest.counts["samples"] == total
    assert manifest.counts["images_listed"] == 30
    assert list(manifest.inputs) == [str(source)]
    assert not manifest.refusals


def test_the_same_call_writes_the_same_bytes_and_leaves_nothing_behind(tmp_path: Path) -> None:
    source = coco_set(tmp_path / "set")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("stays")
    contents = []
    for _ in range(2):
        run(source, tmp_path / "out")
        contents.append({path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()})
    assert contents[0] == contents[1]
    assert set(contents[0]) == {"train.jsonl", "val.jsonl", "test.jsonl", "manifest.json", "findings.json", "mine.txt"}
    run(source, tmp_path / "other", seed=1)
    assert (tmp_path / "other" / "train.jsonl").read_bytes() != contents[0]["train.jsonl"]


def test_what_would_change_is_told_before_an_image_is_read(tmp_path: Path) -> None:
    source = coco_set(tmp_path / "set", 5)
    run(source, tmp_path / "out")
    source.write_text(source.read_text().replace('"cat"', '"kitten"'))
    steps: list[str] = []
    with pytest.raises(InputError, match="has changed"):
        convert([(None, source)], tmp_path / "out", Options(), lambda step, *_: steps.append(step))
    assert steps == [f"reading {source}"]
    convert([(None, source)], tmp_path / "out", Options(), means=Means(overwrite=True))
    assert "kitten" in (tmp_path / "out" / "train.jsonl").read_text()


def test_voc_with_official_lists(tmp_path: Path) -> None:
    files = {f"{n}": voc_xml([voc_object("cat" if n % 2 else "dog", 2, 3, 10, 12)]) for n in range(8)}
    lists = {"train": "0123", "val": "45", "test": "67"}
    folder = voc_folder(tmp_path / "voc", files, lists)  # type: ignore[arg-type]
    made = run(folder, tmp_path / "out", format="voc", negatives=1.0)
    assert {split: {sample.image for sample in samples} for split, samples in made.samples.items()} == {
        split: {f"{stem}.png" for stem in stems} for split, stems in lists.items()
    }
    assert all(sample.boxes in ([[1.0, 2.0, 10.0, 12.0]], []) for sample in made.samples["train"])
    assert made.taken["VOC pixels"].startswith("1-based")
    assert "ImageSets" in made.taken["splits"]
    assert read_manifest(tmp_path / "out" / "manifest.json").image_root == "../voc/JPEGImages"


def test_a_refused_box_bars_its_class_from_found_and_not_found(tmp_path: Path) -> None:
    boxes = [coco_box(1, 1, [1, 1, 5, 5]), coco_box(1, 1, [100, 1, 5, 5]), coco_box(1, 2, [1, 1, 5, 5], iscrowd=1)]
    boxes += [coco_box(n, c, [1, 1, 5, 5]) for n in (2, 3) for c in (1, 2, 3)]
    source = coco_file(tmp_path, [coco_image(n) for n in (1, 2, 3)], boxes, NAMES, draw=True)
    made = convert([("train", source)], tmp_path / "out", Options(negatives=9.0))
    asked = {sample.id: sample.boxes for samples in made.samples.values() for sample in samples}
    assert {name: boxes for name, boxes in asked.items() if name.startswith("1.png")} == {"1.png#dog": []}
    assert made.manifest.refusals == {
        "outside_image": 1,
        "class_refused": 1,
        "class_incomplete": 1,
        "class_only_ignored": 1,
    }


def test_sources_by_split(tmp_path: Path) -> None:
    train = coco_set(tmp_path / "a", 6)
    val = coco_set(tmp_path / "b", 4, name="other.json")
    made = convert([("train", train), ("val", val)], tmp_path / "out", Options())
    assert {sample.image[0] for sample in made.samples["train"] if sample.image} == {"a"}
    assert {sample.image[0] for sample in made.samples["val"] if sample.image} == {"b"}
    assert not made.samples["test"]
    assert (tmp_path / "out" / "test.jsonl").read_bytes() == b""
    assert made.manifest.image_root == ".."
    # The same pictures in both: official lists win, and it is said.
    assert made.manifest.counts["kept"]["identical_across_splits"] == 4


def test_a_split_given_stands_above_the_lists(tmp_path: Path) -> None:
    files = {name: voc_xml([voc_object("cat", 2, 3, 10, 12)]) for name in "ab"}
    folder = voc_folder(tmp_path / "voc", files, {"train": ["a"]})
    made = convert([("test", folder)], tmp_path / "out", Options(format="voc"))
    assert len({sample.image for sample in made.samples["test"]}) == 2
    assert not made.tally.counts


def test_named_negatives_only(tmp_path: Path) -> None:
    images = [coco_image(n, neg_category_ids=[2] if n == 1 else []) for n in (1, 2, 3)]
    boxes = [coco_box(1, 1, [1, 1, 5, 5]), coco_box(2, 2, [1, 1, 5, 5]), coco_box(3, 3, [1, 1, 5, 5])]
    source = coco_file(tmp_path, images, boxes, NAMES, draw=True)
    absent = {}
    for mode in (None, "exhaustive", "none"):
        made = run(source, tmp_path / str(mode), negatives=9.0, negatives_from=mode)
        absent[mode] = {s.id for samples in made.samples.values() for s in samples if not s.boxes}
        assert "absence" in made.taken
    assert absent[None] == {"1.png#cow"}
    assert len(absent["exhaustive"]) == 6
    assert not absent["none"]


def test_images_are_not_needed_where_they_are_not_checked(tmp_path: Path) -> None:
    source = coco_file(tmp_path, [coco_image(1), coco_image(2, size_wh=(0, 5))], [coco_box(1, 1, [1, 1, 5, 5])])
    made = run(source, tmp_path / "out", check_images=False)
    assert sum(map(len, made.samples.values())) == 1
    assert made.manifest.refusals == {"no_size": 1}


def test_upright_frames_reach_the_samples(tmp_path: Path) -> None:
    image(tmp_path, "1.jpg", (40, 30), orientation=6)
    source = coco_file(tmp_path, [coco_image(1, "1.jpg", (30, 40))], [coco_box(1, 1, [1, 1, 20, 39])])
    made = run(source, tmp_path / "out")
    (sample,) = (sample for samples in made.samples.values() for sample in samples)
    assert sample.upright
    assert open_image(tmp_path, sample).size == (30, 40) == (sample.width, sample.height)
    assert made.manifest.counts["kept"] == {"exif_upright": 1}


def test_conversations_style(tmp_path: Path) -> None:
    source = coco_set(tmp_path / "set")
    pairs = run(source, tmp_path / "pairs")
    run(source, tmp_path / "conversations", style="conversations")
    assert b'"conversations"' in (tmp_path / "conversations" / "train.jsonl").read_bytes()
    assert read_dataset(tmp_path / "conversations" / "train.jsonl").samples == pairs.samples["train"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"tasks": ("next_bok",)}, "next_bok cannot be made; there is phrase_to_boxes, phrase_to_box,"),
        ({"tasks": ()}, "no task"),
        ({"tasks": ("presence=x",)}, "a share is a number above 0"),
        ({"tasks": ("presence", "presence=2")}, "stands twice"),
        ({"tasks": ("presence",), "templates": {"en": Path("x")}}, "these wordings are for phrase_to_boxes"),
        ({"hard_negatives": 1.5}, "no share"),
        ({"max_answer_tokens": 17}, "less than one box takes"),
        ({"caps": Caps(per_class=0)}, "--max-per-class: 0 is no cap"),
        ({"caps": Caps(per_image=-1)}, "--max-per-image: -1 is no cap"),
        ({"caps": Caps(balance=2.0)}, "--balance: 2.0 is no share"),
        ({"tiles": "640,640"}, "is no tiling"),
        ({"tiles": "a"}, "is no tiling"),
        ({"tiles": "64,16,0"}, "is no tiling"),
        ({"negatives": -1.0}, "no ratio"),
        ({"negatives": float("nan")}, "no ratio"),
        ({"images": Path("nowhere")}, "no such folder"),
        ({"format": "yolo9"}, "there are: coco, voc"),
        ({"langs": ("fr",)}, "there are en, zh"),
    ],
)
def test_wrong_options_are_told_before_anything_is_written(tmp_path: Path, options: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        run(coco_set(tmp_path / "set", 3), tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_nothing_left_is_an_error_that_says_why(tmp_path: Path) -> None:
    source = coco_file(tmp_path, [coco_image(1), coco_image(2)], [coco_box(1, 1, [1, 1, 5, 5])])
    with pytest.raises(InputError, match=r"2 image.*missing_image(?s:.*)--images"):
        run(source, tmp_path / "out")
    with pytest.raises(InputError, match="No image has a box"):
        run(coco_file(tmp_path, [coco_image(1)], []), tmp_path / "out", check_images=False)
    with pytest.raises(InputError, match="hold no image"):
        run(coco_file(tmp_path, [], []), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ("voc", r"there is no XML file.*\. \S*/set is recognised as coco: .*Leave --format out"),
        ("labelme", r"(?s)nothing is left.*\. \S*/set is recognised as coco: "),
        ("coco", r"(?s)nothing is left to write: (?!.*recognised)"),
        ("auto", r"(?s)nothing is left to write: (?!.*recognised)"),
    ],
)
def test_a_format_that_is_not_the_one_of_the_source_is_told(tmp_path: Path, form: str, told: str) -> None:
    coco_file(tmp_path / "set", [coco_image(1)], [coco_box(1, 1, [1, 1, 5, 5])])
    with pytest.raises(InputError, match=told):
        run(tmp_path / "set", tmp_path / "out", format=form)


def test_progress_is_told(tmp_path: Path) -> None:
    source = coco_set(tmp_path / "set", 5)
    told: list[tuple[str, int, int | None]] = []
    made = convert([(None, source)], tmp_path / "out", Options(), lambda *step: told.append(step))
    assert told[0] == (f"reading {source}", 0, None)
    assert [step[1:] for step in told if step[0] == "reading images"] == [(n, 5) for n in range(1, 6)]
    total = sum(map(len, made.samples.values()))
    assert told[-2:] == [("writing prompts", total, total), ("counting and writing files", 0, None)]


def test_a_reader_that_finds_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_tools.convert.reader_of", lambda _: lambda *_: [])
    with pytest.raises(InputError, match="found nothing"):
        run(tmp_path, tmp_path / "out")


def test_every_place_is_kept_beside_the_manifest(tmp_path: Path) -> None:
    """The manifest names a few places of each reason, findings.json all."""
    boxes = [coco_box(1, 1, [n, 1, 0, 5]) for n in range(12)] + [coco_box(1, 2, [30, 20, 99, 5])]
    source = coco_file(tmp_path, [coco_image(1)], boxes, draw=True)
    made = convert([("train", source)], tmp_path / "out", Options())
    told = json.loads((tmp_path / "out" / "findings.json").read_text())
    assert Counter(line["reason"] for line in told) == made.tally.counts
    place, found = "instances.json: annotations[3] (id None)", "cat, bbox [3, 1, 0, 5]"
    about = {"reason": "zero_area", "outcome": "refused", "unit": "annotation"}
    assert told[3] == {**about, "place": place, "found": found}
    places = made.manifest.counts["places"]
    assert {reason: len(some) for reason, some in places.items()} == {
        reason: min(5, count) for reason, count in made.tally.counts.items()
    }


def test_templates_are_inputs(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("Find {phrase}. => {phrase} is at {boxes}\nFind {phrase}, please. => {boxes}\nFind {phrase}!")
    made = run(coco_set(tmp_path / "set", 5), tmp_path / "out", templates={"en": file})
    assert set(made.manifest.inputs) == {str(tmp_path / "set" / "instances.json"), str(file)}
    assert made.manifest.answers == {"en": ["{phrase} is at {boxes}", "{boxes}"]}
    assert all(sample.prompt.startswith("Find ") for samples in made.samples.values() for sample in samples)


def test_a_file_of_wordings_names_its_task(tmp_path: Path) -> None:
    one, several = tmp_path / "one.txt", tmp_path / "several.txt"
    one.write_text("Show me {phrase}. => see {boxes}")
    several.write_text("Name the thing at {boxes}. => it is a {phrase}")
    files = {"phrase_to_box:en": one, "box_to_phrase:en": several}
    shares = ("phrase_to_boxes", "phrase_to_box", "box_to_phrase")
    made = run(coco_set(tmp_path / "set"), tmp_path / "out", tasks=shares, templates=files, negatives=1.0)
    starts = {"phrase_to_box": "Show me ", "box_to_phrase": "Name the thing at [["}
    asked = [sample for samples in made.samples.values() for sample in samples]
    assert {sample.task for sample in asked} == {"phrase_to_boxes", *starts}
    assert all(sample.prompt.startswith(starts.get(sample.task, "")) for sample in asked)
    assert not any(sample.prompt.startswith("Show me ") for sample in asked if sample.task == "phrase_to_boxes")
    manifest = read_manifest(tmp_path / "out" / "manifest.json")
    assert manifest.answers["phrase_to_box:en"] == ["see {boxes}"]
    assert set(manifest.answers) == {"en", "phrase_to_box:en"}
    assert {str(one), str(several)} < set(manifest.inputs)
    with pytest.raises(InputError, match="these wordings are for phrase_to_box, which is not asked for"):
        run(coco_set(tmp_path / "set"), tmp_path / "out", templates={"phrase_to_box:en": one})


def test_every_task_at_once(tmp_path: Path) -> None:
    source = coco_set(tmp_path / "set", 60)
    shares = ("phrase_to_boxes=2", "all_to_boxes", "next_box", "box_to_phrase", "presence=0.5", "phrase_to_box=0.1")
    options: dict[str, Any] = {"langs": ("en", "zh"), "negatives": 0.5}
    made = run(source, tmp_path / "out", tasks=shares, hard_negatives=0.5, stratify=True, **options)
    samples = read_dataset(tmp_path / "out" / "train.jsonl").samples
    assert samples == made.samples["train"]
    counts = made.splits["train"]["tasks"]
    assert (
        counts["next_box"] == round(counts["phrase_to_boxes"] / 2) == made.splits["train"]["tasks_wanted"]["next_box"]
    )
    assert set(counts) >= {"phrase_to_boxes", "all_to_boxes", "next_box", "box_to_phrase", "presence"}
    assert samples == sorted(samples, key=lambda sample: sample.image or "")
    # What is asked beside leaves the first task as it is.
    alone = run(source, tmp_path / "alone", hard_negatives=0.5, stratify=True, **options)
    assert [s for s in samples if s.task == "phrase_to_boxes"] == alone.samples["train"]


def test_caps_and_budget_are_counted(tmp_path: Path) -> None:
    source = coco_set(tmp_path / "set", 40)
    made = run(source, tmp_path / "out", caps=Caps(per_class=7, per_image=1), max_answer_tokens=30, ratios=(1, 0, 0))
    numbers = made.splits["train"]
    assert all(one["found"] + one["not_found"] <= 7 for one in numbers["classes"].values())
    assert numbers["images"] == numbers["samples"]
    assert numbers["not_found_drawn"] == numbers["not_found"] < numbers["not_found_wanted"]
    assert {"over_class_cap", "over_image_cap"} <= set(made.manifest.refusals)
    assert numbers["label_tokens"]["max"] <= 30
    whole = run(source, tmp_path / "whole", ratios=(1, 0, 0))
    gone = sum(made.manifest.refusals.values())
    assert len(whole.samples["train"]) == len(made.samples["train"]) + gone


def test_ids_are_unique_where_names_of_images_and_classes_run_into_each_other(tmp_path: Path) -> None:
    """`a` with the class `b#c`, and `a#b` with the class `c`, would both be `a#b#c`."""
    entries = [coco_image(1, "a"), coco_image(2, "a#b")]
    source = coco_file(tmp_path, entries, [coco_box(1, 1, [1, 1, 5, 5]), coco_box(2, 2, [1, 1, 5, 5])], ("b#c", "c"))
    made = convert([("train", source)], tmp_path / "out", Options(check_images=False, negatives=0.0))
    assert [sample.id for sample in made.samples["train"]] == ["a#b#c", "a#b#c#2"]


def lines_run(function: Callable[[], object]) -> int:
    """How many lines of Python a call runs, each round of a loop counted."""
    lines, before = 0, sys.gettrace()

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., Any]:
        nonlocal lines
        lines += event == "line"
        return trace

    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return lines


def test_the_work_grows_with_the_number_of_drawn_classes_not_with_its_square(tmp_path: Path) -> None:
    def convert_classes(classes: int) -> Conversion:
        """Four classes an image, each in that image alone; as many not-found questions as found ones."""
        entries = [coco_image(number, f"{number:04d}.png") for number in range(classes // 4)]
        boxes = [coco_box(number // 4, number + 1, [1, 2, 10, 8.5], id=number) for number in range(classes)]
        source = coco_file(tmp_path / str(classes), entries, boxes, [f"thing {number}" for number in range(classes)])
        made = run(source, tmp_path / f"out-{classes}", check_images=False, negatives=1.0)
        assert sum(map(len, made.samples.values())) == 2 * classes
        return made

    convert_classes(64)  # what is read once is read
    few, more, many = (lines_run(partial(convert_classes, classes)) for classes in (256, 512, 1024))
    assert many - more < 2.5 * (more - few)  # twice as many: twice the work; a square would make it four times
