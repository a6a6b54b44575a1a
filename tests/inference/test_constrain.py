"""Constrained answers: whatever tokens are drawn among the allowed ones, with any tokenizer, the text can be read."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from grounding.errors import InputError
from grounding.inference.constrain import Constraint, TokenTexts
from grounding.inference.decoding import Decoding
from grounding.inference.engine import Request, answer
from grounding.models.loading import LoadedModel
from grounding.models.tokenizers import load_tokenizer, train_tokenizer
from grounding.text import NOT_FOUND, Automaton, Wording, answer_automaton, load_wordings, read_boxes
from tests.inference.scripted import TEXTS, tiny_model

SENTENCES = list(NOT_FOUND.values())
SPOKEN = "dog Where is the dog?"
WORDINGS = [*load_wordings("phrase_to_boxes", "en"), *load_wordings("phrase_to_boxes", "zh")]


@pytest.fixture(scope="module")
def tiny() -> LoadedModel:
    return tiny_model()


def byte_level() -> PreTrainedTokenizerFast:
    """Another family: no `▁`, tokens that hold a part of a character and something else besides."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=["<unk>", "<s>", "</s>"], initial_alphabet=alphabet)
    backend.train_from_iterator([*SENTENCES, "[[001,002,003,004]].", "狗狗"] * 4, trainer)
    names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


@pytest.fixture(scope="module", params=["trained", "llama", "byte level"])
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerFast:
    if request.param == "byte level":
        return byte_level()
    if request.param == "trained":
        answers = [wording.answer for wording in WORDINGS] * 2
        return train_tokenizer([*answers, *SENTENCES, "dog 狗", *TEXTS * 3, "]]. ]]. ]]."], 700)
    file = request.getfixturevalue("shared_dir") / "tokenizer" / "tokenizer.model"
    if not file.is_file():
        pytest.skip("the Llama tokenizer.model is not here")
    return load_tokenizer(file)


def automaton(most: int = 3, phrase: str = "dog 狗") -> Automaton:
    return answer_automaton(WORDINGS, phrase, SENTENCES, most)


def test_drawn_tokens_read_without_refusals_within_the_budget(tokenizer: PreTrainedTokenizerFast) -> None:
    texts, machine, rng = TokenTexts(tokenizer), automaton(), random.Random(0)
    shortest = machine.shortest(machine.start)
    said = set()
    for number in range(150):
        budget = rng.choice([shortest + 1, shortest + 2, shortest + 20, 200])
        state, ids = machine.start, []
        while not ids or ids[-1] != texts.eos:
            allowed = texts.allowed(machine, state, beginning=not ids, tokens_left=budget - len(ids))
            assert allowed, "there is always a way to go on"
            ids.append(rng.choice(allowed))
            added = (texts.inner if len(ids) > 1 else texts.first)[ids[-1]]
            state = machine.step(state, added) if added is not None else state
        assert len(ids) <= budget, number
        text = tokenizer.decode(ids[:-1], skip_special_tokens=True, clean_up_tokenization_spaces=False)
        assert machine.may_end(machine.step(machine.start, text.encode())), "what was followed is what is decoded"
        assert not read_boxes(text).refusals
        said.add(text)
    assert len(said) > 20


@pytest.mark.parametrize("words", ["{}", "图片中存在dog 狗，所在区域为{}", "The area taken up by dog 狗 is {}."])
def test_the_tokens_that_are_trained_are_allowed(tokenizer: PreTrainedTokenizerFast, words: str) -> None:
    texts, machine = TokenTexts(tokenizer), automaton()
    for text in [words.format("[[000,001,002,003;086,540,400,760]]"), *SENTENCES]:
        ids = [*tokenizer.encode(text, add_special_tokens=False), texts.eos]
        state = machine.start
        for place, token in enumerate(ids):
            assert token in texts.allowed(machine, state, beginning=not place, tokens_left=999 - place), text
            state = machine.step(state, (texts.inner if place else texts.first)[token] or b"")


