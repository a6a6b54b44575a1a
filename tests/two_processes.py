"""What two processes of one run do for `test_processes`, which starts them and looks at what they leave:

torchrun --nproc-per-node 2 -m tests.two_processes FOLDER

Trains as FOLDER/runs.json says, answers FOLDER's benchmark, and ends with an error that one process alone meets.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType
from transformers import TrainerCallback, TrainingArguments

from grounding.cli.finetune import evaluate_factory
from grounding.cli.main import group
from grounding.errors import RunError
from grounding.processes import count, ending_all, gathered, number
from grounding.settings import FinetuneSettings
from grounding.training import run as run_module
from grounding.training.build import training_arguments
from grounding.training.run import run
from grounding.training.trainer import GroundingTrainer


class CtrlC(TrainerCallback):
    """Told to one process in the middle of one step, once by the terminal and once by the launcher."""

    def __init__(self, process: int, step: int) -> None:
        self.process, self.step = process, step

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if (number(), state.global_step) == (self.process, self.step - 1):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)


def train(settings: FinetuneSettings, callbacks: list[TrainerCallback]) -> list[str]:
    """What the process said, and how the run ended early, if it did."""
    said: list[str] = []
    original = GroundingTrainer.__init__

    def init(trainer: GroundingTrainer, *args: Any, **more: Any) -> None:
        more["callbacks"] = [*more["callbacks"], *callbacks]
        original(trainer, *args, **more)

    GroundingTrainer.__init__ = init  # type: ignore[method-assign]
    try:
        run(settings, evaluate_factory=evaluate_factory(settings), say=said.append)
    except RunError as error:
        said.append(str(error))
    finally:
        GroundingTrainer.__init__ = original  # type: ignore[method-assign]
    return said


def fsdp_on_the_cpu(settings: FinetuneSettings) -> TrainingArguments:
    """What accelerate keeps for GPUs, although torch and gloo spread weights over processes without any."""
    arguments = training_arguments(settings)
    assert arguments.device.type == "cpu"  # asking for it joins the processes
    PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
    return arguments


def main(folder: Path) -> None:
    """All of it, one after the other."""
    torch.set_num_threads(1)
    assert count() == 2
    said = {}
    for name, wanted in json.loads((folder / "runs.json").read_text()).items():
        settings = FinetuneSettings.model_validate(wanted["settings"])
        if "spread" in wanted:  # of the last runs
            os.environ.update(wanted["spread"])
            run_module.training_arguments = fsdp_on_the_cpu
        said[name] = gathered(train(settings, [CtrlC(*wanted["ctrl_c"])] if "ctrl_c" in wanted else []))
    (folder / "said.json").write_text(json.dumps(said))
    words = json.loads((folder / "benchmark.json").read_text())
    group([*words, "--out", str(folder / "shared"), "--data", str(folder / "asked.jsonl")], standalone_mode=False)
    gathered(None)  # the report is written
    (folder / "images" / json.loads((folder / "last_image.json").read_text())).write_bytes(b"no image")
    group([*words, "--out", str(folder / "failed"), "--data", str(folder / "asked.jsonl")])


if __name__ == "__main__":
    with ending_all():
        main(Path(sys.argv[1]))
