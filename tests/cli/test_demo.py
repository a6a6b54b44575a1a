"""`grounding demo` from end to end with a tiny random model: broken off and gone on with, and all that it leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from grounding import pocket
from grounding.cli import stages
from grounding.cli.demo import DATA, HEADINGS, OWN_DATA, RECIPE, REPLAY_SHARE
from grounding.cli.main import group
from grounding.settings import read_settings
from tests.inference.scripted import tiny_model


def run(out: Path, *words: str, status: int = 0) -> Result:
    result = CliRunner().invoke(group, ["demo", "--quick", "--out", str(out), *words])
    assert result.exit_code == status, f"{result.output}\n{result.exception!r}"
    return result


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result, Result]:
    """A demo's folder; what a first call said, which was interrupted in its fourth command, and what a second said."""
    folder = tmp_path_factory.mktemp("demo")
    tiny = tiny_model()
    tiny.model.save_pretrained(folder / "pocket")
    tiny.processor.save_pretrained(folder / "pocket")
    real, calls = stages.run_command, list[str]()

    def interrupted(words: list[str | Path], log: Path) -> None:
        calls.append(log.stem)
        if len(calls) == 4:
            raise KeyboardInterrupt
        real(words, log)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pocket, "checkpoint_folder", lambda: folder / "pocket")
        patch.setattr("grounding.cli.demo.checkpoint_folder", pocket.checkpoint_folder)
        patch.setattr("grounding.cli.demo.ANSWERS", ("--max-new-tokens", "5"))
        patch.setattr("grounding.cli.demo.MODEL", str(folder / "pocket"))
        patch.setattr("grounding.cli.demo.run_command", interrupted)
        first = run(folder / "out", status=1)
        second = run(folder / "out")
    assert calls[:4] == ["convert-coco", "convert-voc", "benchmark-before-parts", "benchmark-before-general"]
    assert calls[4] == "benchmark-before-general" and len(calls) == len(set(calls)) + 1, "nothing was done twice"
    return folder / "out", first, second


def test_it_goes_on_where_it_was_interrupted(walked: tuple[Path, Result, Result]) -> None:
    _, first, second = walked
    assert "[3/6]" in first.output and "[4/6]" not in first.output and "Interrupted" in first.stderr
    assert second.output.count("done before") == 2
    assert "[6/6]" in second.output and OWN_DATA in second.output


def test_the_faults_that_were_planted_are_told(walked: tuple[Path, Result, Result]) -> None:
    out, _, second = walked
    for reason in ("missing image", "unreadable image", "zero area", "negative area"):
        assert reason in second.output
    for form in ("coco", "voc"):
        said = (out / "logs" / f"convert-{form}.txt").read_text(encoding="utf-8")
        assert said.startswith("$ grounding convert") and "exif_upright" in said and "duplicate_box" in said


def test_the_summary_has_every_run_and_what_was_forgotten(walked: tuple[Path, Result, Result]) -> None:
    out, _, _ = walked
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    for data in DATA:
        report = json.loads((out / "reports" / f"after-{data}" / "report.json").read_text(encoding="utf-8"))
        assert summary[data]["after"]["acc_50"] == report["metrics"]["acc_50"]
        assert set(summary[data]) == set(HEADINGS)
        assert "untuned_base" in report["metrics"]["baselines"], "the run before stands beside"
    was, now = (summary["general"][run]["acc_50"]["value"] for run in ("before", "after"))
    assert summary["forgotten_acc_50"]["with_replay"] == was - now
    assert set(summary["seconds"]) == {"draw", "convert", "before", "learn", "after"}, "its own stage is not through"
    assert summary["quick"] is True and "torch" in summary["machine"]


def test_the_page_stands_alone_and_holds_both_runs(walked: tuple[Path, Result, Result]) -> None:
    out, _, _ = walked
    page = (out / "report.html").read_text(encoding="utf-8")
    for words in (
        "parts on a workbench",
        "general scenes",
        "after, without replay",
        "quick walk",
        "for every 2 questions about the new parts, one about general scenes",
        "grounding finetune",
    ):
        assert words in page
    assert "photograph" not in page.split('<section id="how">')[0], "all of it is drawn"
    assert page.count("<article") >= 10 and "data:image/webp;base64" in page
    for data in DATA:
        for name in HEADINGS:
            assert (out / f"reports/{name}-{data}/report.html").is_file()
            assert f'href="reports/{name}-{data}/report.html"' in page
    assert (out / "before_after.jpg").stat().st_size > 1000


def test_general_scenes_are_replayed_and_left_out_of_the_other_run(walked: tuple[Path, Result, Result]) -> None:
    out, _, _ = walked
    sources = {name: read_settings(out / "runs" / name / "settings.yaml").data.train for name in ("after", "alone")}
    assert [source.share for source in sources["after"]] == [1.0, REPLAY_SHARE]
    assert sources["after"][0].path == sources["alone"][0].path
    assert len(sources["alone"]) == 1 and "replay" in sources["after"][1].path


def test_nothing_half_made_is_left(walked: tuple[Path, Result, Result]) -> None:
    out, _, _ = walked
    assert not [path for path in out.rglob("*") if path.name.startswith(".") or "unfinished" in path.name]


def test_another_folder_and_another_demo_are_refused(walked: tuple[Path, Result, Result], tmp_path: Path) -> None:
    out, _, _ = walked
    assert "demo of another seed" in run(out, "--seed", "1", status=2).output
    (tmp_path / "mine.txt").touch()
    assert "holds no demo" in run(tmp_path, status=2).output
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_recipe_is_whole() -> None:
    settings = read_settings(RECIPE, ["data.train=x.jsonl", "output=runs/x"])
    assert settings.model.path == "pocket" and settings.tuning.method == "lora"
