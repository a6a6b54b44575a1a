"""Freezing: the parts cover every weight once, frozen ones stay as they are, what learns is float32."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from grounding.errors import InputError
from grounding.models.cogvlm import CogVLMForCausalLM
from grounding.settings.schema import Part
from grounding.tuning.freeze import PARTS, count_parameters, freeze_all, train_all_but


def test_every_weight_belongs_to_exactly_one_part(model: CogVLMForCausalLM) -> None:
    for name, _ in model.named_parameters():
        assert len([part for part, pattern in PARTS.items() if re.fullmatch(pattern, name)]) == 1, name


def test_the_settings_know_the_same_parts() -> None:
    assert set(Part.__args__) == set(PARTS)


@pytest.mark.parametrize("part", PARTS)
def test_a_frozen_part_keeps_its_type_and_the_rest_learns_in_float32(model: CogVLMForCausalLM, part: str) -> None:
    model.to(torch.bfloat16)
    train_all_but(model, [part])
    for name, parameter in model.named_parameters():
        frozen = re.fullmatch(PARTS[part], name) is not None
        assert parameter.requires_grad is not frozen
        assert parameter.dtype == (torch.bfloat16 if frozen else torch.float32)


def test_what_cannot_be_frozen_is_refused(model: CogVLMForCausalLM) -> None:
    with pytest.raises(InputError, match="unknown parts"):
        train_all_but(model, ["tail"])
    with pytest.raises(InputError, match="nothing is left"):
        train_all_but(model, PARTS)
    with pytest.raises(InputError, match="match no weight"):
        train_all_but(nn.Linear(2, 2), ["tower"])


def test_the_published_model_is_counted(published: CogVLMForCausalLM) -> None:
    freeze_all(published)
    count = count_parameters(published)
    assert (count.trainable, count.total, count.share) == (0, 17_639_685_376, 0.0)
