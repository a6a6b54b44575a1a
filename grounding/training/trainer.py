"""Hugging Face's Trainer and what grounding adds: loss by kind, a stop at NaN, answers scored, whole checkpoints.

Knows batches, losses and the trainer; it does not know how answers are scored (it is handed a function), nor when it is
time for what (see `callbacks`).
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list
from peft import PeftModel
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainerControl, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from grounding.errors import RunError
from grounding.models.cogvlm.cogvlm import NO_LABEL
from grounding.training.choice import SCORE, best_step, checkpoint_score
from grounding.training.collate import Batch, Collate, without_labels
from grounding.training.dataset import Example, SampleDataset
from grounding.training.losses import LossByKind
from grounding.training.mixing import MixtureSampler
from grounding.training.run_folder import RunFolder, disk_errors
from grounding.training.steps import StepSampler
from grounding.training.weights import LabelWeights, weighted_loss

# The model to numbers between 0 and 1, `grec_50` among them: answers validation samples and scores the answers. Where
# several processes train, all of them call it together, and may share the samples.
Evaluate = Callable[[nn.Module], dict[str, float]]
# Saves the model into a folder; where its weights are spread over processes, whole ones are handed over by name.
WriteModel = Callable[[Path, Mapping[str, Tensor] | None], None]


class GroundingTrainer(Trainer):
    """Trains a CogVLM, with or without adapter.

    Args:
        model: on any device; moved to the run's.
        args: made by `run.training_arguments`; its strategies are "no", since the callbacks decide what happens when.
        train: what `sampler` gives indices into.
        sampler: the order of an epoch; `effective_batch` of its prompts, over all processes, make an optimiser step.
        collate: the examples of a step to the batches that are run one after the other.
        folder: where checkpoints go.
        write_model: saves the model into a folder.
        val: evaluated by loss; None evaluates nothing.
        collate_val: the examples that are evaluated at once to batches; `collate` when left out.
        evaluate: evaluates by answering; None leaves that out.
        keep: newest checkpoints kept besides the best.
        optimizer: of the trained parameters; AdamW as `args` say when left out.
        label_weights: of the tokens in the trained loss; what is logged and evaluated is the plain loss all the same.
    """

    def __init__(
        self,
        model: nn.Module,
        args: TrainingArguments,
        *,
        train: torch.utils.data.Dataset[Example],
        sampler: MixtureSampler,
        effective_batch: int,
        collate: Collate,
        folder: RunFolder,
        write_model: WriteModel,
        val: SampleDataset | None = None,
        collate_val: Collate | None = None,
        evaluate: Evaluate | None = None,
        keep: int = 2,
        optimizer: torch.optim.Optimizer | None = None,
        label_weights: LabelWeights | None = None,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        super().__init__(
            model,
            args,
            data_collator=collate,
            train_dataset=train,
            callbacks=list(callbacks),
            optimizers=(optimizer, None),
        )
        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)
        self.sampler, self.val, self.answer_and_score = sampler, val, evaluate
        self.steps = StepSampler(sampler, effective_batch, args.process_index, args.world_size)
        self.collate_val = collate_val or collate
        self.folder, self.write_model, self.keep = folder, write_model, keep
        self.losses = LossByKind(self.args.device)
        self.label_weights = label_weights
        self.checkpoint_root: Path | None = None

    def get_train_dataloader(self) -> DataLoader[Any]:
        """The batches of one step at a time, of this process alone: there is nothing left to spread over processes."""
        assert self.train_dataset is not None
        return DataLoader(
            self.train_dataset,
            batch_sampler=self.steps,
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
        )

    def training_step(
        self, model: nn.Module, inputs: Sequence[Batch], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """Forward and backward of one optimiser step, batch after batch; its loss.

        Processes whose share of the step has fewer batches run the last one again without its labels, for a gradient of
        zero: where weights are spread over processes, each forward is one that all take part in.
        """
        labels = sum(int((batch["labels"][:, 1:] != NO_LABEL).sum()) for batch in inputs)
        shares = self.accelerator.gather(torch.tensor([[labels, len(inputs)]], device=self.args.device))
        label_tokens, rounds = shares[:, 0].sum(), int(shares[:, 1].max())
        losses: list[Tensor] = []
        for batch in [*inputs, *[without_labels(inputs[-1])] * (rounds - len(inputs))]:
            with self._gradients_added_up(model, now=len(losses) + 1 == rounds):
                losses.append(super().training_step(model, batch, label_tokens))
        return torch.stack(losses).sum()

    @contextmanager
    def _gradients_added_up(self, model: nn.Module, *, now: bool) -> Iterator[None]:
        """Processes add up their gradients once a step, behind its last batch."""
        self.accelerator.sync_gradients = now  # by this DeepSpeed knows when a step is whole
        with nullcontext() if now else self.accelerator.no_sync(model):
            yield

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The loss over label tokens, divided by those of the whole optimiser step.

        Raises:
            RunError: it is not finite.
        """
        tensors = {name: tensor for name, tensor in inputs.items() if name != "tasks"}
        loss, outputs = super().compute_loss(
            model, {**tensors, "label_logits_only": True, "use_cache": False}, True, num_items_in_batch
        )
        if not torch.isfinite(loss):
            raise RunError(self._not_finite(float(loss)))
        self.losses.add(outputs.logits, inputs["labels"], inputs["token_type_ids"], inputs["tasks"])
        if self.label_weights is not None:
            assert num_items_in_batch is not None  # training_step always counts them
            labels = inputs["labels"]
            loss = weighted_loss(outputs.logits, labels, self.label_weights.of(labels), num_items_in_batch)
            loss = loss * self.args.world_size  # as the Trainer does: gradients of processes are averaged
        return (loss, outputs) if return_outputs else loss

    def _not_finite(self, loss: float) -> str:
        last = self.folder.last_checkpoint()
        return (
            f"The loss became {loss} in step {self.state.global_step + 1}; the run was stopped. "
            f"{f'The last whole checkpoint is {last}' if last else 'There is no checkpoint yet'}. Try a "
            f"lower training.learning_rate (it is {self.args.learning_rate:g}), a longer training.warmup, or "
            "model.dtype=float32."
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As the Trainer does, with the training loss by kind and task beside the loss."""
        if "loss" in logs:
            by_kind = self.losses.take(self._sum_over_processes)
            logs |= {name: value for name, value in by_kind.items() if name != "loss"}
        super().log(logs, start_time)

    def _sum_over_processes(self, values: Tensor) -> Tensor:
        return self.accelerator.reduce(values, reduction="sum")

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Loss over all of val (by kind and task), what answering says, and `eval_score`, which orders checkpoints."""
        if self.val is None:
            raise ValueError("there is nothing to evaluate on")
        model = self.accelerator.unwrap_model(self.model)
        was_training = model.training
        model.eval()
        with torch.no_grad(), self.accelerator.autocast():
            metrics = self._validation_losses(model, self.val)
            if self.answer_and_score is not None:
                metrics |= self._answers(model, self.answer_and_score)
        model.train(was_training)
        metrics = {f"eval_{name}": value for name, value in metrics.items()}
        metrics[SCORE] = checkpoint_score(metrics.get("eval_grec_50", 0.0), metrics["eval_loss"])
        self.log(metrics)
        self.control: TrainerControl = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _validation_losses(self, model: nn.Module, val: SampleDataset) -> dict[str, float]:
        losses = LossByKind(self.args.device)
        for batch in self._validation_batches(val):
            outputs = model(
                **{name: tensor for name, tensor in batch.items() if name != "tasks"},
                label_logits_only=True,
                use_cache=False,
            )
            losses.add(outputs.logits, batch["labels"], batch["token_type_ids"], batch["tasks"])
            self.callback_handler.on_prediction_step(self.args, self.state, self.control)
        means = losses.take(self._sum_over_processes)
        if not math.isfinite(means["loss"]):
            raise RunError(self._not_finite(means["loss"]))
        return means

    def _validation_batches(self, val: SampleDataset) -> Iterator[Batch]:
        """This process's part of val, each sample in exactly one process, and as many batches in each process."""
        part = torch.utils.data.Subset(val, range(self.args.process_index, len(val), self.args.world_size))
        at_once = self.args.per_device_eval_batch_size
        loader: DataLoader[Any] = DataLoader(
            part, batch_size=at_once, collate_fn=self.collate_val, num_workers=self.args.dataloader_num_workers
        )
        for batches in loader:
            for batch in batches:
                yield self._prepare_inputs(batch)
        of_the_first = len(range(0, len(val), self.args.world_size))
        for _ in range(math.ceil(of_the_first / at_once) - math.ceil(len(part) / at_once)):
            (batch,) = self.collate_val([val[0]])
            yield self._prepare_inputs(without_labels(batch))

    def _answers(self, model: nn.Module, answer_and_score: Evaluate) -> dict[str, float]:
        """What the first process finds, known to all, so that all take the same decisions."""
        try:
            found = [answer_and_score(model)]
        except RunError:  # out of memory: the training up to here is kept
            if self.args.world_size == 1:
                self.save_now()
            raise
        return dict(broadcast_object_list(found)[0]) if self.args.world_size > 1 else found[0]

    def save_now(self) -> None:
        """Write a checkpoint of the last finished step, if there is one and it has none yet."""
        if self.state.global_step and not self.folder.checkpoint(self.state.global_step).exists():
            self._save_checkpoint(self.model, None)

    def _get_output_dir(self, trial: Any) -> str:
        return str(self.checkpoint_root or self.folder.checkpoints)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Writes a checkpoint beside the others and renames it when it is whole; removes those no longer kept."""
        final = self.folder.checkpoint(self.state.global_step)
        self.checkpoint_root = self.folder.checkpoints / ".unfinished"
        main = self.accelerator.is_main_process
        try:
            if main:
                shutil.rmtree(self.checkpoint_root, ignore_errors=True)
            self.accelerator.wait_for_everyone()
            with disk_errors(final):
                super()._save_checkpoint(model, trial)
                self.accelerator.wait_for_everyone()
                if main and not final.exists():
                    (self.checkpoint_root / final.name).replace(final)
        finally:
            if main:
                shutil.rmtree(self.checkpoint_root, ignore_errors=True)
            self.checkpoint_root = None
        if main:
            self.folder.prune(keep=self.keep, best=best_step(self.state.log_history))

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """As the Trainer does; of a model that FSDP spreads over processes, an adapter alone is gathered."""
        if not self.is_fsdp_enabled:
            super().save_model(output_dir, _internal_call)
            return
        options = StateDictOptions(
            full_state_dict=True, cpu_offload=True, ignore_frozen_params=isinstance(self.model, PeftModel)
        )
        self._save(output_dir, get_model_state_dict(self.model, options=options))

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        if self.args.should_save and output_dir is not None:
            self.write_model(Path(output_dir), state_dict)
