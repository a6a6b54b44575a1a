"""Answers requests (an image and a prompt each) with a model, greedily and in batches.

Knows how to batch, generate and score; does not know what would be right, and reads a text only to find where its boxes
stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from PIL import Image
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel

from grounding.errors import RunError
from grounding.inference.budget import MAX_NEW_TOKENS
from grounding.inference.scores import TokenLogProbs, box_scores
from grounding.models.cogvlm.processor import CogVLMProcessor, Encoded

BATCHES_AHEAD = 4  # requests are sorted by length within this many batches, then answered in their own order


@dataclass(frozen=True)
class Request:
    """One question.

    Args:
        image: a picture (RGB), a function that opens it when its turn comes, or None for text only.
        prompt: the bare query, without chat template or image mark.
        history: earlier turns as (query, answer).
    """

    image: Callable[[], Image.Image] | Image.Image | None
    prompt: str
    history: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Answer:
    """What the model said.

    Args:
        text: exactly as generated, without the special tokens.
        finish: "eos" when the model ended it, "length" when the token budget did.
        scores: for each box that can be read, in text order, the mean log-probability of its tokens under the
            unconstrained softmax.
        not_found_logprob: log-probability of the not-found answer; None where it was not computed.
    """

    text: str
    finish: Literal["eos", "length"]
    scores: list[float] | None = None
    not_found_logprob: float | None = None


def answer(
    model: PreTrainedModel,
    processor: CogVLMProcessor,
    requests: Sequence[Request],
    *,
    batch_size: int = 8,
    max_new_tokens: int = MAX_NEW_TOKENS,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Answer]:
    """The answers, in the order of the requests, as they are made.

    Requests of like length share a batch. An image is opened when its batch is due and closed behind it.

    Args:
        model: on the device that it is to run on; put into evaluation mode, and back.
        batch_size: rows at a time.
        max_new_tokens: the budget of an answer; the default holds 60 boxes and some words.
        progress: called with the number of answers that were made since the last call.

    Raises:
        RunError: out of memory.
        InputError: from a request that cannot open its image.
    """
    was_training = model.training
    model.eval()
    try:
        ahead = batch_size * BATCHES_AHEAD
        for start in range(0, len(requests), ahead):
            window = requests[start : start + ahead]
            encoded = [
                processor.encode(request.prompt, has_image=request.image is not None, history=request.history)
                for request in window
            ]
            by_length = sorted(range(len(window)), key=lambda index: len(encoded[index].input_ids))
            answers: dict[int, Answer] = {}
            for first in range(0, len(by_length), batch_size):
                batch = by_length[first : first + batch_size]
                with _out_of_memory_said(batch_size):
                    made = _answer_batch(
                        model,
                        processor,
                        [window[index] for index in batch],
                        [encoded[index] for index in batch],
                        max_new_tokens,
                    )
                answers.update(zip(batch, made, strict=True))
                if progress:
                    progress(len(batch))
            yield from (answers[index] for index in range(len(window)))
    finally:
        model.train(was_training)


@torch.inference_mode()
def _answer_batch(
    model: PreTrainedModel,
    processor: CogVLMProcessor,
    requests: Sequence[Request],
    encoded: Sequence[Encoded],
    max_new_tokens: int,
) -> list[Answer]:
    """One batch, left-padded, through greedy generation."""
    device = model.device
    padded = processor.pad(list(encoded), side="left")
    inputs = {name: padded[name].to(device) for name in ("input_ids", "token_type_ids", "attention_mask")}
    pixels = [_pixels(processor, request.image) for request in requests if request.image is not None]
    if pixels:
        # The embeddings are never quantised: their dtype is the one that the model computes in.
        inputs["pixel_values"] = torch.stack(pixels).to(device, model.get_input_embeddings().weight.dtype)
    tokenizer = processor.tokenizer
    recorder = TokenLogProbs()
    sequences = model.generate(
        **inputs,
        # A config of its own: what a checkpoint's generation_config says about sampling does not count here.
        generation_config=GenerationConfig(
            do_sample=False,
            num_beams=1,
            max_new_tokens=max_new_tokens,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        ),
        logits_processor=[recorder],
    )
    generated = sequences[:, inputs["input_ids"].shape[1] :]
    logprobs = recorder.finish(generated)
    return [
        _read_row(processor, ids, row, tokenizer.eos_token_id)
        for ids, row in zip(generated.tolist(), logprobs.tolist(), strict=True)
    ]


def _read_row(processor: CogVLMProcessor, ids: list[int], logprobs: list[float], eos: int) -> Answer:
    """The answer in one row of generated ids (padding behind eos)."""
    ended = eos in ids
    ids = ids[: ids.index(eos)] if ended else ids
    text = processor.decode(ids)
    return Answer(text, "eos" if ended else "length", box_scores(text, ids, logprobs, processor.decode))


def _pixels(processor: CogVLMProcessor, image: Callable[[], Image.Image] | Image.Image) -> Tensor:
    """float32[3, S, S]; a picture that was opened here is closed here."""
    if isinstance(image, Image.Image):
        return processor.preprocess_image(image)
    with image() as opened:
        return processor.preprocess_image(opened)


@contextmanager
def _out_of_memory_said(batch_size: int) -> Iterator[None]:
    """Tells what to lower when the memory of the GPU, or of the machine, is used up."""
    try:
        yield
    except RuntimeError as error:
        message = str(error)
        if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in message:
            raise
        what_to_do = (
            f"lower --batch-size (it is {batch_size})"
            if batch_size > 1
            else "the batch size is 1 already: load the model with --quantization nf4, or lower --max-new-tokens"
        )
        raise RunError(f"out of memory while answering: {what_to_do}. [{message.splitlines()[0]}]") from error
