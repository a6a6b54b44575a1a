"""Answers requests (an image and a prompt each) with a model, in batches in which prompts about one image share it.

Knows how to group, generate and score; does not know what would be right, and reads a text only to find where its boxes
stand.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

import torch
from PIL import Image
from torch import Tensor
from transformers import PreTrainedModel
from transformers.utils import logging

from grounding.errors import InputError, RunError
from grounding.inference.batches import Batch, plan_batches, windows
from grounding.inference.budget import MAX_NEW_TOKENS, room_behind
from grounding.inference.constrain import Constraint, TokenTexts
from grounding.inference.decoding import Decoding, decode
from grounding.inference.prefix import Prefilled, pad_prompts, prefill, prefix_of, row_cache
from grounding.inference.scores import box_scores
from grounding.models.cogvlm.processor import CogVLMProcessor, Encoded
from grounding.text import Automaton

BATCHES_AHEAD = 8  # requests are grouped by image within this many batches, then answered in their own order
GREEDY = Decoding()
logger = logging.get_logger(__name__)

ENDED_BY_POSITIONS = (
    "Answers were ended by the model's {:,} positions, which image, prompt and answer share; they count as cut off or "
    "lack their end. A larger --max-boxes cannot help: ask for less at once (one class, or a part of the image), or "
    "take a checkpoint with more positions."
)

Picture = Callable[[], Image.Image] | Image.Image


@dataclass(frozen=True)
class Request:
    """One question.

    Args:
        image: a picture (RGB), a function that opens it when its turn comes, or None for text only.
        prompt: the bare query, without chat template or image mark.
        history: earlier turns as (query, answer).
        image_key: tells which image this is: requests with equal keys are about the same one, which is opened and
            encoded once for all of them. Left out, they are where `image` is the same object.
        not_found: the sentence whose log-probability as the whole answer is wanted.
        automaton: what an answer may be; None: anything.
    """

    image: Picture | None
    prompt: str
    history: Sequence[tuple[str, str]] = ()
    image_key: Hashable | None = None
    not_found: str | None = None
    automaton: Automaton | None = None


@dataclass(frozen=True)
class Answer:
    """What the model said.

    Args:
        text: exactly as generated, without the special tokens.
        finish: "eos" when the model ended it, "length" when the token budget or the model's positions did.
        scores: for each box that can be read, in text order, the mean log-probability of its tokens under the
            unconstrained softmax.
        not_found_logprob: log-probability, under the same softmax, that the answer is the request's not-found sentence
            and then ends: the sum over its tokens as they are trained (encoded apart from the prompt) and the end. None
            where the request names no sentence.
        constrained: whether an automaton said what the answer might be.
    """

    text: str
    finish: Literal["eos", "length"]
    scores: list[float] | None = None
    not_found_logprob: float | None = None
    constrained: bool = False


def answer(
    model: PreTrainedModel,
    processor: CogVLMProcessor,
    requests: Sequence[Request],
    *,
    batch_size: int = 8,
    max_new_tokens: int = MAX_NEW_TOKENS,
    decoding: Decoding = GREEDY,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Answer]:
    """The answers, in the order of the requests, as they are made.

    Requests about one image share a batch, and the image is encoded once for them; among the others, those of like
    length do. An image is opened when its batch is due and closed behind it.

    Args:
        model: on the device that it is to run on; put into evaluation mode, and back.
        batch_size: prompts at a time.
        max_new_tokens: the budget of an answer; the default holds 60 boxes and some words. An answer has fewer where
            the model's positions (`max_position_embeddings`) end before; the first that is ended so is logged.
        decoding: how tokens are chosen.
        progress: called with the number of answers that were made since the last call.

    Raises:
        RunError: out of memory.
        InputError: a prompt that is empty or leaves no position; a constraint that the tokenizer or the budget does not
            allow; from a request that cannot open its image.
    """
    was_training = model.training
    model.eval()
    engine = _Engine(model, processor, max_new_tokens, decoding)
    try:
        for numbers in _windows(requests, batch_size):
            window = requests[numbers.start : numbers.stop]
            encoded = [_encode(processor, request) for request in window]
            lengths, images = [len(one) for one in encoded], [_image_key(request) for request in window]
            answers: dict[int, Answer] = {}
            for batch in plan_batches(lengths, images, batch_size):
                with _out_of_memory_said(batch_size):
                    made = engine.answer_batch(batch, window, encoded)
                answers.update(zip(batch.requests, made, strict=True))
                if progress:
                    progress(len(made))
            yield from (answers[index] for index in range(len(window)))
    finally:
        model.train(was_training)


def share_of(requests: Sequence[Request], batch_size: int, process: int, processes: int) -> range:
    """The requests that one of several processes answers; one behind the other, the shares are all requests.

    They are cut where `answer` cuts them too, so that each batch is one that a single process would have made: the
    answers are the same to the last bit, and requests about one image that stand side by side are never parted.
    """
    parts = list(_windows(requests, batch_size))
    first, end = (len(parts) * number // processes for number in (process, process + 1))
    return range(parts[first].start, parts[end - 1].stop) if first < end else range(0)


def _windows(requests: Sequence[Request], batch_size: int) -> Iterator[range]:
    return windows([_image_key(request) for request in requests], batch_size * BATCHES_AHEAD)


def _encode(processor: CogVLMProcessor, request: Request) -> Encoded:
    encoded = processor.encode(request.prompt, has_image=request.image is not None, history=request.history)
    if len(encoded) == len(prefix_of(encoded)):
        raise InputError(f"the prompt {request.prompt!r} has no token to answer to.")
    return encoded


def _image_key(request: Request) -> Hashable | None:
    """Which image a request is about; None for text only. Requests outlive their keys, so ids of objects are unique."""
    if request.image is None:
        return None
    return ("object", id(request.image)) if request.image_key is None else ("key", request.image_key)


class _Engine:
    """Answers batch after batch; keeps the prefix that the next one goes on with."""

    def __init__(
        self, model: PreTrainedModel, processor: CogVLMProcessor, max_new_tokens: int, decoding: Decoding
    ) -> None:
        self.model, self.processor = model, processor
        self.max_new_tokens, self.decoding = max_new_tokens, decoding
        self._kept: Prefilled | None = None
        self._texts: TokenTexts | None = None  # of all tokens, worked out when they are first needed

    @torch.inference_mode()
    def answer_batch(self, batch: Batch, window: Sequence[Request], encoded: Sequence[Encoded]) -> list[Answer]:
        """The answers to the batch's requests, in its order."""
        model, tokenizer = self.model, self.processor.tokenizer
        requests, sequences = [window[index] for index in batch.requests], [encoded[index] for index in batch.requests]
        prefix = prefix_of(sequences[0])
        prefixes = self._prefixes(batch, requests, prefix)
        prompts = pad_prompts(
            [one.input_ids[len(prefix) :] for one in sequences],
            tokenizer.pad_token_id,
            prefixes[0][0].next_position,
            model.device,
        )
        taken = (prompts.position_ids[:, -1] + 1).tolist()
        max_positions = model.config.max_position_embeddings
        budgets = [room_behind(prompt, self.max_new_tokens, max_positions) for prompt in taken]
        sentences = [request.not_found for request in requests]
        decoded = decode(
            model,
            prompts,
            lambda rows: row_cache(prefixes, prompts, rows_per_prompt=rows),
            decoding=self.decoding,
            budgets=budgets,
            special_ids={name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")},
            given=[None if one is None else self.processor.answer_tokens(one) for one in sentences],
            constraint=self._constraint([request.automaton for request in requests], budgets),
        )
        rows = zip(decoded.tokens.tolist(), decoded.logprobs.tolist(), decoded.given, strict=True)
        answers = [
            _read_row(self.processor, ids[:budget], logprobs, not_found, tokenizer.eos_token_id)
            for (ids, logprobs, not_found), budget in zip(rows, budgets, strict=True)
        ]
        ends = zip(answers, budgets, strict=True)
        if any(one.finish == "length" and budget < self.max_new_tokens for one, budget in ends):
            logger.warning_once(ENDED_BY_POSITIONS.format(max_positions))
        return [
            replace(one, constrained=request.automaton is not None)
            for one, request in zip(answers, requests, strict=True)
        ]

    def _constraint(self, automata: Sequence[Automaton | None], budgets: Sequence[int]) -> Constraint | None:
        if all(automaton is None for automaton in automata):
            return None
        self._texts = self._texts or TokenTexts(self.processor.tokenizer)
        return Constraint(self._texts, automata, budgets)

    def _prefixes(
        self, batch: Batch, requests: Sequence[Request], prefix: Encoded
    ) -> list[tuple[Prefilled, Sequence[int]]]:
        """The prefixes of a batch, in its order, with the number of their requests: the kept one, then new ones."""
        found: list[tuple[Prefilled, Sequence[int]]] = []
        if self._kept is not None:
            found.append((self._kept, batch.sizes[:1]))
        known = len(found)
        if known < len(batch.images):
            first_rows = [sum(batch.sizes[:index]) for index in range(known, len(batch.images))]
            pixels = self._pixels([requests[row].image for row in first_rows])
            found.append((prefill(self.model, prefix, len(first_rows), pixels), batch.sizes[known:]))
        self._kept = None
        if batch.goes_on is not None:
            number = batch.images.index(batch.goes_on)
            self._kept = found[0][0] if number < known else found[-1][0].pick(number - known)
        return found

    def _pixels(self, images: Sequence[Picture | None]) -> Tensor | None:
        """float[n, 3, S, S] in the dtype that the model computes in; None for text only."""
        pixels = [_pixels(self.processor, image) for image in images if image is not None]
        # The embeddings are never quantised: their dtype is the model's.
        dtype = self.model.get_input_embeddings().weight.dtype
        return torch.stack(pixels).to(self.model.device, dtype) if pixels else None


def _read_row(
    processor: CogVLMProcessor, ids: list[int], logprobs: list[float], not_found: float | None, eos: int
) -> Answer:
    """The answer in one row of generated ids (padding behind eos)."""
    ended = eos in ids
    ids = ids[: ids.index(eos)] if ended else ids
    text = processor.decode(ids)
    scores = box_scores(text, ids, logprobs, processor.decode)
    return Answer(text, "eos" if ended else "length", scores, not_found)


def _pixels(processor: CogVLMProcessor, image: Picture) -> Tensor:
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
