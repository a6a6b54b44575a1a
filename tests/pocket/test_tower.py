"""The tower stage: targets are the digits of the label, pixels are the processor's, and a few steps learn something."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from grounding.models.cogvlm import CogVLMConfig, CogVLMProcessor
from grounding.models.cogvlm.vision import CogVLMVisionTower
from grounding.models.tokenizers import train_tokenizer
from grounding.pocket.scenes import COLOURS, SHAPES, Drawn, draw_scenes
from grounding.pocket.tower import (
    BACKGROUND,
    TowerSettings,
    Views,
    patch_targets,
    rate_at,
    set_positions,
    to_pixel_values,
    train_tower,
)
from grounding.text import write_boxes

SIZE = (56, 56)


def make_views(count: int, seed: int) -> Views:
    scenes = draw_scenes(count, seed=seed, size_wh=SIZE, objects=(1, 2))
    pixels = torch.from_numpy(np.stack([np.asarray(scene.image) for scene in scenes]))
    return Views(pixels, torch.stack([patch_targets(scene.objects, SIZE, 4) for scene in scenes]))


def test_targets_are_the_leading_digits_of_the_label() -> None:
    large, small = Drawn("red circle", (0, 0, 56, 50)), Drawn("blue star", (20, 20, 40, 40))
    targets = patch_targets([small, large], SIZE, 4).unflatten(0, (4, 4))
    for drawn, at in ((large, (0, 0)), (small, (1, 2))):
        text = write_boxes([list(map(float, drawn.xyxy_px))], SIZE).text
        numbers = text.strip("[]").split(",")
        colour, shape, *digits = targets[at].tolist()
        assert f"{['', *COLOURS][colour]} {['', *SHAPES][shape]}" == drawn.category
        assert digits == [int(number[0]) for number in numbers] + [int(number[1]) for number in numbers]
    assert patch_targets([small], SIZE, 4)[0].tolist() == [BACKGROUND, BACKGROUND, *[-1] * 8]


def test_pixels_are_those_of_the_processor() -> None:
    (scene,) = draw_scenes(1, seed=0, size_wh=SIZE)
    processor = CogVLMProcessor(train_tokenizer(["a"], 300), 56, 14)
    mine = to_pixel_values(torch.from_numpy(np.array(scene.image))[None])
    torch.testing.assert_close(mine[0], processor.preprocess_image(scene.image))


def small_tower() -> tuple[CogVLMVisionTower, int]:
    config = CogVLMConfig(
        hidden_size=32, intermediate_size=48, num_attention_heads=2, num_hidden_layers=1, vocab_size=300,
        vision_config={"hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "num_hidden_layers": 1,
                       "image_size": 56, "patch_size": 14},
    )  # fmt: skip
    config._attn_implementation = "eager"
    torch.manual_seed(0)
    return CogVLMVisionTower(config), config.hidden_size


def test_a_few_steps_learn_something_and_are_the_same_each_time() -> None:
    views = make_views(16, seed=1)
    found = []
    for _ in range(2):
        tower, width = small_tower()
        set_positions(tower)
        lines: list[str] = []
        settings = TowerSettings(steps=100, batch=16, learning_rate=5e-3, warmup=5)
        found.append(train_tower(tower, width, views, views, settings, lines.append))
        assert lines
    assert found[0] == found[1]
    assert found[0]["colour"] > 0.3


def test_positions_differ_and_leave_the_first_vector_alone() -> None:
    tower, _ = small_tower()
    before = tower.patch_embedding.position_embedding.weight[0].clone()
    set_positions(tower)
    table = tower.patch_embedding.position_embedding.weight.detach()
    torch.testing.assert_close(table[0], before)
    distances = torch.cdist(table[1:], table[1:]) + torch.eye(16) * 9
    assert distances.min() > 0.05


@pytest.mark.parametrize(("step", "share"), [(0, 0.1), (9, 1.0), (50, 1.0), (75, 0.5), (100, 0.0)])
def test_the_rate_rises_stays_and_falls(step: int, share: float) -> None:
    assert rate_at(step, TowerSettings(steps=100, warmup=10, flat=0.5)) == pytest.approx(share)
