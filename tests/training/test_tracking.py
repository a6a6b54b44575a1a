"""Trackers: TensorBoard's event files as they are read again; Weights & Biases by a stand-in for its package."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from transformers import TrainerControl, TrainerState, TrainingArguments

from grounding.errors import InputError
from grounding.training.run import run
from grounding.training.run_folder import RunFolder
from grounding.training.tracking import check_trackers, trackers
from tests.training.conftest import MakeSettings

WANDB = '''
"""Stands in for wandb: writes what it is told to the file WANDB_TOLD, a line a call."""
import json, os
run = None
class _Run:
    id, name, url, summary = "1", "run", "https://here", {}
    def _label(self, **_): pass
class _Config(dict):
    def update(self, values, allow_val_change=False): _tell("config", sorted(values))
config = _Config()
def _tell(*what):
    with open(os.environ["WANDB_TOLD"], "a") as file: file.write(json.dumps(what) + "\\n")
def init(**given):
    global run
    run = _Run()
    run.id = given["id"] or "new1"
    _tell("init", given)
    return run
def define_metric(*_, **__): pass
class Image:
    def __init__(self, data, caption): self.said = [caption, list(data.size)]
def log(values):
    _tell("log", {**values, **({"answers": [one.said for one in values["answers"]]} if "answers" in values else {})})
'''


def test_tensorboard_gets_losses_the_headline_and_the_answers(make_settings: MakeSettings) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings = make_settings(training={"report_to": ["tensorboard"], "max_steps": 2}, evaluation={"every": 1})
    pictures: dict[str, Image.Image] = {}

    def factory(*_: Any) -> Any:
        def evaluate(model: Any) -> dict[str, float]:
            pictures["v0: a circle"] = Image.new("RGB", (30, 20), (len(pictures) * 90, 0, 0))
            return {"grec_50": 0.25, "not_found_f1": 0.5}

        return evaluate

    run(settings, evaluate_factory=factory, drawn=pictures, say=lambda _: None)
    folder = Path(settings.output) / "tensorboard"
    events = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
    assert {"eval/grec_50", "eval/not_found_f1", "eval/loss", "train/loss"} <= set(events.Tags()["scalars"])
    assert [(event.step, event.value) for event in events.Scalars("eval/grec_50")] == [(1, 0.25), (2, 0.25)]
    (tag,) = events.Tags()["images"]
    assert tag.startswith("answers/v0") and "circle" in tag
    shown = events.Images(tag)
    assert [(event.step, event.width, event.height) for event in shown] == [(1, 30, 20), (2, 30, 20)]


@pytest.fixture
def wandb_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The stand-in in place of wandb, and the file of what it was told."""
    for name, text in {"__init__": WANDB, "sdk/__init__": "", "sdk/lib/__init__": ""}.items():
        file = tmp_path / f"packages/wandb/{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (tmp_path / "packages/wandb/sdk/lib/config_util.py").write_text("class ConfigError(Exception): pass\n")
    monkeypatch.syspath_prepend(tmp_path / "packages")
    monkeypatch.setenv("WANDB_TOLD", str(tmp_path / "told.jsonl"))
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "wandb"}
    for name in before:
        del sys.modules[name]
    yield tmp_path / "told.jsonl"
    for name in [name for name in sys.modules if name.split(".")[0] == "wandb"]:
        del sys.modules[name]
    sys.modules |= before


def test_weights_and_biases_gets_them_too(tmp_path: Path, wandb_told: Path) -> None:
    folder = RunFolder(tmp_path / "mine", "lora")
    (callback,) = trackers(["wandb"], folder, {"v0: a circle": Image.new("RGB", (30, 20))})
    arguments, state, control = TrainingArguments(output_dir=str(folder.root)), TrainerState(), TrainerControl()
    state.global_step = 7
    callback.on_train_begin(arguments, state, control, model=None)
    callback.on_log(arguments, state, control, logs={"loss": 0.5, "eval_grec_50": 0.25})
    callback.on_evaluate(arguments, state, control)
    told = [json.loads(line) for line in wandb_told.read_text("utf-8").splitlines()]
    assert [call for call, _ in told] == ["init", "config", "log", "log"]
    given = {"project": "grounding", "name": "mine", "dir": str(folder.root), "id": None, "resume": "allow"}
    assert told[0][1] == given
    assert told[2][1] == {"train/loss": 0.5, "eval/grec_50": 0.25, "train/global_step": 7}
    assert told[3][1] == {"answers": [["v0: a circle", [30, 20]]], "train/global_step": 7}


def test_a_run_that_goes_on_reports_to_the_same_wandb_run(
    tmp_path: Path, wandb_told: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, state, control = RunFolder(tmp_path / "mine", "lora"), TrainerState(), TrainerControl()

    def started() -> str | None:
        for name in [name for name in sys.modules if name.split(".")[0] == "wandb"]:
            del sys.modules[name]  # another process
        (callback,) = trackers(["wandb"], folder, {})
        callback.on_train_begin(TrainingArguments(output_dir=str(folder.root)), state, control, model=None)
        calls = [json.loads(line) for line in wandb_told.read_text("utf-8").splitlines()]
        return [given["id"] for call, given in calls if call == "init"][-1]

    monkeypatch.setenv("WANDB_MODE", "offline")
    assert started() is None and not folder.wandb_id.exists(), "parts with one id would replace each other"
    monkeypatch.delenv("WANDB_MODE")
    assert started() is None and folder.wandb_id.read_text("utf-8") == "new1\n"
    assert started() == "new1"
    monkeypatch.setenv("WANDB_RUN_ID", "mine7")
    assert started() == "mine7" and folder.wandb_id.read_text("utf-8") == "mine7\n"


def test_other_processes_than_the_first_tell_nothing(tmp_path: Path, wandb_told: Path) -> None:
    pytest.importorskip("tensorboard")
    folder = RunFolder(tmp_path / "mine", "lora")
    arguments, control = TrainingArguments(output_dir=str(folder.root)), TrainerControl()
    state = TrainerState(is_world_process_zero=False)
    for callback in trackers(["tensorboard", "wandb"], folder, {"v0": Image.new("RGB", (3, 2))}):
        callback.on_train_begin(arguments, state, control, model=None)
        callback.on_log(arguments, state, control, logs={"loss": 0.5})
        callback.on_evaluate(arguments, state, control)
    assert not wandb_told.exists() and not folder.root.exists()


def test_a_package_that_is_not_there_is_said_before_the_run(make_settings: MakeSettings, monkeypatch: Any) -> None:
    monkeypatch.setattr("grounding.training.tracking.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"wandb is not installed.*\n?.*grounding\[wandb\]"):
        check_trackers(["wandb"])
    with pytest.raises(InputError, match="tensorboard"):
        run(make_settings(training={"report_to": ["tensorboard"]}))
