"""What each of several GPUs needs of a plan for one, by what is spread over them.

Knows a plan and the model's layers, on the meta device. As the strategies are documented, for N processes:

    ddp     all of it on each, and a second copy of the gradients, in the buckets that are added up.
    zero2   1/N of gradients and optimiser state; weights whole.
    zero3   1/N of the weights too, and whole the two largest layers: the one at work and the next, on its way.
    fsdp    as zero3.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal, get_args

import torch
from torch import nn

from grounding.models.cogvlm import CogVLMConfig, CogVLMForCausalLM
from grounding.settings import FinetuneSettings
from grounding.training.plan import Plan
from grounding.training.spread import check_spread

Strategy = Literal["ddp", "zero2", "zero3", "fsdp"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
LAYERS_WHOLE = 2


def of_each(
    plan: Plan, settings: FinetuneSettings, config: CogVLMConfig, processes: int, strategy: Strategy = "ddp"
) -> Plan:
    """The plan of each of several GPUs; of one GPU, the plan as it is.

    Raises:
        InputError: the settings cannot be trained with weights that are spread.
    """
    if processes == 1:
        return plan
    if strategy == "ddp":
        return replace(plan, gradients=2 * plan.gradients)
    plan = replace(plan, gradients=_part(plan.gradients, processes), optimiser=_part(plan.optimiser, processes))
    if strategy == "zero2":
        return plan
    check_spread(settings)
    return replace(
        plan,
        weights=_part(plan.weights, processes),
        trained=_part(plan.trained, processes),
        gathered=LAYERS_WHOLE * _largest_layer(settings, config),
    )


def _part(size: int, processes: int) -> int:
    return math.ceil(size / processes)


def _largest_layer(settings: FinetuneSettings, config: CogVLMConfig) -> int:
    """Bytes of the largest of what is gathered at a time: a layer of decoder or tower, or the head."""
    with torch.device("meta"):
        model = CogVLMForCausalLM(config)
    layers: list[nn.Module] = [*model.model.layers, *model.model.vision.transformer.layers, model.lm_head]
    numbers = max(sum(one.numel() for one in layer.parameters()) for layer in layers)
    full = settings.tuning.method == "full"
    return numbers * (torch.float32 if full else getattr(torch, settings.model.dtype)).itemsize
