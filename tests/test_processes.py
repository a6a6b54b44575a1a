"""Two processes with gloo are one with the same batch: training, going on, answers; an error is told once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner
from msgspec.structs import replace
from safetensors.torch import load_file
from torch import Tensor

from grounding.cli.finetune import evaluate_factory
from grounding.cli.main import group
from grounding.samples import Manifest, read_dataset, write_manifest, write_samples
from grounding.settings import FinetuneSettings
from grounding.training.dataset import picture_numbers
from grounding.training.mixing import MixtureSampler
from grounding.training.run import run
from grounding.training.steps import StepSampler, arrange_together
from tests.conftest import REPOSITORY
from tests.training.conftest import ARCHITECTURE, scene_samples, text_samples

SEED = 2  # images in the one process alone, in both, in neither
EFFECTIVE = 3  # the first process gets two prompts of a step, the second one
LOGGED = ("loss", "loss_image", "loss_text_only", "grad_norm", "eval_loss", "eval_score", "eval_grec_50")
FULL: dict[str, Any] = {"tuning": {"method": "full"}}


def settings_of(folder: Path, output: str, changes: dict[str, Any]) -> dict[str, Any]:
    """Five steps, with and without images in either process, on rows of up to two prompts, one row at once."""
    lora: dict[str, Any] = {
        "model": {"path": str(folder / "base" / "model"), "dtype": "float32", "device": "cpu"},
        "tuning": {"method": "lora", "targets": "both+tower", "rank": 4, "alpha": 8},
    }
    common: dict[str, Any] = {
        "data": {"train": str(folder / "train.jsonl"), "val": str(folder / "val.jsonl")},
        "training": {
            "learning_rate": 3e-3,
            "effective_batch": EFFECTIVE,
            "max_steps": 5,
            "workers": 0,
            "log_every": 1,
            "seed": SEED,
            "gradient_checkpointing": False,
        },
        "evaluation": {"every": 2, "samples": 3, "batch": 1, "max_new_tokens": 4},
    }
    wanted = {name: lora.get(name, {}) | common.get(name, {}) | changes.get(name, {}) for name in {*lora, *common}}
    return wanted | {"output": str(folder / output)}


RUNS: dict[str, dict[str, Any]] = {
    "lora": {},
    "checkpointed": {"training": {"gradient_checkpointing": True}},
    "apart": {"training": {"pack": False, "effective_batch": 4, "max_steps": 3}},
    "full": FULL,
}
SHIPPED = yaml.safe_load((REPOSITORY / "configs" / "launch" / "fsdp.yaml").read_text())["fsdp_config"]
# As `accelerate launch` hands it over.
FSDP = {"ACCELERATE_USE_FSDP": "true"} | {
    key.upper().replace("LAYER_CLS", "CLS"): str(value) for key, value in SHIPPED.items()
}


def further(folder: Path) -> dict[str, Any]:
    """What trains the adapter of the first run further."""
    return {"tuning": {"start_from": str(folder / "lora-2")}, "training": {"max_steps": 2}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, a base, and what two processes left; `errors.txt` is what they said at last."""
    folder = tmp_path_factory.mktemp("processes")
    write_samples(folder / "train.jsonl", [*scene_samples(folder, 3), *text_samples(6)])
    write_samples(folder / "val.jsonl", scene_samples(folder, 2, seed=1, prefix="v")[:3])
    asked = [
        replace(sample, id=f"{sample.id}/{turn}", prompt=sample.prompt + " Now" * turn)
        for sample in scene_samples(folder, 9, seed=2, prefix="b")
        for turn in range(1 + len(sample.id) % 3)
    ]
    write_samples(folder / "asked.jsonl", [*text_samples(2), *asked])
    write_manifest(folder / "manifest.json", Manifest(image_root="."))
    base = settings_of(folder, "base", FULL | {"training": {"max_steps": 1}, "evaluation": {"samples": 0}})
    base["model"] = {"architecture": ARCHITECTURE, "tokenizer_size": 320, "dtype": "float32", "device": "cpu"}
    run(FinetuneSettings.model_validate(base), say=lambda _: None)

    wanted = {name: {"settings": settings_of(folder, f"{name}-2", changes)} for name, changes in RUNS.items()}
    stopped = {"settings": settings_of(folder, "stopped", {})}
    wanted |= {"stopped": stopped | {"ctrl_c": (1, 3)}, "resumed": stopped}
    diverging = {"training": {"learning_rate": 1e30, "warmup": 0, "clip": 0}}
    wanted["nan"] = {"settings": settings_of(folder, "nan", diverging)}
    spread = settings_of(folder, "spread", {"evaluation": {"samples": 0}})
    wanted["further"] = {"settings": settings_of(folder, "further-2", further(folder))}
    wanted["spread"] = {"settings": spread, "spread": FSDP}
    spread = settings_of(folder, "spread-further", further(folder) | {"evaluation": {"samples": 0}})
    wanted["spread-further"] = {"settings": spread, "spread": FSDP}
    words = ["benchmark", "--model", str(folder / "base" / "model"), "--device", "cpu", "--batch-size", "2"]
    words += ["--max-new-tokens", "6", "--gallery", "2"]
    for name, value in {"runs": wanted, "benchmark": words, "last_image": Path(str(asked[-1].image)).name}.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    alone = CliRunner().invoke(group, [*words, "--out", str(folder / "alone"), "--data", str(folder / "asked.jsonl")])
    assert alone.exit_code == 0, alone.output
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "tests.two_processes"]
    finished = subprocess.run(
        [*launcher, str(folder)], cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=900
    )
    assert (folder / "shared" / "report.json").is_file(), finished.stderr
    assert finished.returncode != 0
    (folder / "errors.txt").write_text(finished.stderr)
    return folder


