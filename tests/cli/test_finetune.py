"""`grounding finetune` from words to result: a tiny run, its help, its mistakes, and how answers are scored."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from grounding.cli.finetune import _base_options, make_evaluate
from grounding.cli.main import group
from grounding.cli.validation_kept import validation_kept
from grounding.errors import RunError
from grounding.inference.engine import Answer, Request
from grounding.models.cogvlm import CogVLMProcessor
from grounding.models.tokenizers import train_tokenizer
from grounding.samples import Dataset, Manifest, read_dataset, write_manifest, write_samples
from grounding.settings import read_settings, read_with_places, settings_yaml
from tests.training.conftest import ARCHITECTURE, scene_samples

CONFIG = Path(__file__).resolve().parent.parent.parent / "configs" / "tiny_cpu.yaml"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder with four samples."""
    folder = tmp_path_factory.mktemp("data")
    write_samples(folder / "train.jsonl", scene_samples(folder, 2))
    write_manifest(folder / "manifest.json", Manifest(image_root="."))
    return folder


def words(data: Path, out: Path, *more: str) -> list[str]:
    """A call that trains the shipped tiny configuration, made smaller still, on that data."""
    return [
        "finetune",
        str(CONFIG),
        f"output={out}",
        f"model.architecture={ARCHITECTURE}",
        f"data.train={data / 'train.jsonl'}",
        f"data.val={data / 'train.jsonl'}",
        "training.effective_batch=4",
        "training.micro_batch=4",
        "training.max_steps=2",
        "evaluation.max_new_tokens=3",
        *more,
    ]


def test_a_run_from_words_to_result(data: Path, tmp_path: Path) -> None:
    found = CliRunner().invoke(group, words(data, tmp_path / "run"))
    assert found.exit_code == 0, found.output
    assert "Trains " in found.stdout and "(100.00%)" in found.stdout
    assert f"Result: {tmp_path / 'run' / 'model'}, the weights of step 2 of 2." in found.stdout
    assert "grec_50" in found.stdout and "cut_off_rate 1" in found.stdout
    assert f"--model {tmp_path / 'run' / 'model'} --out" in found.stdout
    away = (data / "train.jsonl").rename(data / "away.jsonl")
    again = CliRunner().invoke(group, words(data, tmp_path / "run"))
    away.rename(data / "train.jsonl")
    assert again.exit_code == 0 and "through already" in again.stdout, "it needs nothing more"


def test_mistakes_are_told_at_once_and_exit_with_2(data: Path, tmp_path: Path) -> None:
    found = CliRunner().invoke(group, words(data, tmp_path / "run", "training.epocs=1", "tuning.rank=0"))
    assert found.exit_code == 2
    assert "did you mean 'epochs'" in found.stderr and "tuning.rank = 0" in found.stderr
    assert not (tmp_path / "run").exists()
    found = CliRunner().invoke(group, ["finetune", str(tmp_path / "none.yaml")])
    assert found.exit_code == 2 and "no such file" in found.stderr


def test_a_folder_that_convert_made_is_taken_with_its_validation_data(data: Path, tmp_path: Path) -> None:
    write_samples(data / "val.jsonl", scene_samples(data, 1, seed=1, prefix="v"))
    config = tmp_path / "mine.yaml"
    lines = CONFIG.read_text(encoding="utf-8").splitlines(keepends=True)
    config.write_text("".join(line for line in lines if not line.startswith("  val:")), encoding="utf-8")
    call = [word for word in words(data, tmp_path / "run", f"data.train={data}") if not word.startswith("data.val")]
    found = CliRunner().invoke(group, [call[0], str(config), *call[2:]])
    assert found.exit_code == 0, found.output
    assert f"4 from {data / 'train.jsonl'}; 2 to evaluate on from {data / 'val.jsonl'}" in found.stdout
    kept = read_settings(tmp_path / "run" / "settings.yaml").data
    assert [one.path for one in kept.train] == [str(data / "train.jsonl")]
    assert kept.val is not None and kept.val.path == str(data / "val.jsonl")


