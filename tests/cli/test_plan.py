"""`grounding plan` and `grounding doctor`: what they say with and without data, cards and packages."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner, Result

from grounding.cli.main import group
from grounding.cli.plan import _not_here, card_bytes
from grounding.errors import InputError
from grounding.models.cogvlm import CogVLMConfig
from grounding.samples import Sample, write_samples
from grounding.settings import read_settings
from grounding.text import write_boxes

TINY = "{hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 2, vision_config: {VISION}}"
VISION = "hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_heads: 2, image_size: 28, patch_size: 14"


def grounding(*words: object) -> Result:
    return CliRunner().invoke(group, [*map(str, words)])


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A config of a small net from random weights, with eight samples."""
    write_samples(
        tmp_path / "train.jsonl",
        [
            Sample(
                id=str(number), image=None, width=None, height=None, prompt="Say it.", label="x" * number, boxes=None
            )
            for number in range(1, 9)
        ],
    )
    (tmp_path / "tiny.yaml").write_text(
        f"output: out\nmodel:\n  architecture: {TINY.replace('VISION', VISION)}\n  tokenizer_size: 320\n"
        f"tuning: {{method: full}}\ndata: {{train: {tmp_path}/train.jsonl}}\n"
        "training: {effective_batch: 4, micro_batch: 2, epochs: 2.5}\n"
    )
    return tmp_path / "tiny.yaml"


def test_lengths_and_steps_are_those_of_the_data(tiny: Path) -> None:
    result = grounding("plan", tiny)
    assert result.exit_code == 0, result.stderr
    assert "Steps: 5, 2 an epoch of 8 prompts; 4 prompts a step." in result.stdout
    assert "measured on 8 samples" in result.stdout and "6 of the image" in result.stdout
    assert "trained weights" in result.stdout and "as in the settings" in result.stdout
    assert "measured on 8 samples" in grounding("plan", tiny, f"data.train={tiny.parent}").stdout
    assert "Steps: 7 of 4" in grounding("plan", tiny, "training.max_steps=7").stdout


def test_prompts_about_one_image_share_a_row(tiny: Path) -> None:
    picture: dict[str, Any] = {"image": "a.png", "width": 9, "height": 9, "boxes": None}
    samples = [Sample(id=str(number), prompt="Say it.", label="x" * 9, **picture) for number in range(3)]
    write_samples(tiny.parent / "train.jsonl", samples)
    words = ["plan", tiny, "training.effective_batch=16", "training.pack_tokens=200"]
    result = grounding(*words)
    assert "2 rows of 3 prompts at once" in result.stdout
    assert "Packed rows: 3 prompts, of 3 about one image;" in result.stdout
    text = int(result.stdout.split("of the image and ")[1].split()[0])
    assert f"; {1 + 6 + 3 * (text - 1)} tokens at most." in result.stdout
    assert "Packed rows: 2 prompts, of 2 about one image" in grounding(*words, "--prompts", 2).stdout
    assert "1 prompt, of 3 about" in grounding(*words, f"training.pack_tokens={6 + text}").stdout
    assert "Packed" not in grounding(*words, "training.pack=false").stdout
    result = grounding(*words, "training.pack_tokens=9")
    assert result.exit_code == 2 and "no sample fits into 9 tokens" in result.stderr


def test_another_image_size_is_planned(tiny: Path) -> None:
    CogVLMConfig(**yaml.safe_load(TINY.replace("VISION", VISION))).save_pretrained(tiny.parent / "model")
    words = ["plan", tiny, f"model={{path: {tiny.parent}/model}}", "tuning={method: lora}", "data.train=none.jsonl"]
    result = grounding(*words, "model.image_size=700")
    assert "model/config.json, for images of 700 pixels" in result.stdout
    assert "2,502 of the image" in result.stdout
    result = grounding(*words, "model.image_size=701")
    assert result.exit_code == 2 and "Near it: 700 and 714" in result.stderr
    result = grounding("plan", tiny, "model.image_size=56")
    assert result.exit_code == 2 and "vision_config.image_size" in result.stderr


