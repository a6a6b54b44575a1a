"""Runs of other kinds (LoRA in bfloat16, quantised, checkpointed, mixed datasets), and what a run refuses at once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor

from grounding.errors import InputError, ManyErrors, RunError
from grounding.models.loading import load_model
from grounding.samples import Sample, read_samples, write_samples
from grounding.settings import read_settings
from grounding.training.build import accumulation, make_model, make_trainable
from grounding.training.run import run
from grounding.training.run_folder import RunFolder, disk_errors
from grounding.tuning.targets import target_modules
from tests.training.conftest import MakeSettings, lora


def quiet(_: str) -> None:
    """For runs whose words are not looked at."""


def log_losses(folder: str) -> list[float]:
    entries = [json.loads(line) for line in (Path(folder) / "train_log.jsonl").read_text().splitlines()]
    return [entry["loss"] for entry in entries if "loss" in entry]


@pytest.mark.parametrize("targets", ["both", "published"])
def test_lora_in_bfloat16_learns_and_its_adapter_fits_the_base(
    make_settings: MakeSettings, base: Path, targets: str
) -> None:
    changes = lora(base, dtype="bfloat16")
    changes["tuning"] |= {"targets": targets}
    said: list[str] = []
    settings = make_settings(**changes, training={"learning_rate": 1e-2, "epochs": 6})
    found = run(settings, say=said.append)
    curve = log_losses(settings.output)
    assert curve[-1] < curve[0]
    stored = load_file(found.result / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float32}
    loaded = load_model(base, adapter=found.result, device="cpu", dtype="float32")
    assert isinstance(loaded.model, PeftModel)
    adapted = {name.removeprefix("base_model.model.").rpartition(".lora_A")[0] for name in stored if "lora_A" in name}
    assert adapted == set(target_modules(load_model(base, device="cpu").model, targets).lora)
    assert any(f"LoRA of rank 4 on '{targets}'" in line for line in said)


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_lora_on_quantised_weights_learns(make_settings: MakeSettings, base: Path, quantization: str) -> None:
    settings = make_settings(
        **lora(base, quantization=quantization), data={"val": None}, training={"learning_rate": 1e-2, "epochs": 6}
    )
    run(settings, say=quiet)
    curve = log_losses(settings.output)
    assert curve[-1] < curve[0]


def test_a_run_at_another_image_size_keeps_it_with_its_adapter(make_settings: MakeSettings, base: Path) -> None:
    said: list[str] = []
    settings = make_settings(**lora(base, image_size=56), training={"max_steps": 1})
    found = run(settings, say=said.append)
    assert any("Tokens: 18 an image" in line for line in said)
    loaded = load_model(base, adapter=found.result, device="cpu")
    assert loaded.processor.image_size == 56 and loaded.warnings == ()
    assert read_settings(Path(settings.output) / "settings.yaml").training.pack_tokens == 2048
    checkpoint = Path(settings.output) / "checkpoints" / "checkpoint-1"
    assert load_model(base, adapter=checkpoint, device="cpu").processor.image_size == 56


@pytest.mark.parametrize("method", ["lora", "full"])
def test_interpolated_positions_learn_only_where_all_weights_do(
    make_settings: MakeSettings, base: Path, method: str
) -> None:
    changes = lora(base, image_size=56, dtype="bfloat16")
    settings = make_settings(**(changes if method == "lora" else {"model": changes["model"]}))
    model = make_trainable(make_model(settings, [], None)[0], settings)
    (positions,) = [one for name, one in model.named_parameters() if name.endswith("position_embedding.weight")]
    assert positions.requires_grad == (method == "full") and len(positions) == 17
    assert positions.dtype == (torch.float32 if method == "full" else torch.bfloat16)


def test_quantised_training_keeps_tower_embeddings_and_head_in_bfloat16(
    make_settings: MakeSettings, base: Path
) -> None:
    """PEFT's preparation for k-bit training would make them float32: 8.7 GiB more on the published model."""
    settings = make_settings(**lora(base, quantization="nf4", dtype="bfloat16"))
    model = make_trainable(make_model(settings, [], None)[0], settings)
    seen = {"lora_": 0, "vision.": 0, "embed_tokens": 0, "lm_head": 0, "norm": 0}
    for name, parameter in model.named_parameters():
        for part in seen:
            seen[part] += part in name
        if parameter.dtype != torch.uint8:  # four bits, two in a byte
            assert parameter.dtype == (torch.float32 if "lora_" in name else torch.bfloat16), name
            assert parameter.requires_grad == ("lora_" in name), name
    assert all(seen.values()), seen


