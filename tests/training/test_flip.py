"""Mirrored samples: words, boxes and truth of the mirrored picture, drawn by (seed, image, epoch) alone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from grounding.models.cogvlm import CogVLMProcessor
from grounding.models.tokenizers import train_tokenizer
from grounding.samples import Sample, read_samples
from grounding.text import read_boxes, to_grid, write_boxes
from grounding.training.dataset import Flips, SampleDataset
from grounding.training.flip import flipped, is_flipped
from tests.training.conftest import MakeSettings, text_samples

SIZE = (400, 300)
BOXES = [[0.0, 10.0, 100.0, 60.0], [250.0, 10.0, 400.0, 60.0], [130.5, 100.0, 200.25, 299.0]]


def sample(boxes: list[list[float]] | None = None, **more: Any) -> Sample:
    boxes = BOXES if boxes is None else boxes
    given = {
        "id": "s", "image": "a.png", "width": SIZE[0], "height": SIZE[1], "prompt": "Where is the leftmost cup?",
        "label": f"The leftmost cup is at {write_boxes(boxes, SIZE).text}", "phrase": "the leftmost cup",
        "boxes": boxes, "ignore": [[0.0, 0.0, 50.0, 50.0]], "task": "phrase_to_box",
    }  # fmt: skip
    return Sample(**{**given, **more})


def test_words_boxes_and_truth_turn_together() -> None:
    made = flipped(sample())
    assert made is not None
    assert (made.id, made.image) == ("s", "a.png")
    assert made.prompt == "Where is the rightmost cup?"
    assert made.phrase == "the rightmost cup"
    assert made.label.startswith("The rightmost cup is at [[")
    assert made.boxes == [[300, 10, 400, 60], [0, 10, 150, 60], [199.75, 100, 269.5, 299]]
    assert made.ignore == [[350, 0, 400, 50]]
    cells = to_grid(made.boxes, SIZE)[0]
    assert sorted(map(tuple, cells)) == sorted(map(tuple, read_boxes(made.label).xyxy_grid))
    assert made.label.endswith(write_boxes(made.boxes, SIZE).text)
    assert flipped(made) == sample()


def test_boxes_in_a_prompt_turn_too() -> None:
    prompt = f"What is in {write_boxes([BOXES[0]], SIZE).text}?"
    made = flipped(sample(prompt=prompt, label="cup", phrase="cup", boxes=None, task="box_to_phrase"))
    assert made is not None and made.prompt == "What is in [[750,033,999,200]]?"


@pytest.mark.parametrize(
    "more",
    [
        {"prompt": "Which cup is left?"},
        {"label": "turn right [[000,000,100,100]]"},
        {"phrase": "右键"},
        {"prompt": "What is in [[1,2,3,4]]?"},
        {"task": "next_box"},
        {"task": "text", "boxes": None, "ignore": []},
        {"history": [("a", "b")]},
        {"image": None, "boxes": None, "ignore": [], "width": None, "height": None},
        {"boxes": None, "ignore": [], "width": None, "height": None, "task": "presence"},
    ],
)
def test_what_cannot_be_mirrored_is_left(more: dict[str, Any]) -> None:
    assert flipped(Sample(**{**{k: getattr(sample(), k) for k in Sample.__struct_fields__}, **more})) is None


def test_the_draw_is_of_seed_image_and_epoch() -> None:
    draws = [is_flipped(0.3, 1, f"{n}.png", epoch) for n in range(100) for epoch in range(20)]
    assert draws == [is_flipped(0.3, 1, f"{n}.png", epoch) for n in range(100) for epoch in range(20)]
    assert 500 < sum(draws) < 700
    assert not any(is_flipped(0.0, 1, f"{n}", 0) for n in range(100))
    assert all(is_flipped(1.0, 1, f"{n}", 0) for n in range(100))
    for change in ({"seed": 2}, {"epoch": 1}):
        base = {"share": 0.5, "seed": 1, "epoch": 0}
        assert [is_flipped(**base, image=f"{n}") for n in range(50)] != [
            is_flipped(**{**base, **change}, image=f"{n}") for n in range(50)
        ]


def test_a_dataset_mirrors_pixels_and_words_together(scenes: Path) -> None:
    processor = CogVLMProcessor(train_tokenizer(["Where is red circle? [[000,111,222,333]]"], 320), 28, 14)
    samples = [*read_samples(scenes / "train.jsonl"), *text_samples(1)]
    clock = SimpleNamespace(epoch=0)
    plain = SampleDataset(samples, scenes, processor)
    always = SampleDataset(samples, scenes, processor, Flips(1.0, 0, clock))
    half = SampleDataset(samples, scenes, processor, Flips(0.5, 0, clock))
    for index, stored in enumerate(samples):
        before, after = plain[index], always[index]
        if stored.image is None:
            assert after.picture is None and after.encoded == before.encoded
            continue
        assert before.picture is not None and after.picture == before.picture._replace(flipped=True)
        assert before.pixels is not None and after.pixels is not None
        assert torch.allclose(after.pixels, before.pixels.flip(-1), atol=1e-5)
        mirrored = flipped(stored)
        assert mirrored is not None
        assert after.encoded == SampleDataset([mirrored], scenes, processor)[0].encoded
    seen = []
    for clock.epoch in range(8):
        found = [half[index].picture for index in range(len(samples))]
        seen.append([picture.flipped for picture in found if picture is not None])
        by_image = {picture.image: set() for picture in found if picture is not None}
        for picture in found:
            if picture is not None:
                by_image[picture.image].add(picture.flipped)
        assert all(len(flips) == 1 for flips in by_image.values())  # prompts about one image still share it
    assert {flip for flips in seen for flip in flips} == {True, False}
    assert len(set(map(tuple, seen))) > 1


def test_a_run_mirrors_and_is_the_same_when_done_again(make_settings: MakeSettings, tmp_path: Path) -> None:
    from grounding.training.run import run

    losses = []
    for name, flip in (("a", 0.5), ("b", 0.5), ("c", 0.0)):
        settings = make_settings(
            output=str(tmp_path / name), data={"flip": flip, "val": None}, training={"max_steps": 2}
        )
        run(settings, say=lambda _: None)
        log = (tmp_path / name / "train_log.jsonl").read_text()
        losses.append([line.partition('"loss"')[2][:12] for line in log.splitlines() if '"loss"' in line])
    assert losses[0] == losses[1] != losses[2]