def test_without_data_lengths_are_assumed_or_given(tiny: Path) -> None:
    (tiny.parent / "train.jsonl").unlink()
    result = grounding("plan", tiny)
    assert "64 of text at most, of these 24 with a label" in result.stdout
    missing = f"assumed, the data are not here ({tiny.parent}/train.jsonl: this file cannot be read: No such file"
    assert missing in result.stdout and "Check the path" not in result.stdout
    result = grounding("plan", tiny, "--text-tokens", 30, "--label-tokens", 10)
    assert "30 of text at most, of these 10 with a label" in result.stdout
    assert "as given, the data are not here" in result.stdout


def test_without_a_tokenizer_lengths_are_estimated_from_the_data(tiny: Path) -> None:
    label = write_boxes([[1.0, 1.0, 5.0, 5.0]] * 20, (9, 9)).text
    write_samples(
        tiny.parent / "train.jsonl",
        [
            Sample(id=str(number), image="a.png", width=9, height=9, prompt="Where?", label=one, boxes=None)
            for number, one in enumerate((label, "No."))
        ],
    )
    CogVLMConfig(**yaml.safe_load(TINY.replace("VISION", VISION))).save_pretrained(tiny.parent / "model")
    result = grounding("plan", tiny, f"model={{path: {tiny.parent}/model}}", "tuning={method: lora}")
    labels = 20 * 16 + 1 + 1
    assert f"{1 + 2 + 8 + labels} of text at most" in result.stdout
    assert f"of these {labels} with a label at most; estimated from 2 samples, the tokenizer is" in result.stdout


def test_a_model_that_is_not_here_is_told_and_pocket_is(tiny: Path) -> None:
    result = grounding("plan", tiny, "tuning={method: lora}", "data.train=none.jsonl", "model={path: pocket}")
    assert "pocket/checkpoint/config.json" in result.stdout and not result.stderr

    def said(path: object) -> list[str]:
        return list(_not_here(read_settings(tiny, ["tuning={method: lora}", f"model={{path: {path}}}"])))

    typo, empty = tiny.parent / "typo", tiny.parent
    assert said(typo) == [f"{typo} is not here; planned is the published 490-pixel model."]
    assert said(empty) == [f"{empty} holds no config.json; planned is the published 490-pixel model."]
    assert said("owner/name") == said("pocket") == []


def test_what_several_processes_take_each(tiny: Path) -> None:
    def column(*words: object) -> dict[str, float]:
        result = grounding("plan", tiny, "evaluation.samples=0", *words)
        assert result.exit_code == 0, result.stderr
        rows = [line.split("│") for line in result.stdout.splitlines() if line.startswith("│")]
        return {row[1].strip(): float(row[2]) for row in rows}

    result = grounding("plan", tiny, "--processes", 3)
    assert "each of 3 GPUs with ddp" in result.stdout
    assert "Each of 3 processes takes 1 or 2 prompts of a step, 2 at once." in result.stdout
    layers = "hidden_size: 1024, intermediate_size: 2048, num_hidden_layers: 8, num_attention_heads: 8"
    wide = f"model.architecture={{{layers}, vision_config: {{{VISION}}}}}"
    one, ddp, zero2, fsdp = (
        column(wide, "--processes", count, "--strategy", strategy)
        for count, strategy in ((1, "fsdp"), (4, "ddp"), (4, "zero2"), (4, "fsdp"))
    )
    assert ddp["gradients"] == pytest.approx(2 * one["gradients"], abs=0.02)
    assert zero2["optimiser"] == fsdp["optimiser"] == pytest.approx(one["optimiser"] / 4, abs=0.02)
    assert zero2["trained weights"] == one["trained weights"]
    assert fsdp["trained weights"] == pytest.approx(one["trained weights"] / 4, abs=0.02)
    assert fsdp["layers gathered"] > 0 and "layers gathered" not in zero2
    refused = grounding("plan", tiny, f"data.val={tiny.parent}/train.jsonl", "--processes", 2, "--strategy", "zero3")
    assert refused.exit_code == 2 and "evaluation.samples=0" in refused.stderr
    assert grounding("plan", tiny, "--processes", 5).exit_code == 2


