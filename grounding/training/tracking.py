"""Trackers that a run reports to, TensorBoard and Weights & Biases: losses, what evaluations find, drawn answers.

Built on Hugging Face's own callbacks for the two. Knows pictures by name; does not know what is drawn on them, nor when
an evaluation is due.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from PIL import Image
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import TensorBoardCallback, WandbCallback

from grounding.errors import InputError
from grounding.samples import write_text_atomic
from grounding.training.run_folder import RunFolder

Pictures = Mapping[str, Image.Image]
"""By name what the last evaluation drew; the mapping is looked at anew behind each."""


class TensorBoard(TensorBoardCallback):
    """Writes event files to the run folder: `tensorboard --logdir runs/mine/tensorboard`.

    Args:
        folder: of the run.
        pictures: sent after each evaluation, as `answers/NAME`.
    """

    def __init__(self, folder: RunFolder, pictures: Pictures) -> None:
        super().__init__()
        self.logging_dir = str(folder.root / "tensorboard")
        self.pictures = pictures

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.tb_writer is None:  # another process than the first
            return
        for name, picture in self.pictures.items():
            pixels = np.asarray(picture.convert("RGB"))
            self.tb_writer.add_image(f"answers/{name}", pixels, state.global_step, dataformats="HWC")
        self.tb_writer.flush()


class WeightsAndBiases(WandbCallback):
    """Reports to a W&B run of its own, in the project `grounding` unless WANDB_PROJECT names another one.

    A run that goes on goes on there too: its id is kept in the run folder, unless WANDB_RUN_ID names one.
    WANDB_MODE=offline keeps all of it in the run folder, for `wandb sync` later; there each part of a run that was
    stopped is a run of its own, since of several with one id the last to be synced takes the place of the others.

    Args:
        folder: of the run; names the W&B run, and holds its files.
        pictures: sent after each evaluation, as `answers`.
    """

    def __init__(self, folder: RunFolder, pictures: Pictures) -> None:
        super().__init__()
        self.folder, self.pictures = folder, pictures

    def setup(self, args: TrainingArguments, state: TrainerState, model: Any, **kwargs: Any) -> None:
        """Starts the W&B run before Hugging Face's callback would, which knows neither its name nor its folder."""
        if state.is_world_process_zero and self._wandb.run is None:
            project = os.environ.get("WANDB_PROJECT", "grounding")
            online = os.environ.get("WANDB_MODE", "online") == "online"
            name, known = self.folder.root.resolve().name, self._known_id() if online else None
            run = self._wandb.init(project=project, name=name, dir=str(self.folder.root), id=known, resume="allow")
            if online:
                write_text_atomic(self.folder.wandb_id, f"{run.id}\n")
        super().setup(args, state, model, **kwargs)

    def _known_id(self) -> str | None:
        """The id to report under: that of the environment, else the one that the run had before; None: a new one."""
        named = os.environ.get("WANDB_RUN_ID")
        file = self.folder.wandb_id
        return named or (file.read_text("utf-8").strip() if file.is_file() else None)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.is_world_process_zero and self.pictures:
            answers = [self._wandb.Image(picture, caption=name) for name, picture in self.pictures.items()]
            self._wandb.log({"answers": answers, "train/global_step": state.global_step})


TRACKERS = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases}


def check_trackers(names: Sequence[str]) -> None:
    """Sees that the packages of the trackers are there.

    Raises:
        InputError: one is not.
    """
    for name in names:
        if find_spec(name) is None:
            raise InputError(
                f"{name} is not installed.",
                where="training.report_to",
                fix=f"python -m pip install 'grounding[{name}]', or leave it out.",
            )


def trackers(names: Sequence[str], folder: RunFolder, pictures: Pictures) -> list[TrainerCallback]:
    """The callbacks of these trackers."""
    return [TRACKERS[name](folder, pictures) for name in names]