def gradients(make_settings: MakeSettings, checkpointing: bool) -> dict[str, Tensor]:
    settings = make_settings(training={"gradient_checkpointing": checkpointing})
    from grounding.training.collate import collator
    from grounding.training.dataset import SampleDataset, read_sources

    data = read_sources(settings.data.train, flatten=False)
    model, processor = make_model(settings, data, None)
    make_trainable(model, settings).train()
    dataset = SampleDataset(data[0].samples, data[0].image_root, processor)
    (batch,) = collator(processor, pack_tokens=2048)([dataset[index] for index in (0, 6, 1)])
    batch.pop("tasks")
    model(**batch).loss.backward()
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


def test_gradient_checkpointing_changes_no_gradient(make_settings: MakeSettings) -> None:
    plain, checkpointed = (gradients(make_settings, on) for on in (False, True))
    assert plain.keys() == checkpointed.keys()
    for name in plain:
        torch.testing.assert_close(plain[name], checkpointed[name])


def test_full_training_in_bfloat16_keeps_float32_weights(make_settings: MakeSettings) -> None:
    settings = make_settings(model={"dtype": "bfloat16"}, tuning={"freeze": ["embeddings"]}, training={"epochs": 6})
    found = run(settings, say=quiet)
    curve = log_losses(settings.output)
    assert curve[-1] < curve[0]
    stored = load_file(found.result / "model.safetensors")
    assert stored["lm_head.weight"].dtype == torch.float32
    start, _ = make_model(settings, [], Path(found.result))
    assert torch.equal(stored["model.embed_tokens.weight"], start.state_dict()["model.embed_tokens.weight"])
    assert not torch.equal(stored["lm_head.weight"], start.state_dict()["lm_head.weight"])


def test_two_datasets_mix_by_their_shares(make_settings: MakeSettings, scenes: Path) -> None:
    said: list[str] = []
    sources = [
        {"path": str(scenes / "train.jsonl"), "share": 0.8},
        {"path": str(scenes / "other.jsonl"), "share": 0.2},
    ]
    settings = make_settings(data={"train": sources}, training={"epochs": 1, "effective_batch": 5, "micro_batch": 5})
    found = run(settings, say=said.append)
    assert found.steps == 2
    assert any("an epoch of 10 prompts (8 + 2)" in line for line in said)


def test_the_data_are_refused_before_anything_is_written(make_settings: MakeSettings, scenes: Path) -> None:
    bad = scenes / "bad.jsonl"
    samples = read_samples(scenes / "train.jsonl")
    write_samples(bad, [_with_label(samples[0], "[[1]]"), *samples[1:]])
    settings = make_settings(data={"train": str(bad)})
    with pytest.raises(ManyErrors, match="These samples cannot be trained"):
        run(settings, say=quiet)
    assert not Path(settings.output).exists()


def test_the_same_data_twice_are_looked_at_once_and_told_as_seen(make_settings: MakeSettings, scenes: Path) -> None:
    said: list[str] = []
    train = str(scenes / "train.jsonl")
    run(make_settings(data={"train": train, "val": train}, training={"max_steps": 1}), say=said.append)
    assert any("8 to evaluate on" in line and "; 2 of all have no image" in line for line in said)
    (warning,) = [line for line in said if line.startswith("Warning")]
    assert "8 of the 8 samples of data.val and 3 of its 3 images are trained on too" in warning
    bad = scenes / "bad.jsonl"
    samples = read_samples(scenes / "train.jsonl")
    write_samples(bad, [_with_label(samples[0], "[[1]]"), *samples[1:]])
    with pytest.raises(ManyErrors) as caught:
        run(make_settings(output=train + "-bad", data={"train": str(bad), "val": str(bad)}), say=quiet)
    assert len(caught.value.problems) == 1


def _with_label(sample: Sample, label: str) -> Sample:
    fields = {name: getattr(sample, name) for name in sample.__struct_fields__}
    return Sample(**(fields | {"label": label}))


