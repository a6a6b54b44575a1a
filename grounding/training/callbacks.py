"""What happens around the steps of a run: when to log, evaluate, save and stop; Ctrl-C; the log file; the progress bar.

Knows the trainer's events; it does not know models, data or losses. Everything is worked out from the trainer's own
state, which a checkpoint holds, so that a resumed run does what an uninterrupted one would.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Literal

from rich.progress import Progress, TaskID
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from grounding.processes import count, gathered
from grounding.training.choice import evaluations_since_best
from grounding.training.mixing import MixtureSampler
from grounding.training.run_folder import RunFolder

PASSED_ON = 2.0
"""Seconds in which a launcher of several processes passes a Ctrl-C on that the terminal has told them already."""


class Timetable(TrainerCallback):
    """When to log, evaluate, save and stop.

    Args:
        every: "epoch", or a number of steps, between two evaluations, each with a checkpoint. The last step has both.
        evaluates: whether there is anything to evaluate on.
        patience: stop after so many evaluations without a better one; 0 never stops early.
        log_every: steps between two log lines.
        sampler: is told the epoch.
    """

    def __init__(
        self,
        every: Literal["epoch"] | int,
        *,
        evaluates: bool,
        patience: int,
        log_every: int,
        sampler: MixtureSampler,
        say: Callable[[str], None],
    ) -> None:
        self.every, self.evaluates, self.patience, self.log_every = every, evaluates, patience, log_every
        self.sampler, self.say = sampler, say
        self.stop_asked: float | None = None  # when, on this process
        self.stopping = False  # agreed on by all processes
        self.between_steps = True  # False while the optimiser is changing the weights

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        # Told here and not by the data loader: when batches are skipped on resuming it does not reach the sampler.
        self.sampler.set_epoch(int(state.epoch or 0))

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.between_steps = False

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.between_steps = True
        step, epoch = state.global_step, state.epoch or 0.0
        last = step >= state.max_steps
        # A signal reaches processes at different times, perhaps in different steps: they stop together.
        self.stopping = any(gathered(self.stop_asked is not None))
        due = epoch == int(epoch) if self.every == "epoch" else step % self.every == 0
        control.should_evaluate = self.evaluates and (last or due)
        control.should_save = last or due or self.stopping
        # What was not yet logged is not in a checkpoint: a resumed run could not log it any more.
        control.should_log = control.should_save or step % self.log_every == 0
        control.should_training_stop = last or self.stopping

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        waited = evaluations_since_best(state.log_history)
        if self.patience and waited >= self.patience and state.global_step < state.max_steps:
            self.say(f"Stopped early at step {state.global_step}: {waited} evaluations without a better one.")
            control.should_training_stop = True

    @contextmanager
    def ctrl_c_saves(self) -> Iterator[None]:
        """The first Ctrl-C in the block ends training after the step at hand and saves; the second stops at once."""

        training_process = os.getpid()

        def ask(signum: int, frame: FrameType | None) -> None:
            if os.getpid() != training_process:
                return  # a process that loads images: it must go on until the step at hand has its batches
            if self.stop_asked is not None:
                if count() > 1 and time.monotonic() - self.stop_asked < PASSED_ON:
                    return
                raise KeyboardInterrupt
            self.stop_asked = time.monotonic()
            self.say("Ctrl-C: finishing this step (and its evaluation), then saving. Once more stops at once.")

        if threading.current_thread() is not threading.main_thread():  # Python hands signals to the main thread only
            yield
            return
        before = signal.signal(signal.SIGINT, ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


class LogFile(TrainerCallback):
    """Writes every log entry to the run folder's log, on the first process."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.is_world_process_zero:
            self.folder.rewrite_log(state.log_history)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            self.folder.append_log(state.log_history[-1])


class ProgressBar(TrainerCallback):
    """A bar on stderr with the step, the last losses and the time left, on the first process."""

    def __init__(self, progress: Progress) -> None:
        self.progress, self.task = progress, TaskID(0)
        self.evaluating: TaskID | None = None
        self.shown: dict[str, float] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.task = self.progress.add_task("training", total=state.max_steps, completed=state.global_step, note="")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.progress.update(self.task, completed=state.global_step)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        entry = state.log_history[-1]
        self.shown |= {key: entry[key] for key in ("loss", "eval_loss", "eval_grec_50") if key in entry}
        note = "  ".join(f"{key} {value:.4g}" for key, value in self.shown.items())
        self.progress.update(self.task, note=note)

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self.evaluating is None:
            self.evaluating = self.progress.add_task("validation loss, batches", total=None, note="")
        self.progress.advance(self.evaluating)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.evaluating is not None:
            self.progress.remove_task(self.evaluating)
            self.evaluating = None


def answer_bar(progress: Progress, total: int) -> Callable[[int], None]:
    """A bar for answering `total` samples, seen while that goes on; the function is told how many more are done."""
    task = progress.add_task("answering", total=total, visible=False, note="")

    def advance(done: int) -> None:
        progress.update(task, advance=done, visible=True)
        if progress.tasks[progress.task_ids.index(task)].finished:
            progress.reset(task, visible=False)

    return advance
