"""Loading goes straight to the final dtype: no second copy of the weights is ever in memory. And what is free of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.checkpoints import SMALL, write_random_checkpoint
from benchmarks.loading import tensors_of
from grounding.models.checkpoint import weight_files
from grounding.models.loading import load_model
from grounding.models.memory import free_memory

SHARD_BYTES = 8 * 1024**2
# 90 million parameters in 20 shards: enough that a copy would show beside what any process takes.
MIDDLE = SMALL | {"vocab_size": 400, "hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 6}


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sharded")
    write_random_checkpoint(folder, MIDDLE, shard_bytes=SHARD_BYTES)
    return folder


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="anonymous memory is read from /proc")
@pytest.mark.parametrize("kind", ["float32", "nf4"])
def test_the_peak_is_what_is_held(sharded: Path, repository: Path, kind: str) -> None:
    command = [sys.executable, "-m", "benchmarks.loading", "--checkpoint", str(sharded), "--inside", kind]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=repository)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["held_mib"] > 20
    # Some matrices are on their way at a time, in float32 while they are packed; a copy of all would be 172 MiB.
    matrix = 4 * MIDDLE["hidden_size"] * MIDDLE["intermediate_size"] / 2**20
    assert found["peak_mib"] <= 1.15 * found["held_mib"] + (8 * matrix if kind == "nf4" else 0)


def test_shards_are_as_large_as_asked_and_all_is_counted(sharded: Path) -> None:
    files = weight_files(sharded)
    assert len(files) > 10
    assert all(file.stat().st_size < SHARD_BYTES + 2**16 for file in files)
    model = load_model(sharded, device="cpu").model
    assert sum(tensor.nbytes for tensor in tensors_of(model)) == sum(one.nbytes for one in model.state_dict().values())


@pytest.mark.skipif(not Path("/proc/meminfo").is_file(), reason="free memory is read from /proc")
def test_what_is_free_is_a_part_of_what_there_is() -> None:
    assert 0 < free_memory(torch.device("cpu")) < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