def test_a_folder_with_other_things_is_left_alone(make_settings: MakeSettings) -> None:
    settings = make_settings()
    folder = Path(settings.output)
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="no run folder"):
        run(settings, say=quiet)
    shutil.rmtree(folder)
    folder.write_text("a file")
    with pytest.raises(InputError, match="is a file"):
        run(settings, say=quiet)


def test_a_run_with_other_settings_is_left_alone(make_settings: MakeSettings) -> None:
    run(make_settings(training={"max_steps": 1}), say=quiet)
    with pytest.raises(ManyErrors, match=r"max_steps: 1 -> 2") as caught:
        run(make_settings(training={"max_steps": 2, "seed": 7, "micro_batch": 4}), say=quiet)
    assert caught.value.problems == ["training.max_steps: 1 -> 2", "training.seed: 0 -> 7"]
    assert "another `output` and model.path=" in str(caught.value) and "run/model (without" in str(caught.value)
    with pytest.raises(ManyErrors) as caught:
        run(make_settings(training={"max_steps": 1, "seed": 7}), say=quiet)
    assert "made longer" not in str(caught.value)


@pytest.mark.parametrize(("processes", "steps"), [(1, 8), (2, 4), (8, 1)])
def test_accumulation_fills_the_effective_batch(make_settings: MakeSettings, processes: int, steps: int) -> None:
    settings = make_settings(training={"effective_batch": 16, "micro_batch": 2})
    assert accumulation(settings, processes) == steps


def test_processes_that_do_not_divide_the_batch_are_refused(make_settings: MakeSettings) -> None:
    with pytest.raises(InputError, match="2 prompts in each of 3 processes"):
        accumulation(make_settings(), 3)


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("PytorchStreamWriter failed writing file")]
)
def test_a_full_disk_leaves_earlier_checkpoints_and_no_half_one(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    settings = make_settings(evaluation={"every": 1})
    original, calls = torch.save, []

    def save(*args: Any, **kwargs: Any) -> None:
        calls.append(args[1])
        if len(calls) == 5:  # some file of the second checkpoint
            raise error
        original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", save)
        with pytest.raises(RunError, match=r"checkpoint-\d: could not be written.*go on from the last one"):
            run(settings, say=quiet)
    kept = sorted(path.name for path in (Path(settings.output) / "checkpoints").iterdir())
    assert kept == ["checkpoint-1"]
    assert run(settings, say=quiet).steps == 6


def test_errors_that_are_not_the_disks_pass_through(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shapes"), disk_errors(tmp_path):
        raise RuntimeError("shapes")


def test_unfinished_checkpoints_are_not_seen(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "lora")
    assert folder.last_checkpoint() is None
    for name in (".unfinished/checkpoint-30", "checkpoint-9", "checkpoint-20", "checkpoint-x"):
        (folder.checkpoints / name).mkdir(parents=True)
    assert folder.last_checkpoint() == folder.checkpoint(20)
    folder.prune(keep=1, best=9)
    assert folder.checkpoint(9).is_dir()
    folder.prune(keep=1, best=20)
    assert not folder.checkpoint(9).exists() and folder.checkpoint(20).is_dir()


def test_a_checkpoint_from_the_hub_is_pinned_in_the_saved_settings(
    make_settings: MakeSettings, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = {"newest": "a" * 40}

    def download(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        assert name == "owner/name" and "*.safetensors" in allow_patterns
        folder = tmp_path / "cache" / "snapshots" / (revision or commits["newest"])
        shutil.copytree(base, folder, dirs_exist_ok=True)
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    settings = make_settings(**lora(Path("owner/name")), training={"max_steps": 2})
    run(settings, say=quiet)
    saved = read_settings(Path(settings.output) / "settings.yaml")
    assert saved.model.revision == "a" * 40 and saved.model.path == "owner/name"
    commits["newest"] = "b" * 40
    shutil.rmtree(Path(settings.output) / "adapter")
    run(settings, say=quiet)  # goes on with the commit that it began with
    assert read_settings(Path(settings.output) / "settings.yaml").model.revision == "a" * 40
    assert not (tmp_path / "cache" / "snapshots" / ("b" * 40)).exists()
    with pytest.raises(ManyErrors, match=r"model\.revision: 'a+' -> 'cc'"):
        run(settings.model_copy(update={"model": settings.model.model_copy(update={"revision": "cc"})}), say=quiet)
