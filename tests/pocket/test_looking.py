"""The looking stage: rows as the packing makes them, answers that are true, and a loss that falls."""

from __future__ import annotations

import random

import torch

from grounding.models.loading import build_model
from grounding.pocket.looking import LookingSettings, ask, rows_of, train_looking
from grounding.pocket.questions import is_one
from grounding.pocket.scenes import draw_scenes
from grounding.pocket.vocabulary import make_tokenizer

SCENES = draw_scenes(8, seed=6, objects=(1, 3))
SETTINGS = LookingSettings(steps=24, batch=4, words=4, classes=4, warmup=3)
ARCHITECTURE = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
    "initializer_range": 0.05,
    "vision_config": {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_heads": 2,
                      "image_size": 28, "patch_size": 14},
}  # fmt: skip


def test_what_is_asked_as_there_is_there() -> None:
    for number, scene in enumerate(SCENES):
        asked = ask(scene.objects, random.Random(number), SETTINGS)
        assert len(asked) == 8 and sum(there for _, there in asked) == 4
        for question, there in asked:
            assert there == any(is_one(drawn, question.category) for drawn in scene.objects)


def test_rows_have_one_label_a_branch_and_the_loss_falls() -> None:
    loaded = build_model(ARCHITECTURE, make_tokenizer(700), device="cpu", attention="eager")
    asked = [ask(scene.objects, random.Random(0), SETTINGS) for scene in SCENES[:3]]
    rows = rows_of(loaded.processor, asked, random.Random(0))
    branches = rows["branch_ids"][rows["labels"] != -100].tolist()
    assert branches == [number for _ in asked for number in range(1, 9)]
    assert (rows["branch_ids"][:, : 1 + loaded.processor.image_token_count] == 0).all()

    torch.manual_seed(0)
    vectors = torch.randn(len(SCENES), loaded.processor.image_token_count, 32)
    tower = [one.detach().clone() for one in loaded.model.model.vision.parameters()]
    lines: list[str] = []
    loss = train_looking(
        loaded.model, loaded.processor, vectors, [scene.objects for scene in SCENES], SETTINGS, lines.append
    )
    print("LOSS", loss)
    assert lines and loss < 6.0  # the first step's is that of 700 pieces, 6.6
    assert all(map(torch.equal, tower, loaded.model.model.vision.parameters()))
