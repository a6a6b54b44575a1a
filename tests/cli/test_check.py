"""`grounding check`: what a whole checkpoint is said to be, and everything that is told of a damaged or foreign one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file

from benchmarks.checkpoints import SMALL, write_random_checkpoint
from grounding.cli.main import group
from grounding.models.checkpoint import compare_tensors, expected_tensors
from grounding.models.cogvlm import CogVLMConfig

DECODER = "model.layers"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Some shards of random weights in bfloat16."""
    write_random_checkpoint(tmp_path / "model", SMALL | {"vocab_size": 400}, shard_bytes=100_000)
    return tmp_path / "model"


def check(*words: object) -> Result:
    return CliRunner().invoke(group, ["check", *map(str, words)])


def change(folder: Path, edit: Callable[[dict[str, torch.Tensor]], Any], shard: int = 0) -> Path:
    file = sorted(folder.glob("*.safetensors"))[shard]
    tensors = load_file(file)
    edit(tensors)
    save_file(tensors, file)
    return file


def test_a_whole_checkpoint(folder: Path) -> None:
    result = check(folder)
    assert result.exit_code == 0, result.stderr
    shards = len(list(folder.glob("*.safetensors")))
    assert shards > 2
    count = 13 * 2 + 12 * 2 + 15
    assert f"Tensors: {count} found, {count} in the architecture, 2 inv_freq buffers; {count} BF16" in result.stdout
    assert f"in {shards} files" in result.stdout and "it will load" in result.stdout
    assert "hidden_size 64" in result.stdout and "vision_config.image_size 28" in result.stdout
    assert "pieces of 400" in result.stdout


def test_the_published_architecture(tmp_path: Path) -> None:
    """1187 tensors; a folder of which only the headers are right is told to lack all of them."""
    config = CogVLMConfig(rms_norm_eps=1e-5, architectures=["CogVLMForCausalLM"])
    config.save_pretrained(tmp_path)
    save_file({"model.norm.weight": torch.zeros(4096)}, tmp_path / "model.safetensors")
    result = check(tmp_path)
    assert result.exit_code == 2
    assert "17,639,685,376 parameters" in result.stdout and "Other than" not in result.stdout
    assert "1 found, 1,187 in the architecture, no inv_freq buffers" in result.stdout
    assert "1,154 tensors are missing" in result.stderr
    assert f"{DECODER}.{{0-31}}.self_attn.vision_expert_query_key_value.weight" in result.stderr
    assert "no tokenizer.json and no tokenizer.model" in result.stderr
    assert len(expected_tensors(config)) == 1187


def test_frequencies_may_be_absent(folder: Path) -> None:
    for shard in range(len(list(folder.glob("*.safetensors")))):
        change(folder, lambda tensors: [tensors.pop(name) for name in list(tensors) if "inv_freq" in name], shard)
    result = check(folder)
    assert result.exit_code == 0 and "no inv_freq buffers (they may be absent)" in result.stdout


def test_everything_that_differs_is_told_at_once(folder: Path) -> None:
    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.embed_tokens.weight"] = torch.ones(3)
        tensors |= {f"model.layers.{layer}.extra": torch.ones(1) for layer in (0, 1, 7)}
        tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.full((8,), 0.5)

    change(folder, spoil)
    last = sorted(folder.glob("*.safetensors"))[-1]
    lost = [name for name in load_file(last) if not name.endswith(".inv_freq")]
    last.write_bytes(last.read_bytes()[:-7])
    (folder / "tokenizer.json").unlink()
    result = check(folder)
    assert result.exit_code == 2
    assert "inv_freq buffer" in result.stdout and " MiB in " in result.stdout
    assert "tensors are missing" not in result.stderr  # they follow from the file that cannot be read
    for part in (
        f"{last.name} cannot be read",
        f"so {len(lost)} of the tensors it should hold were not looked for: copy or download this file again",
        "unknown to CogVLM: model.layers.{0-1,7}.extra",
        "model.embed_tokens.weight [3] instead of [400, 64]",
        "inv_freq holds other rope frequencies",
        "no tokenizer.json and no tokenizer.model",
    ):
        assert part in result.stderr, part


def test_one_file_that_cannot_be_read(tmp_path: Path) -> None:
    write_random_checkpoint(tmp_path / "model", SMALL | {"vocab_size": 400})
    file = tmp_path / "model" / "model.safetensors"
    assert "MiB in 1 file\n" in check(tmp_path / "model").stdout
    file.write_bytes(file.read_bytes()[:-7])
    result = check(tmp_path / "model")
    count = 13 * 2 + 12 * 2 + 15
    assert f"Tensors: none could be read of {count} in the architecture, in 1 file\n" in result.stdout
    assert f"so {count - 2} of the tensors it should hold were not looked for" in result.stderr
    assert "missing" not in result.stderr


def test_a_tensor_in_two_shards_and_a_shard_that_is_absent(folder: Path) -> None:
    names = [set(load_file(file)) for file in sorted(folder.glob("*.safetensors"))]
    twice = sorted(names[1])[0]
    file = change(folder, lambda tensors: tensors.update({twice: torch.ones(1)}), 2)
    assert f"{file.name} holds {twice} a second time" in check(folder).stderr
    file.unlink()
    assert f"weight files are missing: {file.name}" in check(folder).stderr


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("model.layers.0.cross_attn.dense.weight", "CogAgent"),
        ("model.layers.0.self_attn.vision_expert_query_key_value.bias", "CogVLM2"),
    ],
)
def test_weights_of_a_sister_are_named(folder: Path, name: str, kind: str) -> None:
    change(folder, lambda tensors: tensors.update({name: torch.ones(2)}))
    message = check(folder).stderr
    assert f"these are weights of {kind}" in message and name in message


def test_a_config_of_something_else_stops_it(folder: Path) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"num_multi_query_heads": 2}))
    result = check(folder)
    assert result.exit_code == 2 and "CogVLM2" in result.stderr


def test_a_tokenizer_with_too_many_pieces(folder: Path, tmp_path: Path) -> None:
    write_random_checkpoint(tmp_path / "small", SMALL | {"vocab_size": 310})
    result = check(tmp_path / "small")
    assert result.exit_code == 2 and "only 310" in result.stderr
    assert check(tmp_path / "small", "--tokenizer", tmp_path / "nowhere").exit_code == 2


def test_a_comparison_counts(folder: Path) -> None:
    config = CogVLMConfig.from_pretrained(folder)
    found = compare_tensors(folder, config)
    assert found.problems == [] and found.found == found.expected and found.frequencies == 2
    assert found.size == sum(file.stat().st_size for file in found.files) - sum(_header(file) for file in found.files)


def _header(file: Path) -> int:
    return 8 + int.from_bytes(file.read_bytes()[:8], "little")
