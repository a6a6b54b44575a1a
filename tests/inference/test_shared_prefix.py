"""Answers behind a shared prefix are those of prompts one at a time, however prompts, images and texts are mixed."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from grounding.errors import InputError
from grounding.inference.decoding import Decoding
from grounding.inference.engine import Answer, Request, answer
from grounding.models.loading import LoadedModel
from grounding.text import NOT_FOUND
from tests.inference.scripted import tiny_model

NEW = 10
PROMPTS = ["dog", "Where is the dog? answer in [[x0,y0,x1,y1]] format.", "狗在哪里", "2", "Where is the dog? " * 3, "x"]
COLOURS = ["red", "green", "blue", "yellow"]
CLOSE = 1e-3


@pytest.fixture(scope="module")
def tiny() -> LoadedModel:
    return tiny_model()


def picture(colour: str) -> Image.Image:
    return Image.new("RGB", (40, 30), colour)


def mixed(seed: int, count: int = 14) -> list[Request]:
    """Requests about a few images and about none, of many lengths, in any order."""
    rng = random.Random(seed)
    requests = []
    for _ in range(count):
        colour, prompt = rng.choice([*COLOURS[: rng.randint(1, 4)], None]), rng.choice(PROMPTS)
        image = None if colour is None else picture(colour)
        requests.append(Request(image, prompt, image_key=colour, not_found=rng.choice([None, *NOT_FOUND.values()])))
    return requests


def by_hand(tiny: LoadedModel, request: Request) -> list[tuple[int, Tensor]]:
    """Greedy tokens by whole forwards over the growing row, each with its logits: no cache, no batch, no `generate`."""
    encoded = tiny.processor.encode(request.prompt, has_image=request.image is not None)
    ids, types = list(encoded.input_ids), list(encoded.token_type_ids)
    pixels = None if request.image is None else tiny.processor.preprocess_image(request.image)[None]  # type: ignore
    steps = []
    while len(steps) < NEW and (not steps or steps[-1][0] != tiny.processor.tokenizer.eos_token_id):
        with torch.inference_mode():
            logits = tiny.model(torch.tensor([ids]), torch.tensor([types]), pixel_values=pixels).logits[0, -1]
        steps.append((int(logits.argmax()), logits))
        ids, types = [*ids, steps[-1][0]], [*types, 0]
    return steps


def run(tiny: LoadedModel, requests: list[Request], batch_size: int, **more: Any) -> list[Answer]:
    return list(answer(tiny.model, tiny.processor, requests, batch_size=batch_size, max_new_tokens=NEW, **more))


@pytest.mark.parametrize(("seed", "batch_size"), [(0, 1), (1, 3), (2, 5), (3, 8), (4, 14), (5, 4)])
def test_shared_is_one_at_a_time(tiny: LoadedModel, seed: int, batch_size: int) -> None:
    requests = mixed(seed)
    for request, made in zip(requests, run(tiny, requests, batch_size), strict=True):
        steps = by_hand(tiny, request)
        ties = [index for index, (_, logits) in enumerate(steps) if logits.topk(2).values.diff().abs() < CLOSE]
        ids = [token for token, _ in steps][: ties[0] if ties else None]
        assert tiny.processor.decode(ids) == (made.text if not ties else made.text[: len(tiny.processor.decode(ids))])


def test_the_tiny_model_sees_its_images_and_prompts(tiny: LoadedModel) -> None:
    """Else the law above would hold of anything."""
    requests = [Request(picture(colour), prompt) for colour in COLOURS for prompt in PROMPTS[:3]]
    texts = [one.text for one in run(tiny, requests, 6)]
    assert len(set(texts)) > 8


@pytest.mark.parametrize("decoding", [Decoding(), Decoding(beams=3)], ids=["greedy", "beams"])
def test_log_probabilities_are_those_of_whole_forwards(
    tiny: LoadedModel, decoding: Decoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the not-found answer, its end included, and of every token that was answered."""

    def keep(text: str, ids: list[int], logprobs: list[float], decode: object) -> list[float]:
        return [*ids, *logprobs[: len(ids)]]

    monkeypatch.setattr("grounding.inference.engine.box_scores", keep)
    requests = mixed(6)
    for request, made in zip(requests, run(tiny, requests, 5, decoding=decoding), strict=True):
        encoded = tiny.processor.encode(request.prompt, has_image=request.image is not None)
        pixels = None if request.image is None else tiny.processor.preprocess_image(request.image)[None]  # type: ignore

        def logprobs(tokens: list[int], encoded: Any = encoded, pixels: Tensor | None = pixels) -> Tensor:
            types = torch.tensor([encoded.token_type_ids + [0] * len(tokens)])
            ids = torch.tensor([encoded.input_ids + tokens])
            with torch.inference_mode():
                logits = tiny.model(ids, types, pixel_values=pixels).logits[0, len(encoded) - 1 : -1]
            return logits.log_softmax(-1).gather(1, torch.tensor(tokens)[:, None]).squeeze(1)

        assert made.scores is not None
        ids, found = [int(one) for one in made.scores[: len(made.scores) // 2]], made.scores[len(made.scores) // 2 :]
        assert found == pytest.approx(logprobs(ids).tolist(), abs=1e-4)
        if request.not_found is None:
            assert made.not_found_logprob is None
        else:
            sentence = logprobs(tiny.processor.answer_tokens(request.not_found)).sum().item()
            assert made.not_found_logprob == pytest.approx(sentence, abs=1e-3)


def test_beams_are_those_of_generate(tiny: LoadedModel) -> None:
    requests = mixed(7, 9)
    for request, made in zip(requests, run(tiny, requests, 4, decoding=Decoding(beams=3)), strict=True):
        batch = tiny.processor.pad([tiny.processor.encode(request.prompt, has_image=request.image is not None)])
        if request.image is not None:
            batch["pixel_values"] = tiny.processor.preprocess_image(request.image)[None]  # type: ignore
        row = tiny.model.generate(**batch, max_new_tokens=NEW, num_beams=3, do_sample=False)[0]
        assert made.text == tiny.processor.decode(row[batch["input_ids"].shape[1] :])


def test_sampling_draws_and_scores_what_it_drew_without_the_temperature(tiny: LoadedModel) -> None:
    requests = [Request(picture("red"), "dog")] * 6
    torch.manual_seed(0)
    drawn = [one.text for one in run(tiny, requests, 6, decoding=Decoding(temperature=2.0, top_p=0.95))]
    torch.manual_seed(0)
    assert drawn == [one.text for one in run(tiny, requests, 6, decoding=Decoding(temperature=2.0, top_p=0.95))]
    assert len(set(drawn)) > 3
    cold = run(tiny, requests, 6, decoding=Decoding(temperature=1e-4))
    assert [one.text for one in cold] == [one.text for one in run(tiny, requests, 6)]


@pytest.mark.parametrize(("batch_size", "towers"), [(8, [2]), (2, [1, 1]), (1, [1, 1]), (3, [2])])
def test_an_image_is_opened_and_encoded_once(tiny: LoadedModel, batch_size: int, towers: list[int]) -> None:
    """Also where its prompts fill more than a batch."""
    opened: list[str] = []
    encoded: list[int] = []

    def image(colour: str) -> Any:
        def open_it() -> Image.Image:
            opened.append(colour)
            return picture(colour)

        return open_it

    requests = [Request(image(colour), prompt, image_key=colour) for prompt in PROMPTS[:2] for colour in COLOURS[:2]]
    hook = tiny.model.model.vision.register_forward_hook(lambda _, inputs, __: encoded.append(len(inputs[0])))
    try:
        made = run(tiny, requests, batch_size)
    finally:
        hook.remove()
    assert sorted(opened) == ["green", "red"]
    assert encoded == towers
    assert [one.text for one in made] == [one.text for one in run(tiny, requests, 1)]


def test_without_a_key_the_same_object_is_the_same_image(tiny: LoadedModel) -> None:
    encoded: list[int] = []
    hook = tiny.model.model.vision.register_forward_hook(lambda _, inputs, __: encoded.append(len(inputs[0])))
    red = picture("red")
    try:
        run(tiny, [Request(red, "dog"), Request(red, "x"), Request(picture("red"), "2")], 3)
    finally:
        hook.remove()
    assert encoded == [2]


def test_a_prompt_without_a_token_is_refused(tiny: LoadedModel) -> None:
    with pytest.raises(InputError, match="no token to answer to"):
        run(tiny, [Request(None, "")], 1)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_every_attention(tiny: LoadedModel, attention: str) -> None:
    requests = mixed(8, 6)
    expected = [one.text for one in run(tiny, requests, 3)]
    before = tiny.model.config._attn_implementation
    tiny.model.set_attn_implementation(attention)
    try:
        assert [one.text for one in run(tiny, requests, 3)] == expected
    finally:
        tiny.model.set_attn_implementation(before)
