"""The engine: batched = single, order, finish, memory, images opened when due and closed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from PIL import Image

from grounding.errors import InputError, RunError
from grounding.inference.budget import MAX_NEW_TOKENS
from grounding.inference.engine import Answer, Request, answer
from grounding.models.cogvlm.processor import CogVLMProcessor
from grounding.models.loading import LoadedModel
from grounding.text import Automaton, Wording, answer_automaton
from tests.inference.scripted import Scripted, tiny_model


@pytest.fixture(scope="module")
def tiny() -> LoadedModel:
    return tiny_model()


def picture(colour: str) -> Image.Image:
    return Image.new("RGB", (40, 30), colour)


def requests() -> list[Request]:
    """With and without an image, opened or not, of many lengths."""
    return [
        Request(picture("red"), "Where is the dog? answer in [[x0,y0,x1,y1]] format."),
        Request(None, "2 + 2?"),
        Request(lambda: picture("blue"), "dog"),
        Request(lambda: picture("red"), "狗在哪里"),
        Request(None, "Where is the dog? " * 4),
        Request(picture("green"), "dog"),
        Request(None, "2"),
    ]


def scripted(processor: CogVLMProcessor, answers: dict[str, str], *, end: bool = True) -> Scripted:
    """A model that answers each prompt (no image) with a text."""
    ids = {
        tuple(processor.encode(prompt, has_image=False).input_ids[1:]): processor.answer_tokens(text)[
            : None if end else -1
        ]
        for prompt, text in answers.items()
    }
    return Scripted(ids, processor.tokenizer.vocab_size)


@pytest.mark.parametrize("batch_size", [2, 3, 7])
def test_batched_is_single_in_the_order_of_the_requests(tiny: LoadedModel, batch_size: int) -> None:
    def run(size: int) -> list[Answer]:
        return list(answer(tiny.model, tiny.processor, requests(), batch_size=size, max_new_tokens=12))

    single, batched = run(1), run(batch_size)
    assert [one.text for one in batched] == [one.text for one in single]
    assert [one.finish for one in batched] == [one.finish for one in single]
    assert len({one.text for one in single}) > 3, "different questions get different answers"


def test_answers_are_what_generation_gives(tiny: LoadedModel) -> None:
    request = requests()[0]
    assert isinstance(request.image, Image.Image)
    batch = tiny.processor.pad([tiny.processor.encode(request.prompt, has_image=True)])
    pixels = tiny.processor.preprocess_image(request.image)[None]
    sequence = tiny.model.generate(**batch, pixel_values=pixels, max_new_tokens=9, do_sample=False)
    expected = tiny.processor.decode(sequence[0, batch["input_ids"].shape[1] :])
    assert next(answer(tiny.model, tiny.processor, [request], max_new_tokens=9)).text == expected


def test_an_image_is_opened_when_it_is_due_and_closed(tiny: LoadedModel) -> None:
    events: list[str] = []

    def image(name: str) -> Request:
        @contextmanager
        def opened() -> Iterator[Image.Image]:
            events.append(f"open {name}")
            yield picture("red")
            events.append(f"close {name}")

        return Request(opened, "dog")  # type: ignore[arg-type]

    made = answer(tiny.model, tiny.processor, [image("a"), image("b")], batch_size=1, max_new_tokens=1)
    assert events == [], "nothing before the first answer is asked for"
    assert len(list(made)) == 2
    assert events == ["open a", "close a", "open b", "close b"]


def test_the_end_and_the_budget(tiny: LoadedModel) -> None:
    model = scripted(tiny.processor, {"one": "[[001,002,003,004]]", "two": "no"})
    ended = list(answer(model, tiny.processor, [Request(None, "one"), Request(None, "two")]))  # type: ignore[arg-type]
    assert [(one.text, one.finish) for one in ended] == [("[[001,002,003,004]]", "eos"), ("no", "eos")]
    cut = list(answer(model, tiny.processor, [Request(None, "one")], max_new_tokens=6))  # type: ignore[arg-type]
    assert cut[0].finish == "length"
    assert "[[001,002,003,004]]".startswith(cut[0].text)
    assert MAX_NEW_TOKENS == 1024


def test_answers_end_where_the_models_positions_end(tiny: LoadedModel, caplog: pytest.LogCaptureFixture) -> None:
    """Each by the room that its own prompt leaves, whoever shares its batch; said once."""
    long, short = "Where is the dog? " * 3, "dog"
    taken = {prompt: len(tiny.processor.encode(prompt, has_image=False)) for prompt in (long, short)}
    said = "[[001,002,003,004;005,006,007,008;009,010,011,012;013,014,015,016]]"
    model = scripted(tiny.processor, {long: said, short: said, "2": "no"})
    whole = tiny.processor.answer_tokens(said)
    model.config.max_position_embeddings = positions = taken[long] + 11
    asked = [Request(None, prompt) for prompt in (long, short, "2")]
    for size in (1, 3):
        made = list(answer(model, tiny.processor, asked, batch_size=size))  # type: ignore[arg-type]
        room = [positions - taken[prompt] for prompt in (long, short)]
        assert [one.text for one in made[:2]] == [tiny.processor.decode(whole[:tokens]) for tokens in room]
        assert [one.finish for one in made] == ["length", "length", "eos"]
    (record,) = caplog.records
    assert f"{positions} positions" in record.message and "--max-boxes cannot help" in record.message


def test_an_image_takes_three_positions_however_many_patches_it_has() -> None:
    tiny, prompt = tiny_model(), "Where is the dog?"
    words = len(tiny.processor.encode(prompt, has_image=False))

    def answered(room: int, automaton: Automaton | None = None) -> Answer:
        tiny.model.config.max_position_embeddings = words + 3 + room
        return next(answer(tiny.model, tiny.processor, [Request(picture("red"), prompt, automaton=automaton)]))

    free, short = answered(1000), answered(1)
    assert free.text.startswith(short.text) and (free.finish, short.finish) == ("eos", "length")
    kept = answered(60, answer_automaton([Wording(prompt)], None, [], 60))
    assert kept.finish == "eos" and kept.text.endswith("]]"), "readable answers are brought to their end before"


def test_a_prompt_that_leaves_no_position_is_refused(tiny: LoadedModel) -> None:
    model = scripted(tiny.processor, {"dog": "no"})
    model.config.max_position_embeddings = len(tiny.processor.encode("dog", has_image=False))
    with pytest.raises(InputError, match="none is left for an answer"):
        list(answer(model, tiny.processor, [Request(None, "dog")]))  # type: ignore[arg-type]


def test_like_lengths_share_a_batch_and_progress_is_told(tiny: LoadedModel) -> None:
    prompts = {"x" * (1 + number * 7 % 10): "no" for number in range(10)}
    model, told = scripted(tiny.processor, prompts), []
    asked = [Request(None, prompt) for prompt in prompts]
    list(answer(model, tiny.processor, asked, batch_size=4, progress=told.append))  # type: ignore[arg-type]
    assert model.batches == told == [4, 4, 2]


def test_the_models_mode_is_put_back(tiny: LoadedModel) -> None:
    model = scripted(tiny.processor, {"one": "no"})
    model.train()
    list(answer(model, tiny.processor, [Request(None, "one")]))  # type: ignore[arg-type]
    assert model.modes == [False]
    assert model.training


@pytest.mark.parametrize(
    ("error", "batch_size", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), 4, "lower --batch-size (it is 4)"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 2, "lower --batch-size"),
        (torch.OutOfMemoryError("CUDA out of memory."), 1, "--quantization nf4"),
    ],
)
def test_out_of_memory_says_what_to_lower(tiny: LoadedModel, error: Exception, batch_size: int, words: str) -> None:
    model = scripted(tiny.processor, {"one": "no"})
    model.fail = error
    with pytest.raises(RunError) as caught:
        list(answer(model, tiny.processor, [Request(None, "one")], batch_size=batch_size))  # type: ignore[arg-type]
    assert words in str(caught.value)


def test_another_failure_stays_what_it_is(tiny: LoadedModel) -> None:
    model = scripted(tiny.processor, {"one": "no"})
    model.fail = RuntimeError("shapes differ")
    with pytest.raises(RuntimeError, match="shapes differ"):
        list(answer(model, tiny.processor, [Request(None, "one")]))  # type: ignore[arg-type]


def test_no_requests_no_answers(tiny: LoadedModel) -> None:
    assert list(answer(tiny.model, tiny.processor, [])) == []