def test_a_card_is_held_against_it(tiny: Path) -> None:
    for size in ("24GB", "24", "24.0 gib"):
        assert "It fits 24GB" in grounding("plan", tiny, "--card", size).stdout, size
    result = grounding("plan", tiny, "--card", "0.5GB", "training.gradient_checkpointing=false")
    assert result.exit_code == 1
    for part in (
        "does not fit 0.5GB",
        "Change, each with those before it:",
        "training.gradient_checkpointing=true: ",
        "\n  and evaluation.batch=1: ",
        "Nothing of this is enough",
    ):
        assert part in result.stdout
    saving = {line.split(": ")[0].split()[-1]: line for line in result.stdout.splitlines() if " GiB" in line}
    assert "no less by itself" in saving["evaluation.batch=1"], "nothing is evaluated on"
    result = grounding("plan", tiny, "--card", "much")
    assert result.exit_code == 2 and "no size of a card; allowed is a number of GB above 0: 24 or 24GB" in result.stderr


def test_cards_are_sold_in_gibibytes() -> None:
    assert card_bytes("24GB") == card_bytes("24") == card_bytes("24 GiB") == 24 * 2**30
    with pytest.raises(InputError):
        card_bytes("0GB")


def test_the_doctor_on_a_machine_without_a_gpu(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    (tiny.parent / "wrong.yaml").write_text("output: x\n")
    result = grounding("doctor", "--configs", tiny.parent)
    assert result.exit_code == 0, result.stderr
    for part in (
        f"torch {torch.__version__}",
        "GPU: none",
        "Quantisation on cpu: nf4 works; int8 works",
        "flash_attention_2 does not",
        "tiny.yaml: needs 0.6 GiB; there is no GPU here",
        "wrong.yaml: these settings cannot be used",
    ):
        assert part in result.stdout, part
    tiny.write_text(tiny.read_text().replace("tokenizer_size: 320", "tokenizer_size: 320\n  device: cpu"))
    assert "fits the CPU's memory" in grounding("doctor", "--configs", tiny.parent).stdout
    alone = grounding("doctor", "--configs", tiny).stdout
    assert f"{tiny}: needs" in alone and "wrong.yaml" not in alone
    assert "there are none in" in grounding("doctor", "--configs", tiny.parent / "nowhere").stdout


def test_the_doctor_on_a_machine_with_a_gpu(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("no kernel for it")

    about = SimpleNamespace(name="Card", major=8, minor=9)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: about)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (10 * 2**30, 24 * 2**30))
    monkeypatch.setattr("bitsandbytes.functional.quantize_4bit", refuse)
    monkeypatch.setattr("bitsandbytes.functional.int8_vectorwise_quant", refuse)
    result = grounding("doctor", "--configs", tiny.parent)
    assert result.exit_code == 0, result.stderr
    assert "GPU 0: Card, 24.0 GiB, 10.0 GiB free, compute capability 8.9, bfloat16" in result.stdout
    assert "Quantisation on cuda:0: nf4 does not: quantization:" in result.stdout
    assert "tiny.yaml: needs 0.6 GiB; fits, 22.9 GiB are left" in result.stdout
    assert "torchrun" not in result.stdout
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert "torchrun --nproc-per-node 3 -m grounding finetune" in grounding("doctor", "--configs", tiny.parent).stdout
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2**20, 2**20))
    assert "does not fit: `grounding plan`" in grounding("doctor", "--configs", tiny.parent).stdout
