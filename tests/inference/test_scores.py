"""Scores of boxes: the mean log-probability of exactly the tokens that a box's text is made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grounding.inference.engine import Request, answer
from grounding.inference.scores import TokenLogProbs, box_scores, tokens_of
from grounding.models.cogvlm.processor import CogVLMProcessor
from grounding.models.loading import LoadedModel
from grounding.models.tokenizers import load_tokenizer
from grounding.text import read_boxes
from tests.inference.scripted import tiny_model

TEXTS = [
    "[[086,540,400,760]]",
    "[[086,540,400,760;001,002,003,004]] and [[5,6,7,8]]",
    "图片中存在一只狗，所在区域为[[086,540,400,760;001,002,003,004]]",
    "🎉🎉 [[ 086 , 540,400,760 ]]; [[1,2,3]] no ［［００１，００２，００３，００４］］。",
    "no box",
]
PIECES = ["[[", "086,", "5", "40", ",400,760", "]]", " and ", "[[1,2,3,4", "]] 狗", "狗", "."]


@pytest.fixture(scope="module")
def tiny() -> LoadedModel:
    return tiny_model()


def check_tokens(text: str, ids: Sequence[int], processor: CogVLMProcessor) -> None:
    """A token belongs to a box when, and only when, one of its characters is inside."""
    logprobs = [-float(index + 1) for index in range(len(ids))]
    spans = read_boxes(text).spans
    scores = box_scores(text, ids, logprobs, processor.decode)
    assert len(scores) == len(spans)
    for (start, end), score in zip(spans.tolist(), scores, strict=True):
        first, last = tokens_of(start, end, ids, processor.decode)
        inside = processor.decode(ids[first:last])
        assert "".join(text[start:end].split()) in "".join(inside.split())
        assert len(processor.decode(ids[:first]).rstrip("\ufffd")) <= start
        assert "".join(text[start:end].split()) not in "".join(processor.decode(ids[first + 1 : last]).split())
        assert len(processor.decode(ids[: last - 1]).rstrip("\ufffd")) < end
        assert score == pytest.approx(sum(logprobs[first:last]) / (last - first))


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_of_boxes(tiny: LoadedModel, text: str) -> None:
    ids = tiny.processor.answer_tokens(text)[:-1]
    assert tiny.processor.decode(ids) == text
    check_tokens(text, ids, tiny.processor)


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_of_boxes_with_the_real_tokenizer(shared_dir: Path, text: str) -> None:
    file = shared_dir / "tokenizer" / "tokenizer.model"
    if not file.is_file():
        pytest.skip("the Llama tokenizer.model is not here")
    processor = CogVLMProcessor(load_tokenizer(file), 28, 14)
    check_tokens(text, processor.answer_tokens(text)[:-1], processor)


@given(st.lists(st.sampled_from(range(len(PIECES))), max_size=14))
def test_brackets_may_share_a_token_with_anything(ids: list[int]) -> None:
    def decode(some: Sequence[int]) -> str:
        return "".join(PIECES[index] for index in some)

    text = decode(ids)
    for start, end in read_boxes(text).spans.tolist():
        first, last = tokens_of(start, end, ids, decode)
        assert text[start:end] in decode(ids[first:last])
        assert text[start:end] not in decode(ids[first + 1 : last])
        assert text[start:end] not in decode(ids[first : last - 1])


def test_the_recorder_sees_the_unconstrained_softmax_of_the_chosen_tokens() -> None:
    logits = torch.randn(3, 2, 11, generator=torch.Generator().manual_seed(0))
    chosen = torch.tensor([[4, 0, 7], [1, 10, 2]])
    recorder, ids = TokenLogProbs(), torch.zeros(2, 5, dtype=torch.long)
    for step in range(3):
        given_logits = logits[step]
        assert recorder(ids, given_logits) is given_logits
        ids = torch.cat([ids, chosen[:, step : step + 1]], dim=1)
    expected = logits.log_softmax(-1).permute(1, 0, 2).gather(2, chosen[..., None]).squeeze(2)
    assert torch.allclose(recorder.finish(chosen), expected)


def test_scores_of_generation_equal_a_forward_over_the_answer(
    tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the tiny model says counts as one box here, so that its score is the mean over its whole answer."""
    seen: list[tuple[list[int], list[float]]] = []

    def keep(text: str, ids: list[int], logprobs: list[float], decode: object) -> list[float]:
        seen.append((ids, logprobs))
        return []

    monkeypatch.setattr("grounding.inference.engine.box_scores", keep)
    prompts = ["Where is the dog?", "2 + 2 = ?"]
    list(answer(tiny.model, tiny.processor, [Request(None, prompt) for prompt in prompts], max_new_tokens=7))
    order = sorted(prompts, key=lambda prompt: len(tiny.processor.encode(prompt, has_image=False)))
    for prompt, (ids, logprobs) in zip(order, seen, strict=True):
        before = tiny.processor.encode(prompt, has_image=False).input_ids
        with torch.inference_mode():
            logits = tiny.model(input_ids=torch.tensor([before + ids])).logits[0]
        expected = logits.log_softmax(-1)[len(before) - 1 : -1].gather(1, torch.tensor(ids)[:, None]).squeeze(1)
        assert logprobs[: len(ids)] == pytest.approx(expected.tolist(), abs=1e-4)