def test_a_closing_bracket_may_share_its_token(shared_dir: Path) -> None:
    """In Llama's tokenizer `]].` is `]` and `].`, and `[[` has another id behind a space."""
    file = shared_dir / "tokenizer" / "tokenizer.model"
    if not file.is_file():
        pytest.skip("the Llama tokenizer.model is not here")
    tokenizer = load_tokenizer(file)
    texts, machine = TokenTexts(tokenizer), automaton(1)

    def allowed(text: str) -> set[str]:
        state = machine.step(machine.start, text.encode())
        return set(tokenizer.convert_ids_to_tokens(texts.allowed(machine, state, beginning=not text, tokens_left=99)))

    assert {"▁[[", "[[", "▁[", "▁No"} <= allowed("")
    assert allowed("The area taken up by dog 狗 is [[001,002,003,004") == {"]", "]]", "<0x5D>"}
    assert allowed("The area taken up by dog 狗 is [[001,002,003,004]") == {"]", "].", "<0x5D>"}
    assert allowed("[[001,002,003,004") == {"]", "]]", "<0x5D>"}
    assert allowed("[[001,002,003,004]]") == {"</s>"}
    assert allowed("[[001,998,") >= {"0", "9"} and allowed("[[998,998,") == {"9", "<0x39>"}


def mixed() -> list[Request]:
    """Constrained and free prompts about two images and none."""
    pictures = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue")]
    prompts = ["dog", "Where is the dog?", "狗在哪里"]
    requests = [Request(picture, prompt) for picture in [*pictures, None] for prompt in prompts]
    return [replace(one, automaton=automaton(2) if place % 3 else None) for place, one in enumerate(requests)]


@pytest.mark.parametrize(
    "decoding", [Decoding(), Decoding(beams=3), Decoding(temperature=1.5)], ids=["greedy", "beams", "drawn"]
)
def test_a_model_answers_readably(tiny: LoadedModel, decoding: Decoding) -> None:
    torch.manual_seed(0)
    budget = 90
    made = list(answer(tiny.model, tiny.processor, mixed(), batch_size=5, max_new_tokens=budget, decoding=decoding))
    for request, one in zip(mixed(), made, strict=True):
        assert one.constrained == (request.automaton is not None)
        if request.automaton is not None:
            reading = read_boxes(one.text)
            assert one.finish == "eos" and not reading.refusals
            assert one.scores is not None and len(one.scores) == len(reading.xyxy_grid)


