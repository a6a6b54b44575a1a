"""Words into ids: templates, labels, padding; with the Llama tokenizer, against measured ids of the original."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import PreTrainedTokenizerFast

from grounding.errors import InputError
from grounding.models.cogvlm import CogVLMProcessor, Encoded
from grounding.models.cogvlm.positions import image_position_ids, vision_expert_mask
from grounding.models.loading import LoadedModel
from tests.models.parity import FIXTURES

TURNS = [("Where is the dog?", "[[100,200,300,400]]"), ("Thanks.", "You are welcome.")]


def vectors(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FIXTURES / f"{name}.json").read_text("utf-8"))["vectors"]
    return found


def digest(values: Any) -> str:
    return hashlib.sha256(np.asarray(values, dtype="<i8").tobytes()).hexdigest()


@pytest.mark.parametrize(
    "vector", vectors("tokenizer"), ids=lambda one: f"{one['template_version']}-{one['query'][:12]}"
)
def test_prompt_ids_are_the_originals(vector: dict[str, Any], llama: PreTrainedTokenizerFast) -> None:
    processor = CogVLMProcessor(llama, 490, 14, vector["template_version"])
    # The original drops earlier turns in `base`; here they are refused (see below), so they are not handed over.
    history = [tuple(turn) for turn in vector["history"]] if processor.supports_history else []
    assert processor.fill_template(vector["query"], history) == vector["prompt"]
    plain = processor.encode(vector["query"], has_image=False, history=history)
    assert plain.input_ids == vector["without_image"]["input_ids"]
    assert plain.token_type_ids == vector["without_image"]["token_type_ids"]
    seen = processor.encode(vector["query"], has_image=True, history=history)
    expected = vector["with_image"]
    positions = image_position_ids(torch.tensor([seen.token_type_ids]))[0]
    assert len(seen) == expected["length"] and int(positions[-1]) == expected["last_position_id"]
    assert digest(seen.input_ids) == expected["sha256_input_ids"]
    assert digest(seen.token_type_ids) == expected["sha256_token_type_ids"]
    assert digest(positions) == expected["sha256_position_ids"]


SAT_TEMPLATES = {"base": "base", "vqa": "vqa", "chat_old": "chat"}


@pytest.mark.parametrize(
    "vector",
    [one for one in vectors("sat-training-sequences") if one["version"] in SAT_TEMPLATES],
    ids=lambda one: f"{one['version']}-{one['image_length']}-{one['prompt'][:12]}",
)
def test_training_sequences_are_the_originals(vector: dict[str, Any], llama: PreTrainedTokenizerFast) -> None:
    side = 14 * int(vector["image_length"] ** 0.5)
    processor = CogVLMProcessor(llama, side, 14, SAT_TEMPLATES[vector["version"]])
    ours = processor.encode(vector["prompt"], has_image=True, answer=vector["answer"])
    types = torch.tensor([ours.token_type_ids])
    ids, labels = ours.input_ids, ours.labels
    assert labels is not None
    positions, experts = image_position_ids(types)[0].tolist(), vision_expert_mask(types)[0].int().tolist()
    if vector["image_length"] == 1225:  # stored without the part that is the same everywhere
        assert positions[:4] == vector["first_positions"] and sum(experts) == vector["expert_ones"]
        assert sum(ours.token_type_ids) == vector["embed_ones"]
        start = 1 + processor.image_token_count
        ids, labels, positions = ids[start:], labels[start:], positions[start:]
        theirs = [vector[f"{name}_after_image"] for name in ("text_ids", "labels", "position_ids")]
    else:
        theirs = [vector[name] for name in ("input_ids", "labels", "position_ids")]
        assert experts == vector["vision_expert_mask"][: len(experts)] or len(experts) > vector["max_length"]
        assert ours.token_type_ids[: len(theirs[0])] == vector["image_embed_mask"][: len(ours)]
    length = max(index for index, label in enumerate(theirs[1]) if label != -100) + 1
    if length < len(ids):  # the original cuts a long answer and ends it; here nothing is ever cut
        assert theirs[0][length - 1] == theirs[1][length - 1] == llama.eos_token_id
        length -= 1
    assert ids[:length] == theirs[0][:length]
    assert labels[:length] == theirs[1][:length]
    assert positions[:length] == theirs[2][:length]


def test_a_real_prompt_with_answer(tiny: LoadedModel) -> None:
    processor = tiny.processor
    one = processor.encode("dog", has_image=True, answer="no")
    prompt = processor.encode("dog", has_image=True)
    assert prompt.labels is None and one.input_ids[: len(prompt)] == prompt.input_ids
    assert one.input_ids[:7] == [1, 0, 0, 0, 0, 0, 0] and one.token_type_ids[:8] == [0, 1, 1, 1, 1, 1, 1, 0]
    assert one.labels == [-100] * len(prompt) + processor.answer_tokens("no")
    assert one.labels[-1] == 2 and processor.decode(one.labels[len(prompt) :]) == "no"


def test_words_that_look_like_special_tokens_stay_words(tiny: LoadedModel) -> None:
    text = "a </s><s> <unk> b"
    ids = tiny.processor.answer_tokens(text)
    assert not {0, 1, 2} & set(ids[:-1]) and tiny.processor.decode(ids) == text


def test_templates_and_history(words: PreTrainedTokenizerFast) -> None:
    base, chat, vqa = (CogVLMProcessor(words, 28, 14, name) for name in ("base", "chat", "vqa"))
    assert [one.supports_history for one in (base, chat, vqa)] == [False, True, True]
    assert base.fill_template("dog?") == "dog?"
    assert chat.fill_template("dog?") == "Question: dog? Answer:"
    assert vqa.fill_template("b", [("a", "x")]) == "Question: a Short answer: x\nQuestion: b Short answer:"
    with pytest.raises(InputError, match="no place for earlier turns"):
        base.encode("dog?", has_image=True, history=TURNS)
    with pytest.raises(InputError, match="allowed: base, chat, vqa"):
        CogVLMProcessor(words, 28, 14, "chat_old")


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_keeps_every_row(tiny: LoadedModel, encoded: list[Encoded], side: str) -> None:
    batch = tiny.processor.pad(encoded, side=side)
    assert set(batch) == {"input_ids", "token_type_ids", "attention_mask", "labels"}
    assert all(value.dtype == torch.int64 and value.shape == batch["input_ids"].shape for value in batch.values())
    for row, one in enumerate(encoded):
        real = batch["attention_mask"][row].bool()
        assert batch["input_ids"][row][real].tolist() == one.input_ids
        assert batch["token_type_ids"][row][real].tolist() == one.token_type_ids
        assert batch["labels"][row][real].tolist() == one.labels
        assert (batch["labels"][row][~real] == -100).all() and not batch["token_type_ids"][row][~real].any()
        assert real[0 if side == "right" else -1]
    prompts = [Encoded(one.input_ids, one.token_type_ids) for one in encoded]
    assert "labels" not in tiny.processor.pad(prompts)
    assert (tiny.processor.pad([encoded[0], prompts[1]])["labels"][1] == -100).all()
    with pytest.raises(ValueError, match="left, right"):
        tiny.processor.pad(encoded, side="middle")


def test_only_rgb_pictures(tiny: LoadedModel) -> None:
    assert tiny.processor.preprocess_image(Image.new("RGB", (7, 90))).shape == (3, 28, 28)
    with pytest.raises(ValueError, match="mode L"):
        tiny.processor.preprocess_image(Image.new("L", (7, 7)))


def test_saved_processor_is_the_same(tiny: LoadedModel, tmp_path: Path, checkpoint: Path) -> None:
    tiny.processor.save_pretrained(tmp_path / "alone")
    (checkpoint / "preprocessor_config.json").unlink()
    for folder in (tmp_path / "alone", checkpoint):  # by its own file, and by the model's config.json
        again = CogVLMProcessor.from_pretrained(folder)
        assert (again.image_size, again.patch_size, again.template_version) == (28, 14, "base")
        text = "Where is the 狗? [[086,540,400,760]]"
        assert again.encode(text, has_image=True, answer=text) == tiny.processor.encode(
            text, has_image=True, answer=text
        )
    elsewhere = CogVLMProcessor.from_pretrained(checkpoint, tokenizer=tmp_path / "alone" / "tokenizer.json")
    assert elsewhere.answer_tokens("dog") == tiny.processor.answer_tokens("dog")


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "no valid JSON"), ('{"image_size": "x", "patch_size": 14}', "whole numbers"), (None, "no config.json")],
)
def test_broken_processor_folders(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "preprocessor_config.json").write_text(content)
    with pytest.raises(InputError, match=message):
        CogVLMProcessor.from_pretrained(tmp_path)
