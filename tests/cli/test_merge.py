"""`grounding merge` from a run's result, one of its checkpoints and a bare adapter; what is written and refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from benchmarks.checkpoints import SMALL, write_random_checkpoint
from grounding.cli.main import group
from grounding.cli.merge import _bytes
from grounding.errors import InputError
from grounding.models.adapter_notes import notes_of, write_notes
from grounding.models.cogvlm.resolution import POSITIONS
from grounding.models.loading import load_model
from grounding.pocket.scenes import draw_scenes
from grounding.samples import Manifest, Sample, write_manifest, write_samples
from grounding.settings import FinetuneSettings, settings_yaml
from grounding.text import write_boxes
from grounding.training.run_folder import run_of
from grounding.tuning.adapters import save_adapter


def grounding(*words: object) -> Result:
    return CliRunner().invoke(group, [*map(str, words)])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "model"
    # In float32, where merging does not move the answers of a net of random weights, which are all close calls.
    values = SMALL | {"vocab_size": 400, "initializer_range": 0.1}
    write_random_checkpoint(folder, values, dtype=torch.float32, shard_bytes=200_000)
    return folder


@pytest.fixture(scope="module")
def run_folder(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two QLoRA steps."""
    folder = tmp_path_factory.mktemp("run")
    (scene,) = draw_scenes(1, seed=0, size_wh=(40, 30), objects=(1, 1))
    scene.image.save(folder / "0.png")
    picture: dict[str, Any] = {"image": "0.png", "width": 40, "height": 30}
    box = [4.0, 3.0, 20.0, 15.0]
    label = write_boxes([box], (40, 30)).text
    samples = [Sample(id=str(number), prompt="Where?", label=label, boxes=[box], **picture) for number in range(4)]
    write_samples(folder / "train.jsonl", samples)
    write_manifest(folder / "manifest.json", Manifest(image_root="."))
    settings = FinetuneSettings.model_validate(
        {
            "output": str(folder / "out"),
            "model": {"path": str(base), "quantization": "nf4", "dtype": "float32", "device": "cpu"},
            "tuning": {"rank": 4, "alpha": 64},
            "data": {"train": str(folder / "train.jsonl")},
            "training": {"effective_batch": 2, "epochs": 1, "workers": 0, "learning_rate": 0.05},
            "evaluation": {"every": 1},
        }
    )
    (folder / "mine.yaml").write_text(settings_yaml(settings))
    result = grounding("finetune", folder / "mine.yaml")
    assert result.exit_code == 0, result.stderr
    assert "Quantised: 20 of" in result.stdout
    return folder / "out"


