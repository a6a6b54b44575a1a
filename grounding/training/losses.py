"""The loss taken apart by kind (with image, text only) and by task, summed over label tokens.

Knows logits and labels of a batch; it does not know the model or the optimiser.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from grounding.samples import TASKS

KINDS = ("image", "text_only")


class LossByKind:
    """Sums of the negative log-likelihood and of label tokens since the last `take`."""

    def __init__(self, device: torch.device) -> None:
        # One row a kind and one a task; columns: nats, tokens. On the device, so that adding never waits for it.
        self.sums = torch.zeros(len(KINDS) + len(TASKS), 2, dtype=torch.float64, device=device)

    @torch.no_grad()
    def add(self, label_logits: Tensor, labels: Tensor, token_type_ids: Tensor, tasks: Tensor) -> None:
        """Add a batch.

        Args:
            label_logits: float[M, V], where a label is predicted, in row order (the model's `label_logits_only`).
            labels: int64[B, T], -100 where there is none. token_type_ids: int64[B, T].
            tasks: int64[B, T], the task that each token belongs to.
        """
        rows, columns = (labels[:, 1:] != -100).nonzero(as_tuple=True)
        nats = nn.functional.cross_entropy(label_logits.float(), labels[rows, columns + 1], reduction="none")
        entries = torch.stack([nats, torch.ones_like(nats)], dim=1).double()
        kinds = torch.where(token_type_ids.any(dim=1), 0, 1)
        self.sums.index_add_(0, kinds[rows], entries)
        self.sums.index_add_(0, len(KINDS) + tasks[rows, columns + 1], entries)

    def take(self, reduce: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """Mean loss a label token in nats: `loss`, `loss_<kind>`, and `loss_task_<task>` where there are several tasks.

        Args:
            reduce: sums a tensor over the processes of the run.
        """
        sums = reduce(self.sums.clone()).cpu()
        self.sums.zero_()
        total = sums[: len(KINDS)].sum(dim=0)
        means = {"loss": float(total[0] / total[1])} if total[1] else {}
        names = [f"loss_{kind}" for kind in KINDS] + [f"loss_task_{task}" for task in TASKS]
        tasks_seen = int((sums[len(KINDS) :, 1] > 0).sum())
        for name, (nats, tokens) in zip(names, sums.tolist(), strict=True):
            if tokens and (tasks_seen > 1 or not name.startswith("loss_task_")):
                means[name] = nats / tokens
        return means
