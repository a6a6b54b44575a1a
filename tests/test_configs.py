"""Every shipped configuration loads, is headed by its exact command, and names an output of its own."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from grounding.cli.finetune import command
from grounding.models.checkpoint import config_from
from grounding.settings import FinetuneSettings, read_architecture, read_settings, without_effect

POCKET = Path(__file__).resolve().parent.parent / "grounding" / "pocket"
CONFIGS = sorted((Path(__file__).resolve().parent.parent / "configs").glob("*.yaml"))


def header_command(path: Path) -> list[str]:
    """The words of the `grounding finetune` line among the comments at the head of a file."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    (command_line,) = [line for line in lines if line.startswith("grounding finetune ")]
    return shlex.split(command_line)


def settings_of(path: Path) -> FinetuneSettings:
    """The settings that the command at the head of a file makes."""
    words = header_command(path)
    arguments = command.make_context("finetune", words[2:]).params
    assert arguments["config"] == Path("configs") / path.name
    return read_settings(path, arguments["overrides"])


def test_the_three_purposes_are_there() -> None:
    assert {path.stem for path in CONFIGS} >= {"tiny_cpu", "lora_cogvlm_grounding", "qlora_24gb"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_it_loads_with_and_without_the_words_of_its_command(path: Path) -> None:
    assert read_settings(path) == settings_of(path)


@pytest.mark.parametrize("path", [*CONFIGS, *POCKET.glob("lora.yaml")], ids=lambda path: path.stem)
def test_all_that_it_says_has_an_effect(path: Path) -> None:
    settings = read_settings(path, ["data.train=t.jsonl", "data.val=v.jsonl", "output=o"])
    assert not list(without_effect(settings))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_it_is_complete(path: Path) -> None:
    settings = settings_of(path)
    assert settings.output == f"runs/{path.stem}"
    assert settings.data.train and settings.data.val is not None
    if settings.model.architecture is not None:
        values = {"model_type": "cogvlm", **read_architecture(settings.model.architecture)}
        assert config_from(values, where=path.name).hidden_size > 0
    else:
        assert settings.model.path
        assert settings.tuning.method == "lora"


def test_what_the_names_promise() -> None:
    by_name = {path.stem: settings_of(path) for path in CONFIGS}
    assert by_name["tiny_cpu"].model.device == "cpu"
    assert by_name["tiny_cpu"].tuning.method == "full"
    assert by_name["lora_cogvlm_grounding"].model.quantization == "none"
    assert by_name["lora_cogvlm_grounding"].model.dtype == "bfloat16"
    assert by_name["qlora_24gb"].model.quantization == "nf4"
    assert by_name["qlora_24gb"].training.gradient_checkpointing
    for name in ("lora_cogvlm_grounding", "qlora_24gb"):
        assert by_name[name].training.learning_rate == 5e-5
        assert by_name[name].training.effective_batch == 16
