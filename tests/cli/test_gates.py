"""`grounding benchmark` as a gate: exit status 1 with a line for each missed one, a baseline, and sets riding along."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from grounding.cli import answers
from grounding.cli.main import group
from grounding.evaluation.predictions import Prediction, write_predictions
from grounding.samples import Sample, write_samples
from tests.evaluation.comparison.making import AFTER, BEFORE, SAMPLES
from tests.evaluation.making import NOT_FOUND_TEXT, boxes_text, sample

GENERAL = [sample(0, [[20.0, 10.0, 60.0, 50.0]], id="g0"), sample(1, [], id="g1")]
RIGHT = [boxes_text([20.0, 10.0, 60.0, 50.0]), NOT_FOUND_TEXT]


def written(folder: Path, name: str, samples: list[Sample], **texts: list[str]) -> None:
    write_samples(folder / f"{name}.jsonl", samples)
    for run, answered in texts.items():
        made = (Prediction(id=one.id, text=text) for one, text in zip(samples, answered, strict=True))
        write_predictions(folder / f"{name}-{run}.jsonl", made)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    written(tmp_path, "test", SAMPLES, before=BEFORE, after=AFTER)
    written(tmp_path, "general", GENERAL, before=RIGHT, after=[RIGHT[0], RIGHT[0]])
    return tmp_path


def run(*words: Any, status: int = 0) -> Result:
    result = CliRunner().invoke(group, ["benchmark", *map(str, words)])
    assert result.exit_code == status, f"{result.output}\n{result.exception!r}"
    assert "Traceback" not in result.output
    return result


def call(folder: Path, answers: str, out: str, *also: str) -> list[Any]:
    words: list[Any] = ["--data", folder / "test.jsonl", "--predictions", folder / f"test-{answers}.jsonl"]
    for name in also:
        words += ["--also", folder / f"{name}.jsonl", "--also-predictions", folder / f"{name}-{answers}.jsonl"]
    return [*words, "--out", folder / out]


def report(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text("utf-8"))


def test_gates_are_judged_when_everything_is_written(folder: Path) -> None:
    gates = ["--fail-under", "acc_50=0.4", "--fail-under", "grec_50=0.9", "--fail-over", "unparsable.rate=0.2"]
    done = run(*call(folder, "before", "out"), *gates, "--junit", folder / "j.xml", status=1)
    assert "2 of 3 gates were missed" in done.stderr
    assert "--fail-under grec_50=0.9: MISSED, measured 0.5000, 95 % 0.1500 to 0.8500, n 4; wanted 0.9" in done.stderr
    assert "--fail-under acc_50=0.4: passed" in done.stdout
    assert (folder / "out/report.html").exists() and (folder / "out/metrics.csv").exists()
    assert " --fail-under acc_50=0.4 --fail-under grec_50=0.9 " in report(folder / "out")["command"]
    suite = ElementTree.parse(folder / "j.xml").getroot()[0]
    assert suite.get("name") == "grounding benchmark test.jsonl" and len(suite.findall("testcase/failure")) == 2
    run(*call(folder, "before", "out"), "--fail-under", "acc_50=0.4")


def test_a_baseline_is_compared_with_and_held_to(folder: Path) -> None:
    run(*call(folder, "before", "old"))
    held = ["--baseline", folder / "old", "--max-drop", "grec_50=0.01", "--max-drop", "recall_50=0"]
    done = run(*call(folder, "after", "new"), *held)
    assert "baseline -> now: 1 gained, 1 lost" in done.output
    assert "--max-drop grec_50=0.01: passed, now against baseline" in done.output
    assert json.loads((folder / "new/compare/compare.json").read_text("utf-8"))["n"] == 4
    run(*call(folder, "after", "old"))
    missed = run(*call(folder, "before", "new"), *held, status=1)
    assert "--max-drop recall_50=0: MISSED" in missed.stderr and (folder / "new/compare/compare.md").exists()


def test_a_baseline_over_another_dataset_is_refused_before_anything_is_answered(folder: Path) -> None:
    run(*call(folder, "before", "old"))
    written(folder, "test", [*SAMPLES[:3], sample(3, [[1.0, 1.0, 9.0, 9.0]])], after=AFTER)
    refused = run(*call(folder, "after", "new"), "--baseline", folder / "old", status=2).output
    assert "1 of 4 samples in both with other true boxes: 's3'" in refused and not (folder / "new").exists()
    grec = run(*call(folder, "after", "new"), "--baseline", folder / "old", "--protocol", "grec", status=2)
    assert "other true boxes" in grec.output
    written(folder, "test", SAMPLES, after=AFTER)
    grec = run(*call(folder, "after", "new"), "--baseline", folder / "old", "--protocol", "grec", status=2)
    assert "protocol 'default'" in grec.output and not (folder / "new").exists()
    limited = run(*call(folder, "after", "new"), "--baseline", folder / "old", "--limit", "3", status=2)
    assert "1 of 4 samples of" in limited.output


def test_a_set_rides_along_and_what_was_forgotten_is_seen(folder: Path) -> None:
    base = ["--base-predictions", folder / "test-before.jsonl"]
    base += ["--also-base-predictions", folder / "general-before.jsonl"]
    gates = ["--fail-under", "general:grec_50=0.9"]
    done = run(*call(folder, "after", "out", "general"), *base, *gates, status=1)
    assert (
        "--fail-under general:grec_50=0.9: MISSED, measured 0.5" in done.stderr
        and "general (--also): 2 samples" in done.stdout
    )
    assert done.stdout.index("test.jsonl: 4 samples") < done.stdout.index("general (--also)"), "the main set first"
    entry = report(folder / "out")["also"]["general"]
    assert entry["folder"] == "also/general" and entry["n"] == 2
    own = report(folder / "out/also/general")
    assert entry["metrics"]["grec_50"] == own["metrics"]["grec_50"]
    assert entry["base"]["grec_50"]["value"] == 1.0 and entry["differences"]["grec_50"]["value"] == -0.5
    assert own["also"] == {} and (folder / "out/also/general/report.html").exists()
    page = (folder / "out/report.html").read_text("utf-8")
    assert "Riding along" in page and 'href="also/general/report.html"' in page
    assert "Riding along: general" in (folder / "out/report.md").read_text("utf-8")
    assert "also/general,grec_50,0.5" in (folder / "out/metrics.csv").read_text("utf-8")


def test_forgetting_is_held_to_the_baseline(folder: Path) -> None:
    run(*call(folder, "before", "old", "general"))
    held = ["--baseline", folder / "old", "--max-drop", "general:grec_50=0.1"]
    missed = run(*call(folder, "after", "new", "general"), *held, status=1)
    assert "--max-drop general:grec_50=0.1: MISSED, now against baseline: 1.0000 to 0.5000" in missed.stderr
    run(*call(folder, "before", "plain"))
    held[1] = folder / "plain"
    alone = " ".join(run(*call(folder, "after", "new", "general"), "--baseline", folder / "plain").output.split())
    assert "Note: Nothing is compared on the set general: it did not ride along (--also) with baseline." in alone
    assert "set general" in (folder / "new/compare/compare.html").read_text("utf-8")
    assert "did not ride along with it" in run(*call(folder, "after", "x", "general"), *held, status=2).output


def test_sets_can_be_named_and_limited(folder: Path) -> None:
    words = call(folder, "after", "out")
    for name in ("one", "two"):
        words += ["--also", f"{name}={folder / 'general.jsonl'}", "--also-predictions", folder / "general-after.jsonl"]
    run(*words, "--limit", 1)
    assert (
        list(report(folder / "out")["also"]) == ["one", "two"] and report(folder / "out/also/two")["metrics"]["n"] == 1
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--max-drop", "acc_50=0.1"], "needs --baseline"),
        (["--fail-under", "accuracy=1"], "there is no measure 'accuracy'; there are grec_50"),
        (["--fail-under", "general:acc_50=1"], "no set 'general' rides along"),
        (["--junit", "x.xml"], "tells of gates"),
        (["--baseline", "nowhere"], "nowhere: is no report folder"),
        (["--also", "GENERAL"], "1 set beside the first, 0 files named"),
        (
            ["--also", "GENERAL", "--also-predictions", "x", "--also-predictions", "y"],
            "1 set beside the first, 2 files named",
        ),
        (["--also", "GENERAL", "--also", "GENERAL"], "two sets are called 'general'"),
        (["--also", "a/b=GENERAL", "--also-predictions", "x"], "'a/b' is no name for a set"),
        (["--also", "..=GENERAL", "--also-predictions", "x"], "'..' is no name"),
        (["--also", "nowhere.jsonl", "--also-predictions", "x"], "nowhere.jsonl"),
    ],
)
def test_wrong_calls(folder: Path, words: list[str], message: str) -> None:
    given = [word.replace("GENERAL", str(folder / "general.jsonl")) for word in words]
    assert message in run(*call(folder, "before", "out"), *given, status=2).output
    assert not (folder / "out").exists()


def test_one_model_answers_every_set_and_is_loaded_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine has its own tests; here an answerer that knows the answers stands for it."""
    texts = {one.id: text for one, text in zip([*SAMPLES, *GENERAL], [*AFTER, *RIGHT], strict=True)}
    loaded, asked = [], []

    def load(options: Any) -> Any:
        loaded.append(options["model"])
        weights = SimpleNamespace(weight=SimpleNamespace(dtype="torch.float32"))
        model = SimpleNamespace(device=SimpleNamespace(type="cpu"), get_input_embeddings=lambda: weights)
        model.disable_adapter = disabled
        processor = SimpleNamespace(template_version="base", image_size=490)
        return SimpleNamespace(model=model, processor=processor, folder=folder, warnings=())

    @contextmanager
    def disabled() -> Iterator[None]:
        texts["g1"] = RIGHT[0]
        yield
        texts["g1"] = RIGHT[1]

    def predict(model: Any, processor: Any, dataset: Any, out: Path, **_: Any) -> list[Prediction]:
        asked.append(out.relative_to(folder / "out").as_posix())
        return [Prediction(id=one.id, text=texts[one.id]) for one in dataset.samples]

    monkeypatch.setattr(answers, "load", load)
    monkeypatch.setattr("grounding.cli.benchmark.check_model", lambda options: None)
    monkeypatch.setattr("grounding.evaluation.predict.predict", predict)
    monkeypatch.setattr("grounding.cli.answers.check_images", lambda *_, **__: None)
    words = ["--data", folder / "test.jsonl", "--also", folder / "general.jsonl", "--out", folder / "out"]
    run(*words, "--model", folder, "--adapter", folder / "adapter", "--with-base")
    assert len(loaded) == 1
    assert asked == [
        *("predictions.jsonl", "base_predictions.jsonl"),
        *("also/general/predictions.jsonl", "also/general/base_predictions.jsonl"),
    ]
    entry = report(folder / "out")["also"]["general"]
    assert entry["differences"]["grec_50"]["value"] == 0.5 and entry["metrics"]["grec_50"]["value"] == 1.0
    assert report(folder / "out/also/general")["answers"]["predictions"].endswith("also/general/predictions.jsonl")
    said = run(*words, "--model", folder, "--also-predictions", "x", status=2).output
    assert "the model answers what rides along" in said
