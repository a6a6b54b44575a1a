"""The embedded checkpoint: loads like any other, is small, spells names and digits, and finds what is drawn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from grounding.cli.finetune import make_evaluate
from grounding.models.cogvlm import CogVLMForCausalLM
from grounding.models.loading import LoadedModel, load_model
from grounding.pocket import checkpoint_folder
from grounding.pocket.folder import Drawing, write_drawing
from grounding.pocket.questions import CHINESE_COLOURS, CHINESE_SHAPES, Asking, nouns
from grounding.pocket.scenes import CATEGORIES
from grounding.samples import read_dataset

MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def pocket() -> LoadedModel:
    return load_model(checkpoint_folder(), dtype="float32", device="cpu")


def test_it_has_the_published_layout_and_the_promised_size(pocket: LoadedModel) -> None:
    model, info = CogVLMForCausalLM.from_pretrained(checkpoint_folder(), output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert 1e6 <= sum(one.numel() for one in model.parameters()) <= 6e6
    assert sum(file.stat().st_size for file in checkpoint_folder().iterdir()) < 12 * MEBIBYTE
    config = json.loads((checkpoint_folder() / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["CogVLMForCausalLM"]
    assert 112 <= config["vision_config"]["image_size"] <= 224


def test_digits_are_single_pieces_and_names_come_back(pocket: LoadedModel) -> None:
    tokenizer = pocket.processor.tokenizer
    pieces = tokenizer.convert_ids_to_tokens(tokenizer.encode("[[086,540,400,760]]", add_special_tokens=False))
    assert [piece for piece in pieces if piece[-1].isdigit()] == list("086540400760")
    names = [*CATEGORIES, *CHINESE_COLOURS.values(), *CHINESE_SHAPES.values()]
    names += [word for pair in nouns() for word in pair]
    for name in [*names, "washer", "齿轮", "a name from outside: 螺旋桨 #7"]:
        ids = tokenizer.encode(name, add_special_tokens=False)
        assert tokenizer.decode(ids) == name
    for name in names:  # made of learned pieces, not of bytes
        assert min(tokenizer.encode(name, add_special_tokens=False)) >= 3 + 256


def test_it_finds_what_is_drawn_and_says_what_is_not_there(pocket: LoadedModel, tmp_path: Path) -> None:
    write_drawing(tmp_path, Drawing(scenes=60, seed=77), {"full": Asking()})
    dataset = read_dataset(tmp_path / "full.jsonl")
    found = make_evaluate(pocket.processor, dataset, batch_size=64, max_new_tokens=96)(pocket.model)
    assert found["acc_50"] > 0.75  # one box for all of them is right in about one of eight
    assert found["grec_50"] > 0.7
    assert found["not_found_f1"] > 0.8
    assert found["unparsable_rate"] < 0.03
