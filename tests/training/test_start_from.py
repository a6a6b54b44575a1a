"""Training an adapter further: the start is what was saved, a stopped run goes on bit for bit, misfits are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from grounding.errors import InputError, ManyErrors, RunError
from grounding.models.adapter_notes import NOTES_FILE
from grounding.training.run import run
from tests.training.conftest import MakeSettings, lora
from tests.training.test_run import interrupting_at, same_bits, weights


def quiet(_: str) -> None:
    """For runs whose words are not looked at."""


@pytest.fixture
def first(make_settings: MakeSettings, base: Path, tmp_path: Path) -> Path:
    """A run that trained an adapter on the base."""
    settings = make_settings(**lora(base), output=str(tmp_path / "first"), training={"max_steps": 2})
    return run(settings, say=quiet).result.parent


def further(make_settings: MakeSettings, base: Path, start: Path, **changes: Any) -> Any:
    """Settings of a run that starts from an adapter."""
    common = lora(base)
    common["tuning"] |= {"start_from": str(start)} | changes.pop("tuning", {})
    return make_settings(**(common | changes))


def test_it_starts_with_the_saved_weights(make_settings: MakeSettings, base: Path, first: Path) -> None:
    """A rate too small to change a number: the first step's result is the start, and its loss the one found before."""
    log = [json.loads(line) for line in (first / "train_log.jsonl").read_text().splitlines()]
    (before,) = [entry["eval_loss"] for entry in log if "eval_loss" in entry]
    for number, start in enumerate((first, first / "adapter", first / "checkpoints" / "checkpoint-2")):
        said: list[str] = []
        training = {"max_steps": 1, "learning_rate": 1e-30, "warmup": 0, "weight_decay": 0.0}
        settings = further(make_settings, base, start, training=training, output=str(first.parent / str(number)))
        found = run(settings, say=said.append)
        for name, tensor in weights(first / "adapter").items():
            torch.testing.assert_close(weights(found.result)[name], tensor, rtol=0, atol=1e-25)
        assert found.metrics["eval_loss"] == before
        assert any(line.startswith("Starts from the adapter") for line in said)
        assert not any(line.startswith("Warning") for line in said)


def test_a_stopped_run_goes_on_bit_for_bit_without_its_start(
    make_settings: MakeSettings, base: Path, first: Path, tmp_path: Path
) -> None:
    common: dict[str, Any] = {"training": {"max_steps": 4}, "evaluation": {"every": 2}}
    whole = run(further(make_settings, base, first, output=str(tmp_path / "whole"), **common), say=quiet)
    assert not same_bits(weights(whole.result), weights(first / "adapter"))
    stopped = further(make_settings, base, first, output=str(tmp_path / "stopped"), **common)
    with interrupting_at(3), pytest.raises(RunError, match="goes on from there"):
        run(stopped, say=quiet)
    shutil.rmtree(first)
    assert same_bits(weights(run(stopped, say=quiet).result), weights(whole.result))


def test_other_settings_are_refused_before_anything_is_written(
    make_settings: MakeSettings, base: Path, first: Path
) -> None:
    settings = further(make_settings, base, first, tuning={"rank": 8, "targets": "language"})
    with pytest.raises(ManyErrors, match=r"tuning\.start_from = .*cannot be trained further") as caught:
        run(settings, say=quiet)
    assert len(caught.value.problems) == 2
    assert not Path(settings.output).exists()


def test_another_base_is_refused(make_settings: MakeSettings, base: Path, first: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(base, other)
    tensors = load_file(other / "model.safetensors")
    tensors["lm_head.weight"] *= 2
    save_file(tensors, other / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"trained on other weights.*Name its own base as model\.path"):
        run(further(make_settings, other, first), say=quiet)
    (first / "adapter" / NOTES_FILE).unlink()
    said: list[str] = []
    run(further(make_settings, other, first, training={"max_steps": 1}), say=said.append)
    assert any("does not say what it was trained on" in line for line in said)


def test_another_use_of_the_base_is_told(make_settings: MakeSettings, base: Path, first: Path) -> None:
    said: list[str] = []
    settings = further(make_settings, base, first, training={"max_steps": 1})
    model = settings.model.model_copy(update={"image_size": 56})
    run(settings.model_copy(update={"model": model}), say=said.append)
    assert any(line.startswith("Warning: The adapter was trained on images of 28 pixels") for line in said)


def test_a_finished_run_names_the_way_to_train_it_longer(make_settings: MakeSettings, base: Path, first: Path) -> None:
    longer = make_settings(**lora(base), output=str(first), training={"max_steps": 9})
    with pytest.raises(ManyErrors) as caught:
        run(longer, say=quiet)
    assert f"another `output` and tuning.start_from={first / 'adapter'}." in str(caught.value)
