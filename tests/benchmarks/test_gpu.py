"""The way that `benchmarks/gpu.py` takes on a GPU, walked by a small network on the CPU; the count of operations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import gpu
from benchmarks.checkpoints import SMALL
from benchmarks.flops import Row, step_flops
from benchmarks.shared_prefix_training import LABELS, TEXT
from grounding.errors import InputError
from grounding.models.cogvlm import CogVLMConfig
from grounding.training.plan import GIB

CPU = torch.device("cpu")


@pytest.fixture
def config() -> CogVLMConfig:
    return CogVLMConfig(**SMALL, vocab_size=500)


@pytest.mark.parametrize("prompts", [1, 3])
def test_matrix_products_are_those_that_torch_counts(config: CogVLMConfig, prompts: int) -> None:
    work = gpu.LoraStep(config, CPU, "bf16", checkpointed=False)
    batch = work.batch(prompts)
    with FlopCounterMode(display=False) as counter:
        work(batch)
    counts = {str(kind): count for kind, count in counter.get_flop_counts()["Global"].items()}
    products = sum(count for kind, count in counts.items() if "attention" not in kind)
    rank = work.settings.tuning.rank
    assert step_flops(config, Row(prompts, TEXT, LABELS), rank).matrices == products


def test_attention_is_over_what_is_seen() -> None:
    """By hand: prefixes of 4 + 3 tokens, two branches of 2 tokens that go in, the last layer's prefix left out."""
    config = CogVLMConfig(**SMALL)
    seen = [sum(range(1, 8)), sum([8, 9, 8, 9])]
    decoder = (
        3 * 4 * config.hidden_size * (seen[0] * (config.num_hidden_layers - 1) + seen[1] * config.num_hidden_layers)
    )
    tower = 4 * config.vision.hidden_size * config.vision.num_hidden_layers * 25
    assert step_flops(config, Row(2, 3, 1), 16).attention == decoder + tower


def test_a_published_step_is_tens_of_teraflops() -> None:
    """6.5 billion parameters a text token, 6.3 an image token, 2 forward and 2 backward: 45 for 8 prompts, and the
    tower's 4.4 billion, forward alone: 11; a few more for attention and adapters."""
    flops = step_flops(CogVLMConfig(rms_norm_eps=1e-5), Row(8, 64, 32), 16)
    assert 50e12 < flops.total < 62e12
    assert flops.attention < 0.05 * flops.total


@pytest.mark.parametrize("most", [0, 1, 2, 7, 8, 37])
def test_the_largest_that_fits(most: int) -> None:
    assert gpu.largest(lambda count: count <= most) == most


def test_memory_is_measured_and_planned(config: CogVLMConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "KINDS", {kind: gpu.KINDS[kind] for kind in ("nf4", "bf16")})
    skipped: dict[str, str] = {}
    card = gpu.LoraStep(config, CPU, "nf4").memory(3)
    results = gpu.measure_memory(config, CPU, skipped, card=card)
    assert results["nf4, the most prompts"]["prompts"] == 3 and not skipped
    assert results["nf4, the most prompts"]["measured_gib"] == pytest.approx(card / GIB)
    assert results["nf4, 8 prompts"]["measured_gib"] < results["bf16, 8 prompts"]["measured_gib"]
    for kind in ("nf4", "bf16"):  # the plan knows rows, not branches, whose keys are put together once more
        assert results[f"{kind}, 8 prompts"]["planned_over_measured"] == pytest.approx(1, abs=0.15)


def test_a_card_without_room_is_said(config: CogVLMConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "KINDS", {"nf4": ("nf4", False)})
    skipped: dict[str, str] = {}
    results = gpu.measure_memory(config, CPU, skipped, card=1000)
    assert "nf4, 8 prompts" in results and "nf4, the most prompts" not in results
    assert skipped["nf4, the most prompts"] == "not one prompt fits 0.0 GiB"


def none_here(kind: str, place: torch.device) -> None:
    """In place of a check that finds no bitsandbytes."""
    raise InputError("nf4 needs bitsandbytes, which is not here")


def test_every_part_writes_its_table_and_says_what_it_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.timing.RESULTS", tmp_path)
    monkeypatch.setattr(gpu, "check_backend", none_here)
    monkeypatch.setattr(gpu, "PROMPTS", (1, 2))
    monkeypatch.setattr(gpu, "ROUNDS", 1)
    done = CliRunner().invoke(gpu.main, ["--small", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert "left out: nf4 with the tower: nf4 needs bitsandbytes" in done.output
    written = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert list(written["gpu_memory"]["results"]) == ["bf16, 8 prompts"]
    hows = ("checkpointed", "activations kept")
    steps = written["gpu_step"]["results"]
    assert set(steps) == {f"bf16, {how}, {prompts} prompts" for how in hows for prompts in (1, 2)}
    assert all(0 < row["of_the_ceiling"] < 1 for row in steps.values())
    answers = written["gpu_answers"]["results"]
    assert set(answers) == {f"bf16, {prompts} prompts, {way}" for prompts in (1, 2) for way in ("one by one", "shared")}
    assert all("bitsandbytes" in str(document["settings"]["left_out"]) for document in written.values())


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    done = CliRunner().invoke(gpu.main, ["memory"])
    assert done.exit_code == 2 and "torch sees 0 GPUs" in done.output
