"""Whole runs of a tiny model: it learns, resumes bit for bit, stops at NaN and at Ctrl-C, and leaves what it should."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import TrainerCallback

from grounding.errors import RunError
from grounding.models.loading import load_model
from grounding.settings import read_settings
from grounding.training.build import with_row_budget
from grounding.training.run import run
from grounding.training.trainer import GroundingTrainer
from tests.training.conftest import MakeSettings, lora


def log_of(folder: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(folder) / "train_log.jsonl").read_text().splitlines()]


def losses(folder: str | Path, key: str = "loss") -> list[float]:
    return [entry[key] for entry in log_of(folder) if key in entry and "train_runtime" not in entry]


def weights(result: Path) -> dict[str, Tensor]:
    return load_file(result / ("adapter_model.safetensors" if result.name == "adapter" else "model.safetensors"))


def same_bits(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_full_training_learns_and_leaves_a_checkpoint_in_the_published_layout(make_settings: MakeSettings) -> None:
    said: list[str] = []
    settings = make_settings(training={"epochs": 12})
    found = run(settings, say=said.append)
    curve = losses(settings.output)
    assert len(curve) == found.steps == 24
    assert curve[-1] < 0.8 * curve[0]
    assert found.result == Path(settings.output) / "model"
    assert found.best_step == 24  # the loss on val fell to the end, and there is nothing else to judge by
    loaded = load_model(found.result, device="cpu")
    assert loaded.processor.image_size == 28
    assert same_bits(dict(loaded.model.state_dict()), weights(found.result))
    kept = read_settings(Path(settings.output) / "settings.yaml")
    assert kept == with_row_budget(settings, loaded.processor) and kept.training.pack_tokens == 2048
    text = "\n".join(said)
    for expected in (
        "(100.00%)",
        "Steps: 24, 2 an epoch",
        "effective batch 4 over 1 process, 2 rows at once",
        "6 prompts about 3 images, 2.0 an image; those that meet in a step share a row of at most 2,048 tokens.",
        "2 of all",
    ):
        assert expected in text


def test_loss_is_logged_by_kind_and_task(make_settings: MakeSettings) -> None:
    settings = make_settings(training={"effective_batch": 8, "max_steps": 2})
    run(settings, say=lambda _: None)
    entry = log_of(settings.output)[0]
    tokens_apart = entry["loss_image"], entry["loss_text_only"]
    assert min(tokens_apart) < entry["loss"] < max(tokens_apart)
    assert entry["loss_task_text"] == entry["loss_text_only"]
    assert losses(settings.output, "eval_loss") == losses(settings.output, "eval_loss_image")


MUON = {"optimizer": "muon", "label_weights": {"first": 3.0, "tens": 0.5, "units": 0.1}}


@pytest.mark.parametrize("method", ["full", "lora", "muon"])
@pytest.mark.parametrize("stop", [3, 4])  # in the middle of the second epoch, and at its end
def test_resumed_is_uninterrupted_bit_for_bit(
    make_settings: MakeSettings, base: Path, tmp_path: Path, method: str, stop: int
) -> None:
    changes = lora(base) if method == "lora" else {}
    training = {"epochs": 3, **(MUON if method == "muon" else {})}
    common: dict[str, Any] = {**changes, "training": training, "evaluation": {"every": 2}}
    whole = run(make_settings(output=str(tmp_path / "whole"), **common), say=lambda _: None)

    stopped = make_settings(output=str(tmp_path / "stopped"), **common)
    with interrupting_at(stop), pytest.raises(RunError, match=f"Stopped at step {stop} of 6.*goes on from there"):
        run(stopped, say=lambda _: None)
    assert not (tmp_path / "stopped" / whole.result.name).exists()
    said: list[str] = []
    resumed = run(stopped, say=said.append)
    assert f"Going on from {tmp_path / 'stopped' / 'checkpoints' / f'checkpoint-{stop}'}." in said
    assert same_bits(weights(whole.result), weights(resumed.result))
    assert losses(whole.result.parent) == losses(resumed.result.parent)
    assert losses(whole.result.parent, "eval_loss") == losses(resumed.result.parent, "eval_loss")


class interrupting_at:
    """Every trainer made in the block gets a Ctrl-C in the middle of a step; `twice`: a second one right after."""

    def __init__(self, step: int, *, twice: bool = False) -> None:
        self.step, self.twice = step, twice

    def __enter__(self) -> None:
        outer = self

        class Press(TrainerCallback):
            def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                if state.global_step == outer.step - 1:
                    signal.raise_signal(signal.SIGINT)
                    if outer.twice:
                        signal.raise_signal(signal.SIGINT)

        self.patch = pytest.MonkeyPatch()
        original = GroundingTrainer.__init__

        def init(trainer: GroundingTrainer, *args: Any, **kwargs: Any) -> None:
            original(trainer, *args, **kwargs)
            trainer.add_callback(Press())

        self.patch.setattr(GroundingTrainer, "__init__", init)

    def __exit__(self, *_: object) -> None:
        self.patch.undo()


def test_a_second_ctrl_c_stops_at_once(make_settings: MakeSettings) -> None:
    settings, before = make_settings(evaluation={"every": 1}), signal.getsignal(signal.SIGINT)
    with interrupting_at(3, twice=True), pytest.raises(RunError, match=r"Stopped at step 2 of 6.*checkpoint-2"):
        run(settings, say=lambda _: None)
    assert signal.getsignal(signal.SIGINT) is before, "not every shell lets jobs in the background be interrupted"
    assert run(settings, say=lambda _: None).steps == 6


def test_ctrl_c_in_the_last_step_ends_the_run_as_ever(make_settings: MakeSettings) -> None:
    with interrupting_at(2):
        assert run(make_settings(training={"max_steps": 2}), say=lambda _: None).result.is_dir()


def failing_at(step: int, error: Callable[[], Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the forward pass of a step raise."""
    original = GroundingTrainer.compute_loss

    def compute_loss(trainer: GroundingTrainer, *args: Any, **kwargs: Any) -> Any:
        if trainer.state.global_step == step - 1:
            raise error()
        return original(trainer, *args, **kwargs)

    monkeypatch.setattr(GroundingTrainer, "compute_loss", compute_loss)