def test_the_command_that_measures_loads_the_base_as_the_run_did() -> None:
    held = ["model.quantization=nf4", "model.quantize_tower=true", "model.rope_dtype=float32", "model.tokenizer=a b"]
    settings = read_settings(CONFIG.with_name("qlora_24gb.yaml"), ["model.path=m", *held])
    expected = "--model m --tokenizer 'a b' --quantization nf4 --quantize-tower --rope-dtype float32"
    assert _base_options(settings) == expected


def test_what_a_shipped_configuration_names_is_told_as_its_own(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = CONFIG.with_name("qlora_24gb.yaml")
    number = 1 + shipped.read_text(encoding="utf-8").splitlines().index("  val: data/mine/val.jsonl")
    found = CliRunner().invoke(group, ["finetune", str(shipped), f"data.train={data / 'train.jsonl'}"])
    assert found.exit_code == 2
    assert f"It is data.val in {shipped}:{number}; name another with data.val=PATH, or data.val=null" in found.stderr
    for folder in (
        "cogvlm-grounding-generalist-hf: this is no folder",
        "vicuna-7b-v1.5: this tokenizer does not exist",
    ):
        assert f"- models/{folder}" in found.stderr, "all at once, without a network"

    def refuse(*_: Any, **__: Any) -> str:
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    named = tmp_path / "named.yaml"
    named.write_text(shipped.read_text("utf-8").replace("path: models/", "path: THUDM/"), "utf-8")
    call = ["finetune", str(named), f"data.train={data}", "data.val=null", "model.tokenizer=null"]
    found = CliRunner().invoke(group, call)
    assert found.exit_code == 2 and "fetching that name from the hub failed (no network)" in found.stderr
    assert f"It is model.path in {named}:" in found.stderr


KEPT = [
    (["data.train=a.jsonl"], True),
    (["data.train=[a.jsonl, b.jsonl]"], True),
    (["data={train: a.jsonl, val: b.jsonl}"], False),
    (["data={train: a.jsonl}"], False),
    (["data.train=a.jsonl", "data.val=b.jsonl"], False),
    (["data.train=a.jsonl", "data.val.path=b.jsonl"], False),
    (["data.train=a.jsonl", "data.val=null"], False),
    (["training.epochs=1"], False),
]


@pytest.mark.parametrize(("words", "told"), KEPT)
def test_validation_data_that_stay_the_files_are_told(tmp_path: Path, words: list[str], told: bool) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("output: x\nmodel: {path: m}\ndata:\n  train: t.jsonl\n  val: {path: v.jsonl}\n")
    settings, source = read_with_places(config, words)
    note = validation_kept(settings, source)
    assert (note is not None) == told
    if note:
        assert f"evaluated on is still v.jsonl, from {config}:5. Name another with data.val=PATH" in note


def test_it_is_told_before_a_run_and_a_plan_and_where_they_are_not_there(data: Path, tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(
        f"output: {tmp_path / 'run'}\nmodel: {{architecture: {ARCHITECTURE}, tokenizer_size: 512, dtype: float32, "
        f"device: cpu}}\ntuning: {{method: full}}\ndata:\n  train: none.jsonl\n  val: {data / 'train.jsonl'}\n"
        "training: {effective_batch: 4, micro_batch: 4, max_steps: 1}\nevaluation: {samples: 0}\n"
    )
    told = f"evaluated on is still {data / 'train.jsonl'}, from {config}:6."
    found = CliRunner().invoke(group, ["finetune", str(config), f"data.train={data / 'train.jsonl'}"])
    assert found.exit_code == 0 and f"Note: data.train was typed and data.val was not: {told}" in found.stdout
    found = CliRunner().invoke(group, ["plan", str(config), f"data.train={data / 'train.jsonl'}"])
    assert found.exit_code == 0 and told in found.stderr
    assert "data.val" not in CliRunner().invoke(group, ["plan", str(config)]).stderr
    config.write_text(config.read_text().replace(f"val: {data}", f"val: {tmp_path}").replace("/run\n", "/other\n"))
    found = CliRunner().invoke(group, ["finetune", str(config), f"data.train={data / 'train.jsonl'}"])
    assert found.exit_code == 2
    assert f"It is data.val in {config}:6; name another with data.val=PATH" in found.stderr
    assert "Typing data.train alone leaves data.val as it is." in found.stderr


def test_print_settings_is_a_file_that_loads(tmp_path: Path) -> None:
    found = CliRunner().invoke(group, ["finetune", "--print-settings"])
    assert found.exit_code == 0
    path = tmp_path / "mine.yaml"
    path.write_text(found.stdout)
    assert settings_yaml(read_settings(path), comments=True) == found.stdout
    assert "--print-settings" in CliRunner().invoke(group, ["finetune", "--help"]).stdout


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="no process groups here")
def test_ctrl_c_at_a_terminal_saves_although_it_reaches_the_image_loaders_too(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    call = words(data, out, "training.max_steps=100000", "training.workers=2", "training.log_every=1")
    process = subprocess.Popen(
        [sys.executable, "-m", "grounding", *call],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a group of its own, as a terminal gives it
    )
    log, deadline = out / "train_log.jsonl", time.monotonic() + 60
    try:
        while process.poll() is None and not (log.exists() and log.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == 1
    assert "Stopped at step" in told and "goes on from there" in told and "Traceback" not in told
    assert any((out / "checkpoints").glob("checkpoint-*/model.safetensors"))


@pytest.fixture
def processor() -> CogVLMProcessor:
    return CogVLMProcessor(train_tokenizer(["a"], 320), image_size=28, patch_size=14)


def scores(dataset: Dataset, processor: CogVLMProcessor, monkeypatch: pytest.MonkeyPatch, texts: Sequence[str]) -> Any:
    """What an evaluation finds when the model gives these answers."""
    asked: list[Request] = []

    def answer(model: Any, _: Any, requests: Sequence[Request], **options: Any) -> Iterator[Answer]:
        assert (model, options) == ("model", {"batch_size": 3, "max_new_tokens": 9, "progress": None})
        asked.extend(requests)
        yield from (Answer(text, "eos") for text in texts)

    monkeypatch.setattr("grounding.inference.engine.answer", answer)
    found = make_evaluate(processor, dataset, batch_size=3, max_new_tokens=9)("model")
    assert [request.prompt for request in asked] == [sample.prompt for sample in dataset.samples]
    for request in asked:
        assert callable(request.image)
        assert request.image().size == (40, 30)
    return found


def test_right_answers_score_one(data: Path, processor: CogVLMProcessor, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = read_dataset(data / "train.jsonl")
    found = scores(dataset, processor, monkeypatch, [sample.label for sample in dataset.samples])
    assert found["grec_50"] == found["acc_50"] == found["not_found_f1"] == found["precision_50"] == 1.0
    assert found["unparsable_rate"] == found["cut_off_rate"] == found["hallucination_rate"] == 0.0
    assert 0.9 < found["mean_iou"] <= 1.0


def test_wrong_answers_score_what_they_are(
    data: Path, processor: CogVLMProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = read_dataset(data / "train.jsonl")
    right, absent, *_ = [sample.label for sample in dataset.samples]
    found = scores(dataset, processor, monkeypatch, [right, "?", "No matching object was found.", absent])
    assert found["grec_50"] == 0.5
    assert found["unparsable_rate"] == 0.25
    assert found["acc_50"] == 0.5


def test_answers_are_drawn_for_trackers(
    data: Path, processor: CogVLMProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = read_dataset(data / "train.jsonl")
    texts = [dataset.samples[0].label, "gibberish", "[[1,2]]", "[[100,100,900,900]]"]
    monkeypatch.setattr("grounding.inference.engine.answer", lambda *_, **__: (Answer(text, "eos") for text in texts))
    drawn: dict[str, Image.Image] = {"of an evaluation before": Image.new("RGB", (1, 1))}
    make_evaluate(processor, dataset, batch_size=3, max_new_tokens=9, drawn=drawn, pictures=3)("model")
    assert list(drawn) == [f"{sample.id}: {sample.phrase}" for sample in dataset.samples[:3]]
    assert all(picture.size == (40, 30) for picture in drawn.values())


def test_memory_used_up_while_answering_names_the_setting(
    data: Path, processor: CogVLMProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(*_: Any, **__: Any) -> Iterator[Answer]:
        raise RunError("out of memory")
        yield

    monkeypatch.setattr("grounding.inference.engine.answer", answer)
    evaluate = make_evaluate(processor, read_dataset(data / "train.jsonl"), batch_size=3, max_new_tokens=9)
    with pytest.raises(RunError, match=r"evaluation\.batch"):
        evaluate("model")
