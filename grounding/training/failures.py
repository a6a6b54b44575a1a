"""How a run that ends early is told: what is saved, which setting to lower, how to go on.

Knows the trainer and the settings; it does not know data.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from grounding.errors import RunError
from grounding.settings import FinetuneSettings
from grounding.training.callbacks import Timetable
from grounding.training.run_folder import RunFolder
from grounding.training.trainer import GroundingTrainer


@contextmanager
def failures_told(trainer: GroundingTrainer, timetable: Timetable, settings: FinetuneSettings) -> Iterator[None]:
    """Turn what ends a run early into a sentence that says what is saved and what to do.

    Raises:
        RunError: for a second Ctrl-C and for memory used up.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise RunError(stopped(trainer)) from None
    except RuntimeError as error:
        # The CPU allocator has no exception class of its own.
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        if timetable.between_steps and trainer.args.world_size == 1:
            trainer.save_now()
        raise RunError(
            f"Out of memory in step {trainer.state.global_step + 1}: {_what_to_lower(settings)}. "
            f"{_where_it_stands(trainer.folder)}"
        ) from error


def _what_to_lower(settings: FinetuneSettings) -> str:
    """The settings that need less memory and leave the result as it is, or nearly."""
    training, model = settings.training, settings.model
    ways = []
    if training.micro_batch > 1:
        ways.append(f"lower training.micro_batch (it is {training.micro_batch}; the effective batch stays)")
    if training.pack and training.pack_tokens is not None:
        ways.append(f"lower training.pack_tokens (it is {training.pack_tokens:,})")
    if not training.gradient_checkpointing:
        ways.append("set training.gradient_checkpointing=true")
    if settings.evaluation.batch > 1:
        ways.append(f"lower evaluation.batch (it is {settings.evaluation.batch}) if it happened while evaluating")
    if settings.tuning.method == "lora" and model.quantization != "nf4":
        ways.append("in a new run, set model.quantization=nf4")
    return "; ".join(ways) or "take fewer tuning.targets or a lower tuning.rank in a new run, or a larger GPU"


def stopped(trainer: GroundingTrainer) -> str:
    """Where a run stopped, and how to go on."""
    return (
        f"Stopped at step {trainer.state.global_step} of {trainer.state.max_steps}. {_where_it_stands(trainer.folder)}"
    )


def _where_it_stands(folder: RunFolder) -> str:
    last = folder.last_checkpoint()
    if last is None:
        return "No checkpoint was written yet."
    return f"Saved: {last}. The same command goes on from there."
