"""The folder of a run: settings, log, checkpoints and the result, each written under a temporary name and renamed.

Knows file names; it does not know what a model or a setting means.

    settings.yaml          what the run was told, defaults included
    train_log.jsonl        one line a log entry or evaluation
    wandb_run_id           where the run reports to W&B: the id that it goes on under
    checkpoints/           checkpoint-STEP: the newest ones and the best, to resume from
    adapter/ or model/     the result, once the run is through
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from grounding.closest import did_you_mean_path
from grounding.errors import InputError, ManyErrors, RunError
from grounding.models.presence import check_adapter_files
from grounding.samples import atomic_path, write_text_atomic
from grounding.settings import FinetuneSettings, differences, read_settings, settings_yaml

# What the trainer adds to a checkpoint to resume from; the rest of it is the model.
STATE_FILES = (
    *("optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state*.pth", "trainer_state.json", "training_args.bin"),
    *("optimizer*.bin", "optimizer_0", "pytorch_model_fsdp*"),  # FSDP
    *("global_step*", "latest", "zero_to_*.py"),  # DeepSpeed
)


class RunFolder:
    """Paths of one run."""

    def __init__(self, root: Path, method: str) -> None:
        self.root = root
        self.settings = root / "settings.yaml"
        self.log = root / "train_log.jsonl"
        self.checkpoints = root / "checkpoints"
        self.wandb_id = root / "wandb_run_id"
        self.result = root / ("adapter" if method == "lora" else "model")

    def last_checkpoint(self) -> Path | None:
        """The newest checkpoint, or None."""
        steps = self._steps()
        return self.checkpoint(max(steps)) if steps else None

    def checkpoint(self, step: int) -> Path:
        """Where the checkpoint of a step lies."""
        return self.checkpoints / f"checkpoint-{step}"

    def prune(self, *, keep: int, best: int | None) -> None:
        """Remove all checkpoints but the newest `keep` and the best."""
        for step in sorted(self._steps())[:-keep]:
            if step != best:
                shutil.rmtree(self.checkpoint(step))

    def _steps(self) -> list[int]:
        names = (re.fullmatch(r"checkpoint-(\d+)", path.name) for path in self.checkpoints.glob("checkpoint-*"))
        return [int(name[1]) for name in names if name]

    def write_result(self, checkpoint: Path, describe: Callable[[Path], None] = lambda _: None) -> None:
        """Make a checkpoint's model the result of the run; `describe` adds to its folder what else belongs there."""
        with disk_errors(self.result), atomic_path(self.result) as temporary:
            shutil.copytree(checkpoint, temporary, ignore=shutil.ignore_patterns(*STATE_FILES))
            describe(temporary)

    def rewrite_log(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Make the log hold exactly these entries: those that a resumed run will repeat are gone."""
        write_text_atomic(self.log, "".join(json.dumps(entry) + "\n" for entry in entries))

    def append_log(self, entry: Mapping[str, Any]) -> None:
        """Add a line to the log."""
        with disk_errors(self.log), self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def run_of(result: Path) -> RunFolder | None:
    """The run that an adapter's folder is the result or a checkpoint of; None where it lies elsewhere.

    That is told by the places: settings and log beside adapter/ or checkpoints/. A settings.yaml alone may be anyone's.
    """
    here = result.resolve()
    for root in list(here.parents)[:2]:
        folder = RunFolder(root, "lora")
        if here in (folder.result, folder.checkpoints / here.name) and folder.settings.is_file():
            return folder if folder.log.is_file() else None
    return None


def adapter_folder(path: Path) -> Path | None:
    """The folder with the adapter itself: `path`, or what a run's folder holds; None where there is none."""
    folders = (path, path / "adapter")
    return next((folder for folder in folders if (folder / "adapter_config.json").is_file()), None)


def adapter_to_start_from(start: str) -> Path:
    """The folder of the adapter that tuning.start_from names.

    Raises:
        InputError: there is none, or not all of it.
    """
    folder = adapter_folder(Path(start))
    if folder is None:
        raise InputError(
            "there is no adapter_config.json here nor in adapter/.",
            where=f"tuning.start_from = {start}",
            fix=f"{'' if Path(start).exists() else did_you_mean_path(start)} Name a run, one of its "
            "checkpoints/checkpoint-STEP, or another PEFT folder.".lstrip(),
        )
    check_adapter_files(folder)
    return folder


def open_run(settings: FinetuneSettings) -> tuple[RunFolder, FinetuneSettings]:
    """The run folder of these settings: new, or that of a stopped run with the same settings.

    A stopped run's revision of the checkpoint is kept where the settings name none.

    Raises:
        InputError: the folder holds something else, or a run with other settings (all differences are told).
    """
    folder = RunFolder(Path(settings.output), settings.tuning.method)
    if folder.root.exists() and not folder.root.is_dir():
        raise InputError("is a file; a run needs a folder", where=f"output = {folder.root}")
    if folder.settings.is_file():
        before = read_settings(folder.settings)
        if settings.model.revision is None and settings.model.path == before.model.path:
            pinned = settings.model.model_copy(update={"revision": before.model.revision})
            settings = settings.model_copy(update={"model": pinned})
        changed = differences(before, settings)
        if changed:
            raise ManyErrors(
                f"{folder.root} holds a run with other settings",
                changed,
                fix="Name another `output`, or give the settings that run had to go on with it."
                + _how_to_train_on(folder, settings.tuning.method, changed),
            )
    elif folder.root.is_dir() and any(folder.root.iterdir()):
        raise InputError(
            "is not empty and no run folder (it has no settings.yaml)",
            where=f"output = {folder.root}",
            fix="Name a new folder.",
        )
    return folder, settings


def _how_to_train_on(folder: RunFolder, method: str, changed: Sequence[str]) -> str:
    """Where a run was to be made longer, what does that instead: its schedule ends where it was planned to."""
    trained = folder.result if folder.result.exists() else folder.last_checkpoint()
    if trained is None or not any(one.startswith(("training.max_steps:", "training.epochs:")) for one in changed):
        return ""
    words = f"tuning.start_from={trained}" if method == "lora" else f"model.path={trained} (without model.architecture)"
    return f" A run cannot be made longer, but trained further: another `output` and {words}."


def start_run(folder: RunFolder, settings: FinetuneSettings) -> None:
    """Write the settings; from here on the folder is this run's."""
    write_text_atomic(folder.settings, settings_yaml(settings))


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what a full or read-only disk does to torch, safetensors and Python into one error.

    Raises:
        RunError: naming the file, with what to do.
    """
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        # torch's own writer reports a full disk as a RuntimeError of this name.
        if isinstance(error, RuntimeError) and "PytorchStreamWriter" not in str(error):
            raise
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error).partition("\n")[0]
        raise RunError(
            f"{path}: could not be written ({reason}). Earlier checkpoints are whole: make room and run the same "
            "command again to go on from the last one."
        ) from error