def test_scores_are_unconstrained_and_free_rows_stay_free(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [replace(one, automaton=None) for one in mixed()]
    without = list(answer(tiny.model, tiny.processor, free, batch_size=9, max_new_tokens=90))
    monkeypatch.setattr(
        "grounding.inference.engine.box_scores", lambda _, ids, logprobs, __: [*ids, *logprobs[: len(ids)]]
    )
    made = list(answer(tiny.model, tiny.processor, mixed(), batch_size=9, max_new_tokens=90))
    for request, one, other in zip(mixed(), made, without, strict=True):
        if request.automaton is None:
            assert one.text == other.text
        assert one.scores is not None
        half = len(one.scores) // 2
        ids = [int(token) for token in one.scores[:half]]
        encoded = tiny.processor.encode(request.prompt, has_image=request.image is not None)
        pixels = None if request.image is None else tiny.processor.preprocess_image(request.image)[None]  # type: ignore
        types = torch.tensor([encoded.token_type_ids + [0] * half])
        with torch.inference_mode():
            logits = tiny.model(torch.tensor([encoded.input_ids + ids]), types, pixel_values=pixels).logits
        expected = logits[0, len(encoded) - 1 : -1].log_softmax(-1).gather(1, torch.tensor(ids)[:, None]).squeeze(1)
        assert one.scores[half:] == pytest.approx(expected.tolist(), abs=1e-4)


def test_the_likeliest_readable_answer_of_one_that_would_be(tiny: LoadedModel) -> None:
    """A model that says something readable by itself says the same when it is constrained."""
    machine, tokenizer = automaton(), tiny.processor.tokenizer
    texts = TokenTexts(tokenizer)
    for text in ["[[000,001,002,003;086,540,400,760]]", *SENTENCES]:
        constraint, ids = Constraint(texts, [machine], [200]), torch.zeros(1, 3, dtype=torch.long)
        for token in tiny.processor.answer_tokens(text):
            scores = torch.zeros(1, tokenizer.vocab_size)
            scores[0, token] = 1.0
            assert constraint(ids, scores).argmax() == token
            ids = torch.cat([ids, torch.tensor([[token]])], dim=1)


def test_what_must_follow_is_fed_in_one_step(tokenizer: PreTrainedTokenizerFast) -> None:
    """The tokens are those of the whole text, so that a model sees what it was trained on."""
    texts, machine = TokenTexts(tokenizer), automaton(1)

    def walked(answer: str) -> int:
        """The choices that are left when all that must follow comes by itself."""
        whole = [*tokenizer.encode(answer, add_special_tokens=False), texts.eos]
        state, ids, choices = machine.start, [], 0
        while ids != whole:
            ids.append(whole[len(ids)])
            choices += 1
            if ids != whole:
                state = texts.step(machine, state, ids[-1], beginning=len(ids) == 1)
                for forced in texts.forced(machine, state, ids):
                    ids.append(forced)
                    if forced != texts.eos:
                        state = texts.step(machine, state, forced, beginning=False)
            assert ids == whole[: len(ids)], answer
        return choices

    for words in ("{}", "The area taken up by dog 狗 is {}.", "在图中找到了dog 狗，位置是{}。"):
        answer = words.format("[[086,540,400,760]]")
        # Each digit, and what it takes to tell the words apart; the commas, brackets, words and end cost nothing.
        assert walked(answer) <= 12 + 6
    assert all(walked(sentence) <= 2 for sentence in SENTENCES)


def test_forced_tokens_need_no_forward_each(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows jump over different tokens in the same step, and their log-probabilities are those of whole forwards."""

    def last_piece(_: Decoding, scores: Tensor) -> Tensor:
        """In this vocabulary bytes come first and merged pieces last: the way the tokenizer itself would go."""
        return (scores > float("-inf")).int().mul(torch.arange(scores.shape[1])).argmax(-1)

    monkeypatch.setattr(Decoding, "choose", last_piece)
    monkeypatch.setattr(
        "grounding.inference.engine.box_scores", lambda _, ids, logprobs, __: [*ids, *logprobs[: len(ids)]]
    )
    machines = [
        answer_automaton([], None, [], 1),
        answer_automaton([Wording("", "dog {boxes} dog")], None, [SPOKEN], 2, {"en": SPOKEN}),
        Automaton([], ["图片中存在一只狗"], 1),
    ]
    requests = [Request(None, prompt, automaton=one) for prompt in ("dog", "狗在哪里") for one in machines]
    forwards: list[int] = []
    hook = tiny.model.register_forward_hook(lambda *_: forwards.append(1))
    try:
        made = list(answer(tiny.model, tiny.processor, requests, batch_size=6))
    finally:
        hook.remove()
    longest = max(len(tiny.processor.answer_tokens(one.text)) for one in made)
    assert len(forwards) < 0.9 * longest
    for request, one in zip(requests, made, strict=True):
        assert one.scores is not None
        half = len(one.scores) // 2
        ids = [int(token) for token in one.scores[:half]]
        assert ids == tiny.processor.answer_tokens(one.text)[:-1]
        encoded = tiny.processor.encode(request.prompt, has_image=False)
        with torch.inference_mode():
            logits = tiny.model(torch.tensor([encoded.input_ids + ids])).logits
        expected = logits[0, len(encoded) - 1 : -1].log_softmax(-1).gather(1, torch.tensor(ids)[:, None]).squeeze(1)
        assert one.scores[half:] == pytest.approx(expected.tolist(), abs=1e-4)


def test_what_cannot_be_constrained_is_said(tiny: LoadedModel) -> None:
    def ask(machine: Automaton, tokens: int) -> None:
        list(answer(tiny.model, tiny.processor, [Request(None, "dog", automaton=machine)], max_new_tokens=tokens))

    with pytest.raises(InputError, match=r"19 new tokens are too few .* may take 20"):
        ask(answer_automaton([], None, [], 1), 19)
    ask(answer_automaton([], None, [], 1), 20)
    words = Tokenizer(models.WordLevel({"<unk>": 0, "<s>": 1, "</s>": 2, "0": 3, "[[": 4}, unk_token="<unk>"))
    names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<unk>"}
    texts = TokenTexts(PreTrainedTokenizerFast(tokenizer_object=words, **names))
    with pytest.raises(InputError, match=r"no tokens for ' ', ',', .* and [0-9]+ more: .*--constrain"):
        Constraint(texts, [automaton()], [100])
