"""Weights spread over processes: what is refused, and the shipped files of the launchers."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from accelerate.utils.deepspeed import HfDeepSpeedConfig
from torch import nn
from transformers.integrations.deepspeed import HfTrainerDeepSpeedConfig

from grounding.errors import InputError
from grounding.models.cogvlm import CogVLMConfig, CogVLMForCausalLM
from grounding.training.build import training_arguments
from grounding.training.run import run
from grounding.training.spread import check_launcher, share_buffers, spreads_weights
from tests.training.conftest import MakeSettings


def test_what_spread_weights_cannot_do_is_refused(make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not spreads_weights()
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    assert spreads_weights()
    with pytest.raises(InputError, match=r"evaluation\.samples: .*no answers.*evaluation\.samples=0"):
        run(make_settings(), say=lambda _: None)
    quantised = make_settings(
        model={"architecture": None, "path": "x", "quantization": "nf4"}, tuning={"method": "lora"}
    )
    with pytest.raises(InputError, match=r"model\.quantization: .*torchrun"):
        run(quantised, say=lambda _: None)
    with pytest.raises(InputError, match=r"model\.image_size: .*position embeddings"):
        check_launcher(make_settings(model={"image_size": 42}))
    alone = make_settings(evaluation={"samples": 0}, training={"optimizer": "muon"})
    with pytest.raises(InputError, match=r"training\.optimizer: muon works on whole matrices"):
        check_launcher(alone)
    monkeypatch.delenv("ACCELERATE_USE_FSDP")
    check_launcher(alone)
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(InputError, match=r"training\.optimizer"):
        check_launcher(alone)


def test_buffers_are_taken_out_of_what_is_spread() -> None:
    net = nn.BatchNorm1d(3)
    share_buffers(net)
    assert set(net.state_dict()) == {"weight", "bias"} and net.running_var.tolist() == [1, 1, 1]


def test_the_fsdp_file_names_layers_that_there_are(repository: Path) -> None:
    settings = yaml.safe_load((repository / "configs/launch/fsdp.yaml").read_text())["fsdp_config"]
    assert settings["fsdp_transformer_layer_cls_to_wrap"].split(",") == list(CogVLMForCausalLM._no_split_modules)


class Filled(HfDeepSpeedConfig):
    """What transformers makes of such a file; its own class asks for DeepSpeed, which need not be here."""

    _dtype = None
    is_auto, fill_match = HfTrainerDeepSpeedConfig.is_auto, HfTrainerDeepSpeedConfig.fill_match
    fill_only = vars(HfTrainerDeepSpeedConfig)["fill_only"]
    trainer_config_process = HfTrainerDeepSpeedConfig.trainer_config_process
    trainer_config_finalize = HfTrainerDeepSpeedConfig.trainer_config_finalize

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.mismatches: list[str] = []


@pytest.mark.parametrize("stage", [2, 3])
def test_what_the_zero_files_leave_open_is_filled_from_the_settings(
    make_settings: MakeSettings, repository: Path, stage: int
) -> None:
    config = Filled(str(repository / f"configs/launch/zero{stage}.json"))
    arguments = training_arguments(make_settings(training={"effective_batch": 6, "clip": 0.5}))
    config.trainer_config_process(arguments)
    config.trainer_config_finalize(arguments, SimpleNamespace(config=CogVLMConfig()), 9)
    found = config.config
    assert "auto" not in json.dumps(found)
    assert found["zero_optimization"]["stage"] == stage and config.is_zero3() == (stage == 3)
    assert found["gradient_clipping"] == 0.5 and found["bf16"] == {"enabled": False}
    assert found["gradient_accumulation_steps"] == 1, "the trainer itself takes a step apart"
    assert found["train_micro_batch_size_per_gpu"] == found["train_batch_size"] == 6