def said(folder: Path, name: str) -> list[list[str]]:
    """By each process."""
    found: list[list[str]] = json.loads((folder / "said.json").read_text())[name]
    return found


def weights(run_folder: Path) -> dict[str, Tensor]:
    (file,) = [*run_folder.glob("adapter/adapter_model.safetensors"), *run_folder.glob("model/model.safetensors")]
    tensors = load_file(file)
    for name in [name for name in tensors if name.endswith("query_key_value.bias")]:
        # A bias of keys changes nothing and has a gradient of zero, which AdamW divides by its own rounding.
        query, _, value = tensors.pop(name).chunk(3)
        tensors[name] = torch.cat([query, value])
    return tensors


def log(run_folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run_folder / "train_log.jsonl").read_text().splitlines()]


def test_the_steps_are_such_as_may_hang(folder: Path) -> None:
    """Images in one process alone, in both, and in neither."""
    data = read_dataset(folder / "train.jsonl", None)
    pictures = picture_numbers([data])
    parts = []
    for process in range(2):
        order = MixtureSampler([len(pictures)], [None], SEED, arrange_together(pictures, EFFECTIVE, 2))
        epochs = []
        for epoch in range(2):
            order.set_epoch(epoch)
            epochs += list(StepSampler(order, EFFECTIVE, process, 2))
        parts.append(epochs[:5])
    images = {tuple(any(pictures[index] >= 0 for index in part) for part in step) for step in zip(*parts, strict=True)}
    assert images >= {(True, True), (False, False)} and images & {(True, False), (False, True)}
    assert {tuple(map(len, step)) for step in zip(*parts, strict=True)} == {(2, 1)}


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_learn_what_one_does(folder: Path, name: str) -> None:
    settings = FinetuneSettings.model_validate(settings_of(folder, f"{name}-1", RUNS[name]))
    run(settings, evaluate_factory=evaluate_factory(settings), say=lambda _: None)
    one, two = (weights(folder / f"{name}-{processes}") for processes in (1, 2))
    before = load_file(folder / "base" / "model" / "model.safetensors")
    assert one.keys() == two.keys()
    for key, tensor in one.items():
        assert (two[key] - tensor).norm() <= 1e-5 * tensor.norm(), key
    assert all(tensor.any() for tensor in one.values())
    assert name != "full" or any(not torch.equal(one[key], before[key]) for key in one if key in before)
    for mine, theirs in zip(log(folder / f"{name}-1"), log(folder / f"{name}-2"), strict=True):
        assert mine.keys() == theirs.keys()
        shared = [key for key in mine if key in LOGGED]
        assert [mine[key] for key in shared] == pytest.approx([theirs[key] for key in shared], rel=1e-4)
    first, second = said(folder, name)
    assert not second and any(f"effective batch {settings.training.effective_batch}" in line for line in first)


def test_an_adapter_trained_further_by_one_by_two_and_by_two_that_spread_it_is_the_same(folder: Path) -> None:
    run(FinetuneSettings.model_validate(settings_of(folder, "further-1", further(folder))), say=lambda _: None)
    one, start = weights(folder / "further-1"), weights(folder / "lora-2")
    assert any(not torch.equal(one[key], start[key]) for key in one)
    for other in (weights(folder / "further-2"), weights(folder / "spread-further")):
        for key, tensor in one.items():
            assert (other[key] - tensor).norm() <= 1e-5 * tensor.norm(), key


def test_a_ctrl_c_told_to_one_process_stops_both_and_the_run_goes_on_bit_for_bit(folder: Path) -> None:
    for lines in said(folder, "stopped"):
        assert "Stopped at step 3 of 5" in lines[-1] and "checkpoint-3. The same command goes on" in lines[-1]
    assert any("Going on from" in line for line in said(folder, "resumed")[0])
    whole, resumed = weights(folder / "lora-2"), weights(folder / "stopped")
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    assert not list((folder / "stopped" / "checkpoints").glob(".unfinished*"))


def test_a_loss_that_is_no_number_stops_both(folder: Path) -> None:
    for lines in said(folder, "nan"):
        assert "in step 2; the run was stopped" in lines[-1]


def test_two_processes_answer_what_one_does_byte_for_byte(folder: Path) -> None:
    alone, shared = folder / "alone", folder / "shared"
    assert (alone / "predictions.jsonl").read_bytes() == (shared / "predictions.jsonl").read_bytes()
    assert (alone / "samples.jsonl").read_bytes() == (shared / "samples.jsonl").read_bytes()
    assert not list(shared.glob(".*"))


def test_an_error_of_one_process_is_told_once_and_ends_all(folder: Path) -> None:
    told = [line for line in (folder / "errors.txt").read_text().splitlines() if line.startswith("Error: ")]
    assert len(told) == 1 and json.loads((folder / "last_image.json").read_text()) in told[0]
    assert not (folder / "failed" / "predictions.jsonl").exists()
    kept = list((folder / "failed").glob(".predictions.*.1-of-2.unfinished.jsonl"))
    assert len(kept) == 1, "the first process's answers are kept"


def test_weights_spread_by_the_shipped_fsdp_file_learn_the_same(folder: Path) -> None:
    assert (folder / "spread" / "checkpoints" / "checkpoint-5" / "pytorch_model_fsdp.bin").is_file(), "it was spread"
    assert {path.suffix for path in (folder / "spread" / "adapter").iterdir()} <= {".json", ".safetensors", ".md"}
    whole, spread = weights(folder / "lora-2"), weights(folder / "spread")
    assert whole.keys() == spread.keys()
    for key, tensor in whole.items():
        assert (spread[key] - tensor).norm() <= 1e-5 * tensor.norm(), key