@pytest.mark.parametrize(
    "error", [lambda: torch.OutOfMemoryError("CUDA out of memory"), lambda: RuntimeError("can't allocate memory: 1")]
)
def test_out_of_memory_saves_and_says_what_to_lower(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, error: Callable[[], Exception]
) -> None:
    settings = make_settings(training={"max_steps": 4}, evaluation={"every": 100})
    whole = run(make_settings(output=settings.output + "-whole", training={"max_steps": 4}, evaluation={"every": 100}))
    with monkeypatch.context() as patch:
        failing_at(3, error, patch)
        with pytest.raises(RunError, match=r"step 3: lower training.micro_batch \(it is 2.*checkpoint-2"):
            run(settings, say=lambda _: None)
    lowered = make_settings(training={"max_steps": 4, "micro_batch": 1}, evaluation={"every": 100, "batch": 2})
    resumed = run(lowered, say=lambda _: None)
    assert resumed.steps == 4
    for key, value in weights(whole.result).items():
        torch.testing.assert_close(weights(resumed.result)[key], value, atol=1e-5, rtol=1e-4)


def test_other_errors_of_torch_stay_what_they_are(make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_at(1, lambda: RuntimeError("shapes differ"), monkeypatch)
    with pytest.raises(RuntimeError, match="shapes differ"):
        run(make_settings(), say=lambda _: None)


def test_a_loss_that_is_no_number_stops_the_run(make_settings: MakeSettings) -> None:
    settings = make_settings(training={"learning_rate": 1e30, "warmup": 0, "clip": 0}, evaluation={"every": 1})
    with pytest.raises(RunError, match=r"The loss became (nan|inf) in step 2.*learning_rate \(it is 1e\+30\)"):
        run(settings, say=lambda _: None)
    assert not (Path(settings.output) / "model").exists()


def scripted(*found: float) -> tuple[Any, list[nn.Module]]:
    """An evaluation that finds these values of grec_50, one after the other."""
    values, models = iter(found), []

    def factory(processor: Any, dataset: Any, progress: Any) -> Callable[[nn.Module], dict[str, float]]:
        def evaluate(model: nn.Module) -> dict[str, float]:
            models.append(model)
            assert not model.training
            progress(len(dataset.samples))
            return {"grec_50": next(values)}

        return evaluate

    return factory, models


def test_the_best_by_grec_is_the_result_and_ties_go_to_the_lower_loss(make_settings: MakeSettings) -> None:
    settings = make_settings(training={"max_steps": 5}, evaluation={"every": 1, "patience": 0, "keep_checkpoints": 1})
    factory, models = scripted(0.1, 0.5, 0.5, 0.2, 0.2)
    found = run(settings, evaluate_factory=factory, say=lambda _: None)
    by_step = dict(zip(range(1, 6), losses(settings.output, "eval_loss"), strict=True))
    assert found.best_step == min((2, 3), key=lambda step: by_step[step]) == 3
    assert found.metrics["eval_grec_50"] == 0.5
    kept = sorted(path.name for path in (Path(settings.output) / "checkpoints").iterdir())
    assert kept == ["checkpoint-3", "checkpoint-5"]
    assert same_bits(
        weights(found.result), load_file(Path(settings.output) / "checkpoints/checkpoint-3/model.safetensors")
    )
    assert len(models) == 5


def test_patience_ends_a_run_and_running_again_does_not_go_on(make_settings: MakeSettings) -> None:
    settings = make_settings(training={"max_steps": 9}, evaluation={"every": 1, "patience": 2})
    said: list[str] = []
    found = run(settings, evaluate_factory=scripted(0.1, 0.6, 0.5, 0.4)[0], say=said.append)
    assert (found.steps, found.best_step) == (4, 2)
    assert any("Stopped early at step 4: 2 evaluations" in line for line in said)
    before = weights(found.result)
    for path in found.result.iterdir():
        path.unlink()
    found.result.rmdir()  # as if killed between the last step and the result
    again = run(settings, evaluate_factory=scripted()[0], say=said.append)
    assert (again.steps, again.best_step) == (4, 2) and same_bits(before, weights(again.result))
    assert run(settings, say=said.append) == again
    assert said[-1].startswith("This run is through already")


def test_without_validation_data_the_last_checkpoint_is_kept(make_settings: MakeSettings) -> None:
    said: list[str] = []
    settings = make_settings(data={"val": None}, training={"max_steps": 3})
    found = run(settings, evaluate_factory=scripted()[0], say=said.append)
    assert (found.best_step, found.metrics) == (3, {})
    assert any("nothing to evaluate on" in line for line in said)


def test_memory_used_up_while_answering_loses_no_training(make_settings: MakeSettings) -> None:
    def factory(processor: Any, dataset: Any, progress: Any) -> Callable[[nn.Module], dict[str, float]]:
        def evaluate(model: nn.Module) -> dict[str, float]:
            raise RunError("out of memory while answering")

        return evaluate

    settings = make_settings(training={"max_steps": 4}, evaluation={"every": 2})
    with pytest.raises(RunError, match="while answering"):
        run(settings, evaluate_factory=factory, say=lambda _: None)
    said: list[str] = []
    assert run(settings, evaluate_factory=scripted(0.5)[0], say=said.append).steps == 4
    assert any(line.endswith("checkpoint-2.") for line in said if line.startswith("Going on from"))
