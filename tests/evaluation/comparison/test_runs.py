"""Report folders read back: measured again they say the same; other samples are refused, and what differs is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from grounding.errors import InputError
from grounding.evaluation.comparison.numbers import measure
from grounding.evaluation.comparison.runs import (
    _headings,
    in_order_of,
    notes,
    read_run,
    read_runs,
    settings_that_differ,
)
from grounding.evaluation.metrics import metrics
from grounding.samples import Sample
from tests.evaluation.comparison.making import AFTER, BEFORE, SAMPLES, TRUE, WRONG, write_run
from tests.evaluation.making import random_set, sample


@pytest.mark.parametrize("protocol", ["default", "cogvlm-refcoco", "grec", "coco"])
def test_a_report_holds_what_it_takes_to_measure_it_again(tmp_path: Path, protocol: str) -> None:
    samples, texts = random_set(3, 60)
    samples.append(sample(60, [TRUE, WRONG], categories=["c0", "c9"], upright=True, lang="zh"))
    samples.append(sample(61, None, task="presence", label="yes"))
    report = write_run(tmp_path, samples, [*texts, "[[100,100,300,500]]", "yes"], protocol=protocol)
    run = read_run(tmp_path)
    measured = metrics(measure(run).scored)
    assert measured == {key: value for key, value in report["metrics"].items() if key != "baselines"}
    assert [one.boxes for one in run.samples] == [one.boxes for one in samples]
    assert run.samples[60].categories == ["c0", "c9"] and run.samples[60].upright


def test_an_answer_that_was_cut_off_is_one_again(tmp_path: Path) -> None:
    report = write_run(tmp_path, SAMPLES, BEFORE)
    lines = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text("utf-8").splitlines()]
    lines[3] |= {"text": "[[100,1", "cut": True}
    (tmp_path / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    assert report["statuses"]["cut_off"] == 0
    assert measure(read_run(tmp_path)).scored.status.tolist() == ["boxes", "not_found", "boxes", "cut_off"]


def changed(number: int, **more: Any) -> list[Sample]:
    return [replace(one, **more) if place == number else one for place, one in enumerate(SAMPLES)]


@pytest.mark.parametrize(
    ("samples", "told"),
    [
        (SAMPLES[:3], "1 of 4 samples of BASE not in OTHER: 's3'"),
        ([*SAMPLES, sample(7, [])], "1 of 5 samples of OTHER not in BASE: 's7'"),
        (changed(2, boxes=[WRONG]), "1 of 4 samples in both with other true boxes: 's2'"),
        (changed(0, ignore=[WRONG]), "1 of 4 samples in both with other ignored areas: 's0'"),
        (changed(1, image="b.png"), "1 of 4 samples in both with another image: 's1'"),
        (changed(1, width=300), "1 of 4 samples in both with another size: 's1'"),
        (changed(1, category="cat"), "1 of 4 samples in both with another class: 's1'"),
        (changed(3, lang="zh"), "1 of 4 samples in both with another task or language: 's3'"),
    ],
    ids=["fewer", "more", "boxes", "ignored", "image", "size", "class", "language"],
)
def test_a_run_over_other_samples_is_refused(tmp_path: Path, samples: list[Sample], told: str) -> None:
    base, other = tmp_path / "base", tmp_path / "other"
    write_run(base, SAMPLES, BEFORE)
    write_run(other, samples, [*AFTER, ""][: len(samples)])
    with pytest.raises(InputError) as refused:
        read_runs([(None, base), (None, other)])
    message = str(refused.value)
    assert told.replace("BASE", str(base)).replace("OTHER", str(other)) in message and "the same --data" in message


def test_many_that_differ_are_counted_and_some_named(tmp_path: Path) -> None:
    samples, texts = random_set(0, 30)
    write_run(tmp_path / "a", samples, texts)
    moved = [replace(one, boxes=[WRONG]) for one in samples]
    write_run(tmp_path / "b", moved, texts)
    with pytest.raises(InputError, match=r"30 of 30 samples in both with other true boxes: 's0', .* 's4', \.\.\."):
        read_runs([(None, tmp_path / "a"), (None, tmp_path / "b")])


def test_another_protocol_is_refused_and_another_dialect_told(tmp_path: Path) -> None:
    write_run(tmp_path / "a", SAMPLES, BEFORE)
    write_run(tmp_path / "b", SAMPLES, AFTER, protocol="grec")
    write_run(tmp_path / "c", SAMPLES, AFTER, dialect="internvl", sha256="1" * 64, name="another model")
    base, grec, other = (read_run(tmp_path / name) for name in "abc")
    with pytest.raises(InputError, match=r"protocol 'grec'.*by 'default'.*--protocol"):
        in_order_of(base, grec)
    said = " ".join(notes([base, in_order_of(base, other)]))
    assert "c was read as internvl writes boxes, a as cogvlm" in said and "data file of c is another" in said
    assert settings_that_differ([base, other]) == {"answers: name": ["a model", "another model"]}
    assert notes([base, base]) == []


def test_samples_in_another_order_are_put_in_the_first_ones(tmp_path: Path) -> None:
    write_run(tmp_path / "a", SAMPLES, BEFORE)
    write_run(tmp_path / "b", SAMPLES, BEFORE)
    rows = (tmp_path / "b/samples.jsonl").read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "b/samples.jsonl").write_text("".join(reversed(rows)), "utf-8")
    one, two = read_runs([(None, tmp_path / "a"), (None, tmp_path / "b")])
    assert (list(one.samples), list(one.predictions)) == (list(two.samples), list(two.predictions))


def test_headings_are_as_short_as_they_can_be(tmp_path: Path) -> None:
    folders = [tmp_path / "x/report", tmp_path / "y/report"]
    for folder in folders:
        write_run(folder, SAMPLES, BEFORE)
    headings = [
        [run.heading for run in read_runs(named)]
        for named in (
            [(None, folders[0]), (None, folders[1])],
            [("old", folders[0]), (None, folders[1])],
            [(None, folders[0]), (None, folders[0])],
        )
    ]
    assert headings[:2] == [["x/report", "y/report"], ["old", "report"]]
    assert headings[2] == ["report (1)", "report (2)"], "the very same folder"
    assert _headings([(None, Path("/x")), (None, Path("/y/x"))]) == ["/x", "y/x"], "the root is written once"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("report.json", "{}", "no report folder"),
        ("report.json", "[1", "no report folder"),
        ("samples.jsonl", "", "it holds none"),
        ("samples.jsonl", '{"id": "a"}\n', "line 1: the key"),
    ],
)
def test_a_broken_folder_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(InputError, match="no report folder"):
        read_run(tmp_path)
    write_run(tmp_path, SAMPLES, BEFORE)
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        read_run(tmp_path)


def test_an_older_report_without_sizes_says_what_to_do(tmp_path: Path) -> None:
    write_run(tmp_path, SAMPLES, BEFORE)
    rows = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text("utf-8").splitlines()]
    lines = (json.dumps({key: value for key, value in row.items() if key != "width"}) for row in rows)
    (tmp_path / "samples.jsonl").write_text("\n".join(lines), "utf-8")
    with pytest.raises(InputError, match=r"4 problems") as refused:
        read_run(tmp_path)
    assert "`width` and `height`" in str(refused.value) and "Run `grounding benchmark` again" in str(refused.value)
