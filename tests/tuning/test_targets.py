"""Named target sets: exact names on a tiny model, counts on the published one."""

from __future__ import annotations

import pytest
from torch import nn

from grounding.errors import InputError
from grounding.models.cogvlm import CogVLMForCausalLM
from grounding.tuning.targets import SETS, linear_kinds, target_modules
from tests.tuning.conftest import tiny_model

LANGUAGE = [
    "model.layers.0.self_attn.language_expert_query_key_value",
    "model.layers.0.self_attn.language_expert_dense",
    "model.layers.1.self_attn.language_expert_query_key_value",
    "model.layers.1.self_attn.language_expert_dense",
]
VISION = [
    "model.layers.0.self_attn.vision_expert_query_key_value",
    "model.layers.0.self_attn.vision_expert_dense",
    "model.layers.1.self_attn.vision_expert_query_key_value",
]
TOWER = [f"model.vision.transformer.layers.{i}.attention.{n}" for i in range(3) for n in ("query_key_value", "dense")]
LANGUAGE_MLP = [f"model.layers.{i}.mlp.language_mlp.{n}_proj" for i in range(2) for n in ("gate", "up", "down")]
VISION_MLP = [f"model.layers.0.mlp.vision_mlp.{n}_proj" for n in ("gate", "up", "down")]
TOWER_MLP = [f"model.vision.transformer.layers.{i}.mlp.{n}" for i in range(3) for n in ("fc1", "fc2")]


@pytest.mark.parametrize(
    ("name", "mlp", "names"),
    [
        ("language", False, LANGUAGE),
        ("vision", False, VISION),
        ("both", False, LANGUAGE + VISION),
        ("both+tower", False, LANGUAGE + VISION + TOWER),
        ("language", True, LANGUAGE + LANGUAGE_MLP),
        ("vision", True, VISION + VISION_MLP),
        ("both", True, LANGUAGE + VISION + LANGUAGE_MLP + VISION_MLP),
        ("both+tower", True, LANGUAGE + VISION + TOWER + LANGUAGE_MLP + VISION_MLP + TOWER_MLP),
        ("published", True, LANGUAGE + TOWER),
    ],
)
def test_exact_names(model: CogVLMForCausalLM, name: str, mlp: bool, names: list[str]) -> None:
    targets = target_modules(model, name, mlp=mlp)
    assert sorted(targets.lora) == sorted(names)
    assert targets.full == (["model.vision.transformer.layers.2.mlp"] if name == "published" else [])


@pytest.mark.parametrize(
    ("name", "mlp", "count"),
    [
        ("language", False, 64),
        ("language", True, 160),
        ("vision", False, 63),
        ("vision", True, 63 + 93),
        ("both", False, 127),
        ("both", True, 316),
        ("both+tower", False, 127 + 126),
        ("both+tower", True, 316 + 252),
        ("published", True, 64 + 126),
    ],
)
def test_counts_in_the_published_model(published: CogVLMForCausalLM, name: str, mlp: bool, count: int) -> None:
    targets = target_modules(published, name, mlp=mlp)
    assert len(targets.lora) == len(set(targets.lora)) == count
    if name == "published":
        assert targets.full == [f"model.vision.transformer.layers.{i}.mlp" for i in range(46, 55)]


@pytest.mark.parametrize(("depth", "layers"), [(1, [0]), (4, [3]), (10, [7, 8]), (63, list(range(46, 55)))])
def test_the_published_mlps_stay_at_the_same_relative_depth(depth: int, layers: list[int]) -> None:
    targets = target_modules(tiny_model(1, depth), "published")
    assert targets.full == [f"model.vision.transformer.layers.{i}.mlp" for i in layers]


@pytest.mark.parametrize("name", SETS)
def test_a_model_without_such_modules_is_refused_and_what_it_has_is_told(name: str) -> None:
    other = nn.ModuleDict({"block": nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])})
    with pytest.raises(InputError, match=r"matches no module.*block\.\*"):
        target_modules(other, name)


@pytest.mark.parametrize("name", ["prompt", "prefix", "all"])
def test_other_sets_are_refused(model: CogVLMForCausalLM, name: str) -> None:
    with pytest.raises(InputError, match="language, vision, both"):
        target_modules(model, name)


def test_every_kind_of_linear_layer_is_told_once(model: CogVLMForCausalLM) -> None:
    kinds = linear_kinds(model)
    assert len(kinds) == len(set(kinds)) == 4 + 6 + 4 + 4 + 1  # attention, experts' MLPs, tower, projector, head
    assert "model.layers.*.self_attn.vision_expert_dense" in kinds