def test_after_qlora_the_base_is_dequantised_and_answers_stay(run_folder: Path, base: Path, tmp_path: Path) -> None:
    out = tmp_path / "merged"
    result = grounding("merge", run_folder, "--out", out, "--shard-size", "200kB", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert "rounded to nf4 and dequantised" in result.stdout and "16 matrices merged" in result.stdout
    assert "3 of 3 are the same" in result.stdout
    config = json.loads((out / "config.json").read_text())
    about = config["grounding_merge"]
    assert about["base"] == "dequantised" and about["quantization"] == "nf4" and not about["quantized_tower"]
    assert 0 < about["largest_relative_difference"] < 1e-5
    assert (config["architectures"], config["torch_dtype"]) == (["CogVLMForCausalLM"], "float32")
    index = json.loads((out / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 2
    assert grounding("check", out).exit_code == 0
    assert load_model(out, device="cpu").model.config.grounding_merge == about
    assert sorted(file.name for file in tmp_path.iterdir()) == ["merged"]  # no half-written folder beside it
    rights = {file.stat().st_mode & 0o777 for file in (*out.iterdir(), *(run_folder / "adapter").iterdir())}
    assert len(rights) == 1, "weights are as readable as what lies beside them"


def test_a_checkpoint_of_the_run_onto_the_original_base(run_folder: Path, tmp_path: Path) -> None:
    first, last = (run_folder / "checkpoints" / f"checkpoint-{step}" for step in (1, 2))
    for number, step in enumerate((first, last)):
        words = ["--out", tmp_path / str(number), "--base", "original", "--no-answers", "--device", "cpu"]
        result = grounding("merge", step, *words)
        assert result.exit_code == 0, result.stderr
        assert "as it is stored" in result.stdout and "Answers" not in result.stdout
        assert json.loads((tmp_path / str(number) / "config.json").read_text())["grounding_merge"]["base"] == "original"
    weights = [load_model(tmp_path / name, device="cpu").model.state_dict() for name in ("0", "1")]
    name = "model.layers.0.self_attn.language_expert_dense.weight"
    assert not weights[0][name].equal(weights[1][name])


def test_an_adapter_without_a_run(run_folder: Path, base: Path, tmp_path: Path) -> None:
    loaded = load_model(base, device="cpu", adapter=run_folder / "adapter")
    save_adapter(loaded.model, tmp_path / "deep" / "er" / "alone")  # type: ignore[arg-type]
    alone = tmp_path / "deep" / "er" / "alone"
    out = tmp_path / "merged"
    assert grounding("merge", alone, "--out", out, "--no-answers", "--device", "cpu").exit_code == 0
    assert json.loads((out / "config.json").read_text())["grounding_merge"]["base"] == "original"
    settings = alone / "adapter_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"base_model_name_or_path": None}))
    other = ["--out", tmp_path / "other", "--no-answers"]
    result = grounding("merge", alone, *other)
    assert result.exit_code == 2 and "Give --model" in result.stderr
    result = grounding("merge", alone, *other, "--model", base, "--base", "dequantised")
    assert result.exit_code == 2 and "Give --quantization" in result.stderr
    result = grounding("merge", alone, *other, "--model", base, "--quantization", "int8", "--device", "cpu")
    assert result.exit_code == 0 and "rounded to int8" in result.stdout


def test_an_adapter_elsewhere_says_itself_how_its_base_was_quantised(run_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(run_folder / "adapter", tmp_path / "adapter")
    words = ["--no-answers", "--device", "cpu"]
    result = grounding("merge", tmp_path / "adapter", "--out", tmp_path / "merged", *words)
    assert result.exit_code == 0 and "rounded to nf4 and dequantised" in result.stdout
    result = grounding("merge", tmp_path / "adapter", "--out", tmp_path / "8", *words, "--quantization", "int8")
    assert result.exit_code == 2 and "was trained with nf4" in result.stderr
    result = grounding("merge", tmp_path / "adapter", "--out", tmp_path / "plain", *words, "--base", "original")
    assert result.exit_code == 0 and "as it is stored" in result.stdout and "Warning" not in result.stderr


def test_only_a_run_folder_speaks_for_its_adapter(run_folder: Path, tmp_path: Path) -> None:
    words = ["--no-answers", "--device", "cpu"]
    shutil.copytree(run_folder / "adapter", tmp_path / "adapter")
    for number, text in enumerate(("output: [", "theme: dark\n", (run_folder / "settings.yaml").read_text())):
        (tmp_path / "settings.yaml").write_text(text)
        result = grounding("merge", tmp_path / "adapter", "--out", tmp_path / str(number), *words)
        assert result.exit_code == 0 and "Warning" not in result.stderr, result.stderr
        assert run_of(tmp_path / "adapter") is None
    moved = tmp_path / "moved"
    shutil.copytree(run_folder, moved)
    for result_of_it in (moved / "adapter", moved / "checkpoints" / "checkpoint-1"):
        run = run_of(result_of_it)
        assert run is not None and run.root == moved
    (moved / "settings.yaml").write_text("output: [")
    result = grounding("merge", moved, "--out", tmp_path / "merged", *words)
    assert result.exit_code == 0 and "rounded to nf4" in result.stdout
    assert "Warning: the run's settings are left aside." in result.stderr and "is not YAML" in result.stderr


def test_an_adapter_of_another_image_size(run_folder: Path, base: Path, tmp_path: Path) -> None:
    shutil.copytree(run_folder / "adapter", tmp_path / "adapter")
    write_notes(tmp_path / "adapter", notes_of(42, str(base)))
    out = tmp_path / "merged"
    words = ["--out", out, "--model", base, "--device", "cpu", "--shard-size", "200kB"]
    result = grounding("merge", tmp_path / "adapter", *words)
    assert result.exit_code == 0, result.stderr
    assert "3 of 3 are the same" in result.stdout and "Warning" not in result.stderr
    merged = load_model(out, device="cpu")
    assert merged.processor.image_size == 42
    before = load_model(base, device="cpu", adapter=tmp_path / "adapter").model.get_base_model()
    assert torch.equal(merged.model.state_dict()[POSITIONS], before.state_dict()[POSITIONS])
    assert grounding("check", out).exit_code == 0


def test_an_adapter_of_another_base_is_merged_with_a_warning(run_folder: Path, tmp_path: Path) -> None:
    values = SMALL | {"vocab_size": 400, "initializer_range": 0.1}
    write_random_checkpoint(tmp_path / "other", values, dtype=torch.float32, seed=1)
    words = ["--model", tmp_path / "other", "--out", tmp_path / "merged", "--no-answers", "--device", "cpu"]
    result = grounding("merge", run_folder, *words)
    assert result.exit_code == 0 and "Warning: The adapter was trained on other weights" in result.stderr


def test_what_is_refused(run_folder: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "merged"

    def refuse(message: str, *words: object, status: int = 2) -> None:
        result = grounding("merge", *words)
        assert result.exit_code == status and message in result.stderr, result.stderr

    refuse("exists already", run_folder, "--out", base)
    refuse("nothing is to be merged", base, "--out", out)
    refuse("no PEFT adapter", tmp_path, "--out", out)
    refuse("was trained with nf4", run_folder, "--out", out, "--quantization", "int8")
    refuse("is no size", run_folder, "--out", out, "--shard-size", "big")
    refuse("dequantised: as it was rounded in QLoRA", run_folder, "--out", out, "--base", base)
    refuse("original: as it is stored", run_folder, "--out", out, "--base", base)
    refuse("is no device", run_folder, "--out", out, "--device", "gpu9")
    refuse("torch sees", run_folder, "--out", out, "--device", "cuda:99")
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Disk", (), {"free": 10})())
    refuse("0.0 GiB are free", run_folder, "--out", out, status=1)
    assert not out.exists() and not list(tmp_path.iterdir())


def test_answers_are_compared_only_where_they_fit(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grounding.cli.merge.free_memory", lambda _: 0)
    result = grounding("merge", run_folder, "--out", tmp_path / "merged", "--device", "cpu")
    assert result.exit_code == 0 and "Answers were not compared: that takes 0.0 GiB" in result.stdout


def test_sizes() -> None:
    assert [_bytes(size) for size in ("4GiB", "500 MB", "2e9", "1.5kib")] == [4 * 2**30, 500_000_000, 2 * 10**9, 1536]
    for size in ("", "0", "-1GB", "4 parsecs"):
        with pytest.raises(InputError, match="is no size"):
            _bytes(size)
